//! Tests loading of good and hostile files, and fixing of shapes.

use super::*;
use crate::tensor::{Dtype, Tensor};
use prost::Message as _;
use std::collections::BTreeMap;
use std::path::Path;
use tract_onnx::pb::{
    ModelProto, StringStringEntryProto, TensorShapeProto, tensor_proto::DataLocation,
    tensor_shape_proto, type_proto,
};

fn add_one() -> Network {
    let one = Tensor::from_f32(&[1], vec![1.0]).unwrap();
    Network::new("add_one")
        .input("input", Dtype::F32, &[1, 3])
        .input("one", Dtype::F32, &[1])
        .initializer("one", &one)
        .node("add", "Add", &["input", "one"], &["output"], &[])
        .output("output", Dtype::F32, &[1, 3])
}

/// The same network with symbols as the dimensions of its input and output.
fn with_symbols(symbols: &[&str]) -> Model {
    let mut proto = ModelProto::decode(add_one().to_bytes().as_slice()).unwrap();
    let graph = proto.graph.as_mut().unwrap();
    let dim = symbols
        .iter()
        .map(|symbol| tensor_shape_proto::Dimension {
            value: Some(tensor_shape_proto::dimension::Value::DimParam((*symbol).to_owned())),
            ..Default::default()
        })
        .collect();
    let shape = TensorShapeProto { dim };
    for value in graph.input.iter_mut().take(1).chain(&mut graph.output) {
        let Some(type_proto::Value::TensorType(tensor)) =
            value.r#type.as_mut().unwrap().value.as_mut()
        else {
            panic!("not a tensor")
        };
        tensor.shape = Some(shape.clone());
    }
    Model::from_bytes(&proto.encode_to_vec(), Path::new("s.onnx")).unwrap()
}

fn shapes(name: &str, shape: &[usize]) -> BTreeMap<ValueName, Vec<usize>> {
    BTreeMap::from([(name.into(), shape.to_vec())])
}

#[test]
fn a_network_is_read_back() {
    let model = add_one().finish().unwrap();
    assert_eq!(model.node_count(), 1);
    assert_eq!(model.opset(), 13);
    assert_eq!(model.inputs().iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["input"]);
    assert_eq!(model.outputs(), ["output".into()]);
    let node = model.nodes().next().unwrap();
    assert_eq!((node.name, node.op_type, node.inputs.len()), ("add", "Add", 2));
    assert_eq!(model.to_bytes(), add_one().to_bytes(), "the bytes are deterministic");
    assert_eq!(
        model.value_info(&"output".into()).unwrap().shape,
        Some(vec![Dim::Known(1), Dim::Known(3)])
    );
    assert_eq!(model.resolved_inputs().unwrap()[0].shape, [1, 3]);
}

#[test]
fn every_bad_file_has_an_error_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = add_one().to_bytes();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let cases = [
        (folder.path().join("none.onnx"), "no such file"),
        (folder.path().join("no/none.onnx"), "no such file"),
        (folder.path().to_owned(), "a directory"),
        (file("empty.onnx", b""), "empty"),
        (file("cut.onnx", &bytes[..bytes.len() / 2]), "not an ONNX model"),
        (file("noise.onnx", &[0xff; 99]), "not an ONNX model"),
        (file("case.yaml", b"model: a.onnx\ninput: arange\n"), "YAML"),
        (file("text.onnx", b"what is this"), "text"),
        (file("m.mnn", &bytes), "MNN"),
        (file("graphless.onnx", &[0x08, 0x08]), "no graph"),
    ];
    for (path, words) in cases {
        let error = Model::load(&path).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words), "{text}");
        assert!(!text.contains('\n') && text.starts_with("read model "), "{text}");
        assert!(error.hint().is_some(), "{text}");
    }
}

#[test]
fn a_file_of_three_gigabytes_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.onnx");
    std::fs::File::create(&path).unwrap().set_len(3 << 30).unwrap();
    assert!(matches!(Model::load(&path), Err(ModelError::TooLarge { .. })));
}

#[test]
fn parts_that_are_missing_are_named() {
    let whole = ModelProto::decode(add_one().to_bytes().as_slice()).unwrap();
    let missing = |strip: fn(&mut ModelProto)| {
        let mut proto = whole.clone();
        strip(&mut proto);
        Model::from_bytes(&proto.encode_to_vec(), Path::new("m.onnx")).unwrap_err().to_string()
    };
    assert!(missing(|p| p.opset_import.clear()).ends_with("no opset"));
    assert!(missing(|p| p.graph.as_mut().unwrap().node.clear()).ends_with("no nodes"));
    assert!(missing(|p| p.graph.as_mut().unwrap().output.clear()).ends_with("no outputs"));
    assert!(
        missing(|p| p.graph.as_mut().unwrap().input[0].r#type = None)
            .contains("`input` cannot be fed")
    );
}

#[test]
fn no_cut_and_no_flipped_byte_panics() {
    let bytes = add_one().to_bytes();
    for at in 0..bytes.len() {
        let _ = Model::from_bytes(&bytes[..at], Path::new("m.onnx"));
        for flip in [0x01, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] ^= flip;
            if let Ok(mut model) = Model::from_bytes(&broken, Path::new("m.onnx")) {
                let _ = (model.resolved_inputs(), model.nodes().count(), model.to_bytes());
                let _ = model.fix_shapes(&shapes("input", &[1, 3]));
                let topology = Topology::of(&model);
                for output in model.outputs().to_vec() {
                    let _ = (topology.values_behind(&output).len(), model.cut(&Cut::to(output)));
                }
            }
        }
    }
}

#[test]
fn external_data_is_looked_for_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let mut proto = ModelProto::decode(add_one().to_bytes().as_slice()).unwrap();
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let tensor = &mut proto.graph.as_mut().unwrap().initializer[0];
    tensor.raw_data.clear();
    tensor.data_location = Some(DataLocation::External as i32);
    tensor.external_data =
        vec![entry("location", "m.data"), entry("offset", "4"), entry("length", "4")];
    std::fs::write(&path, proto.encode_to_vec()).unwrap();
    let error = Model::load(&path).unwrap_err();
    assert!(error.to_string().contains("`m.data` cannot be opened"), "{error}");
    std::fs::write(folder.path().join("m.data"), [0; 7]).unwrap();
    assert!(Model::load(&path).unwrap_err().to_string().contains("too short"));
    std::fs::write(folder.path().join("m.data"), [0, 0, 0, 0, 0, 0, 0x80, 0x3f]).unwrap();
    let model = Model::load(&path).unwrap();
    let tensor = &model.proto().graph.as_ref().unwrap().initializer[0];
    assert_eq!(
        from_proto(tensor, folder.path()).unwrap(),
        Tensor::from_f32(&[1], vec![1.0]).unwrap()
    );
    let tensor = &mut proto.graph.as_mut().unwrap().initializer[0];
    tensor.external_data[0].value = "../m.data".to_owned();
    std::fs::write(&path, proto.encode_to_vec()).unwrap();
    assert!(Model::load(&path).unwrap_err().to_string().contains("outside"));
}

#[test]
fn open_dimensions_ask_for_a_shape() {
    let mut model = with_symbols(&["batch", "seq"]);
    let error = model.resolved_inputs().unwrap_err();
    assert_eq!(error.to_string(), "resolve input `input`: dimension 0 of batchxseq is open");
    assert_eq!(
        error.hint().unwrap(),
        "give its shape: `--shape input=1,16`; or files that have them: `--input input=FILE.npy`, `--input FOLDER`"
    );
    model.fix_shapes(&shapes("input", &[2, 3])).unwrap();
    assert_eq!(model.resolved_inputs().unwrap()[0].shape, [2, 3]);
    let output = model.value_info(&"output".into()).unwrap();
    assert_eq!(
        output.shape,
        Some(vec![Dim::Known(2), Dim::Known(3)]),
        "a symbol is settled everywhere"
    );
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let mut model = add_one().finish().unwrap();
    let before = model.to_bytes();
    let error = model.fix_shapes(&shapes("imput", &[1, 3])).unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `input`?");
    let error = model.fix_shapes(&shapes("zz", &[1, 3])).unwrap_err();
    assert_eq!(error.hint().unwrap(), "the model's inputs are: input");
    assert!(matches!(model.fix_shapes(&shapes("input", &[1])), Err(ShapeError::Rank { .. })));
    let error = model.fix_shapes(&shapes("input", &[1, 4])).unwrap_err();
    assert_eq!(error.to_string(), "fix the shape of input `input`: dimension 1 is 3, not 4");
    assert_eq!(model.to_bytes(), before);
    let mut square = with_symbols(&["n", "n"]);
    assert!(matches!(
        square.fix_shapes(&shapes("input", &[2, 3])),
        Err(ShapeError::Contradiction { .. })
    ));
}

#[test]
fn sizes_that_cannot_be_drawn_are_refused() {
    let mut model = with_symbols(&["a", "b"]);
    model.fix_shapes(&shapes("input", &[1 << 40, 1 << 40])).unwrap();
    assert!(matches!(model.resolved_inputs(), Err(ShapeError::TooLarge { .. })));
    let mut model = with_symbols(&["a", "b"]);
    model.fix_shapes(&shapes("input", &[0, 4])).unwrap();
    assert_eq!(model.resolved_inputs().unwrap()[0].shape, [0, 4], "the user asked for it");
}
