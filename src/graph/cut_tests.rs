//! Tests cuts of hand-made networks: kept nodes, removed nodes and errors.

use super::*;
use crate::tensor::{Dtype, Tensor};
use prost::Message as _;
use std::path::Path;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, StringStringEntryProto,
    TensorAnnotation, TensorProto, ValueInfoProto,
};

fn names(names: &[&str]) -> Vec<ValueName> {
    names.iter().map(|name| ValueName::from(*name)).collect()
}

fn boundary(name: &str) -> Boundary {
    Boundary { name: name.into(), dtype: Dtype::F32, shape: vec![2, 4] }
}

fn cut(model: &Model, from: &[&str], to: &[&str]) -> Result<Model, CutError> {
    let from = from.iter().map(|name| boundary(name)).collect();
    model.cut(&Cut { to: names(to), from, constants: vec![] })
}

fn ops(model: &Model) -> Vec<String> {
    model.nodes().map(|node| node.name.to_owned()).collect()
}

fn inputs(model: &Model) -> Vec<String> {
    model.inputs().iter().map(|input| input.name.to_string()).collect()
}

/// `x` is split in two. Both halves take different paths and meet again. Every oddity has a name.
fn halves() -> Network {
    let two = Tensor::from_f32(&[1], vec![2.0]).unwrap();
    Network::new("halves")
        .input("x", Dtype::F32, &[2, 8])
        .input("unused", Dtype::F32, &[1])
        .initializer("two", &two)
        .initializer("dangling", &two)
        .node("/split", "Split", &["x"], &["model::a", "b"], &[("axis", Attribute::Int(1))])
        .node("same", "Mul", &["model::a", "two"], &["/left/Mul_0"], &[])
        .node("same", "Tanh", &["b"], &["/right/Tanh_0"], &[])
        .node("clip", "Clip", &["/left/Mul_0", "", "two"], &["clipped"], &[])
        .node("meet", "Add", &["clipped", "/right/Tanh_0"], &["y"], &[])
        .node("aside", "Relu", &["b"], &["z"], &[])
        .output("y", Dtype::F32, &[2, 4])
        .output("z", Dtype::F32, &[2, 4])
}

#[test]
fn only_what_an_output_needs_stays() {
    let model = halves().finish().unwrap();
    let left = cut(&model, &[], &["clipped"]).unwrap();
    assert_eq!(ops(&left), ["/split", "same", "clip"]);
    assert_eq!((inputs(&left), left.outputs()), (vec!["x".to_owned()], &names(&["clipped"])[..]));
    let stored = |model: &Model| model.graph().initializer.iter().map(|t| t.name.clone()).collect();
    let kept: Vec<String> = stored(&left);
    assert_eq!(kept, ["two"]);
    let inner = cut(&model, &["/left/Mul_0"], &["y", "z"]).unwrap();
    assert_eq!(ops(&inner), ["/split", "same", "clip", "meet", "aside"]);
    assert_eq!(inputs(&inner), ["x", "/left/Mul_0"]);
    let last = cut(&model, &["clipped", "/right/Tanh_0"], &["y"]).unwrap();
    assert_eq!((ops(&last), last.graph().initializer.len()), (vec!["meet".to_owned()], 0));
}

#[test]
fn a_cut_model_is_a_model_of_its_own() {
    let model = halves().finish().unwrap();
    let left = cut(&model, &[], &["clipped"]).unwrap();
    let again = Model::from_bytes(&left.to_bytes(), left.path()).unwrap();
    assert_eq!((again.digest(), again.opset()), (left.digest(), model.opset()));
    assert_ne!(left.path(), model.path());
    assert_eq!(left.path().parent(), model.path().parent());
    assert!(!left.path().exists() && left.path().to_string_lossy().contains("to-clipped"));
}

#[test]
fn a_node_kept_for_its_other_output_gives_its_own_name_away() {
    let model = halves().finish().unwrap();
    let cut = cut(&model, &["model::a"], &["y"]).unwrap();
    let split = cut.nodes().find(|node| node.name == "/split").unwrap();
    assert_eq!(split.outputs, ["model::a/recomputed", "b"]);
    assert_eq!(inputs(&cut), ["x", "model::a"]);
}

#[test]
fn values_become_constants() {
    let model = halves().finish().unwrap();
    let tensor = Tensor::from_f32(&[2, 4], vec![1.0; 8]).unwrap();
    let constants = vec![("clipped".into(), tensor.clone()), ("z".into(), tensor)];
    let cut = model.cut(&Cut { to: names(&["y"]), from: vec![], constants }).unwrap();
    assert_eq!(ops(&cut), ["/split", "same", "meet"], "`same` is the Tanh");
    assert_eq!(cut.graph().initializer[0].name, "clipped");
    assert_eq!(cut.graph().initializer.len(), 1);
}

#[test]
fn names_are_found_or_the_nearest_is_told() {
    let model = halves().finish().unwrap();
    assert_eq!(model.find_value("/left/Mul_0").unwrap(), "/left/Mul_0".into());
    assert_eq!(model.find_value("/split").unwrap(), "model::a".into());
    assert_eq!(model.find_value("meet").unwrap(), "y".into());
    let error = model.find_value("cliped").unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `clipped`?");
    let error = model.find_value("same").unwrap_err();
    assert_eq!(
        error.hint().unwrap(),
        "name the value instead, one of: `/left/Mul_0`, `/right/Tanh_0`"
    );
    assert!(matches!(model.find_value(""), Err(CutError::Unknown { .. })));
}

#[test]
fn cuts_that_make_no_sense_are_refused_with_a_reason() {
    let model = halves().finish().unwrap();
    for (from, to, words) in [
        (&[][..], &[][..], "no value is named"),
        (&[], &["x"], "it is an input of the model"),
        (&[], &["two"], "it is a constant of the model"),
        (&["y"], &["y"], "it is where the cut begins"),
        (&["y"], &["clipped"], "it comes after `clipped`"),
        (&["z"], &["y"], "no output of the cut depends on it"),
        (&["dangling"], &["y"], "no output of the cut depends on it"),
        (&["b", "/right/Tanh_0"], &["y"], "no output needs it in addition to `/right/Tanh_0`"),
        (&["b", "b"], &["y"], "named twice"),
        (&[], &["y", "y"], "named twice"),
        (&["nowhere"], &["y"], "no value and no node"),
    ] {
        let error = cut(&model, from, to).unwrap_err();
        assert!(error.to_string().contains(words), "{error}, not {words}");
        assert!(error.to_string().starts_with("cut ") && error.hint().is_some(), "{error}");
    }
}

#[test]
fn outputs_get_a_type() {
    let elem = |model: &Model| model.value_info(&model.outputs()[0]).unwrap();
    let model = Network::new("types")
        .input("x", Dtype::F16, &[2, 4])
        .node("tanh", "Tanh", &["x"], &["t"], &[])
        .node("shape", "Shape", &["t"], &["s"], &[])
        .node("gather", "Gather", &["s", "s"], &["g"], &[])
        .node("less", "Less", &["x", "t"], &["l"], &[])
        .node("cast", "Cast", &["l"], &["c"], &[("to", Attribute::Int(1))])
        .node("top", "TopK", &["x", "s"], &["v", "i"], &[])
        .output("c", Dtype::F32, &[2, 4])
        .finish()
        .unwrap();
    for (to, dtype) in [
        ("t", Dtype::F16),
        ("g", Dtype::I64),
        ("l", Dtype::Bool),
        ("v", Dtype::F16),
        ("i", Dtype::I64),
    ] {
        let cut = cut(&model, &[], &[to]).unwrap();
        assert_eq!((elem(&cut).dtype, elem(&cut).shape), (dtype, None), "{to}");
    }
    let mut whole = cut(&model, &[], &["c"]).unwrap();
    let before = whole.digest().clone();
    assert_eq!(elem(&whole).shape.unwrap(), [Dim::Known(2), Dim::Known(4)]);
    let info = |name: &str| Boundary { shape: vec![4, 2], ..boundary(name) };
    whole.declare(&[info("c"), info("t"), info("nowhere")]);
    assert_eq!(elem(&whole).shape.unwrap(), [Dim::Known(4), Dim::Known(2)]);
    assert!(whole.value_info(&"t".into()).is_some());
    assert_ne!(*whole.digest(), before);
    assert_eq!(
        cut(&whole, &[], &["t"]).unwrap().value_info(&"t".into()).unwrap().dtype,
        Dtype::F32
    );
}

fn subgraph(name: &str, nodes: Vec<NodeProto>, output: &str) -> AttributeProto {
    let output = ValueInfoProto { name: output.to_owned(), ..ValueInfoProto::default() };
    AttributeProto {
        name: name.to_owned(),
        r#type: 5,
        g: Some(GraphProto { node: nodes, output: vec![output], ..GraphProto::default() }),
        ..AttributeProto::default()
    }
}

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op.to_owned(),
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

#[test]
fn what_a_subgraph_captures_is_needed() {
    let network = Network::new("branches")
        .input("x", Dtype::F32, &[2, 4])
        .input("c", Dtype::Bool, &[])
        .node("relu", "Relu", &["x"], &["r"], &[])
        .node("tanh", "Tanh", &["x"], &["t"], &[])
        .node("exp", "Exp", &["x"], &["inner"], &[])
        .output("out", Dtype::F32, &[2, 4]);
    let mut proto = ModelProto::decode(network.to_bytes().as_slice()).unwrap();
    let then = subgraph("then_branch", vec![node("Neg", &["r"], "inner", vec![])], "inner");
    let deep = subgraph("then_branch", vec![node("Neg", &["t"], "d", vec![])], "d");
    let other = subgraph("else_branch", vec![node("Neg", &["c"], "e", vec![])], "e");
    let nested = subgraph("else_branch", vec![node("If", &["c"], "n", vec![deep, other])], "n");
    proto.graph.as_mut().unwrap().node.push(node("If", &["c"], "out", vec![then, nested]));
    let model = Model::from_bytes(&proto.encode_to_vec(), Path::new("b.onnx")).unwrap();
    let whole = cut(&model, &[], &["out"]).unwrap();
    assert_eq!(ops(&whole), ["relu", "tanh", ""], "`inner` is the subgraph's own, not Exp's");
    let inner = cut(&model, &["t"], &["out"]).unwrap();
    assert_eq!(
        (ops(&inner), inputs(&inner)),
        (vec!["relu".into(), "".into()], vec!["x".into(), "c".into(), "t".to_owned()])
    );
    let error = model.find_value("d").unwrap_err();
    assert!(error.to_string().contains("inside a subgraph of node `out`"), "{error}");
    assert_eq!(model.nodes_in_bodies(), [("If".to_owned(), 4)].into());
}

#[test]
fn old_files_declare_their_constants_as_inputs() {
    let mut proto = ModelProto::decode(halves().to_bytes().as_slice()).unwrap();
    proto.ir_version = 3;
    let declared = cut(&halves().input("two", Dtype::F32, &[1]).finish().unwrap(), &[], &["y"]);
    assert_eq!(inputs(&declared.unwrap()), ["x"]);
    let graph = proto.graph.as_mut().unwrap();
    graph.input.push(value_info::declare("two", Dtype::F32, &[1]));
    let model = Model::from_bytes(&proto.encode_to_vec(), Path::new("o.onnx")).unwrap();
    let constants = vec![("b".into(), Tensor::from_f32(&[2, 4], vec![1.0; 8]).unwrap())];
    let cut = model.cut(&Cut { to: names(&["y"]), from: vec![], constants }).unwrap();
    let declared: Vec<&str> = cut.graph().input.iter().map(|input| input.name.as_str()).collect();
    assert_eq!((declared, inputs(&cut)), (vec!["x", "two", "b"], vec!["x".to_owned()]));
}

#[test]
fn sparse_constants_and_quantization_parameters_stay_where_they_are_needed() {
    let mut proto = ModelProto::decode(halves().to_bytes().as_slice()).unwrap();
    let graph = proto.graph.as_mut().unwrap();
    let dense = graph.initializer.remove(0);
    let other = TensorProto { name: "lost".to_owned(), ..dense.clone() };
    let sparse =
        |values| SparseTensorProto { values: Some(values), ..SparseTensorProto::default() };
    graph.sparse_initializer = vec![sparse(dense), sparse(other)];
    let annotation = |value: &str, parameter: &str| TensorAnnotation {
        tensor_name: Some(value.to_owned()),
        quant_parameter_tensor_names: vec![StringStringEntryProto {
            key: "SCALE_TENSOR".to_owned(),
            value: parameter.to_owned(),
        }],
    };
    graph.quantization_annotation =
        vec![annotation("clipped", "two"), annotation("clipped", "lost"), annotation("z", "two")];
    let model = Model::from_bytes(&proto.encode_to_vec(), Path::new("s.onnx")).unwrap();
    let left = cut(&model, &[], &["clipped"]).unwrap();
    assert_eq!(left.graph().sparse_initializer.len(), 1);
    assert_eq!(left.graph().quantization_annotation, [annotation("clipped", "two")]);
}

#[test]
fn what_does_not_fit_a_protobuf_message_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::File::create(folder.path().join("w")).unwrap().set_len(3 << 30).unwrap();
    let mut proto = ModelProto::decode(halves().to_bytes().as_slice()).unwrap();
    let tensor = &mut proto.graph.as_mut().unwrap().initializer[0];
    tensor.raw_data.clear();
    tensor.data_location = Some(1);
    let entry = StringStringEntryProto { key: "location".to_owned(), value: "w".to_owned() };
    tensor.external_data = vec![entry];
    let path = folder.path().join("m.onnx");
    let model = Model::from_bytes(&proto.encode_to_vec(), &path).unwrap();
    let large = cut(&model, &[], &["clipped"]).unwrap();
    assert!(large.to_bytes().len() < 1 << 20, "the data stays in its file");
    assert_eq!(large.data_folder(), Some(folder.path().canonicalize().unwrap()));
    assert!(matches!(large.to_whole_bytes(), Err(CutError::TooLarge { bytes }) if bytes > 3 << 30));
    let rest = cut(&model, &[], &["/right/Tanh_0"]).unwrap();
    assert_eq!(rest.data_folder(), None, "the rest does not need it");
}
