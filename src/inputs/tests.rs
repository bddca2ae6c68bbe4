//! Known values, known digests, and every refusal with its hint.

use super::*;
use crate::graph::{Dim, Model, Network, ResolvedInput, ValueInfo, ValueName, to_proto};
use crate::tensor::{Dtype, Tensor, write_npy};
use prost::Message as _;
use std::collections::BTreeMap;
use std::path::Path;

fn input(dtype: Dtype, shape: &[usize]) -> ResolvedInput {
    ResolvedInput { name: "x".into(), dtype, shape: shape.to_vec() }
}

/// A network with these inputs.
fn reads(inputs: &[ResolvedInput]) -> Model {
    let network = inputs.iter().fold(Network::new("reads"), |network, input| {
        network.input(input.name.as_str(), input.dtype, &input.shape)
    });
    let first = inputs[0].name.as_str();
    let network = network.node("same", "Identity", &[first], &["y"], &[]);
    network.output("y", inputs[0].dtype, &inputs[0].shape).finish().unwrap()
}

fn try_one(spec: &str, input: &ResolvedInput) -> Result<Feed, InputError> {
    let specs = BTreeMap::from([(input.name.clone(), spec.parse()?)]);
    Ok(draw(&reads(std::slice::from_ref(input)), &specs)?.remove(0))
}

fn one(spec: &str, dtype: Dtype, shape: &[usize]) -> Tensor {
    try_one(spec, &input(dtype, shape)).unwrap().tensor
}

fn floats(spec: &str, count: usize) -> Vec<f32> {
    let Tensor::F32(array) = one(spec, Dtype::F32, &[count]) else { panic!("not f32") };
    array.into_iter().collect()
}

fn longs(spec: &str, count: usize) -> Vec<i64> {
    let Tensor::I64(array) = one(spec, Dtype::I64, &[count]) else { panic!("not i64") };
    array.into_iter().collect()
}

fn refusal(spec: &str, dtype: Dtype, shape: &[usize]) -> (String, String) {
    let error = try_one(spec, &input(dtype, shape)).unwrap_err();
    (error.to_string(), error.hint().unwrap())
}

fn model_inputs(names: &[&str]) -> Vec<ValueInfo> {
    let info = |name: &&str| ValueInfo {
        name: (*name).into(),
        dtype: Dtype::F32,
        shape: Some(vec![Dim::Known(1)]),
    };
    names.iter().map(info).collect()
}

#[test]
fn plain_specs_have_known_values() {
    assert_eq!(floats("arange", 4), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(floats("ones", 2), [1.0, 1.0]);
    assert_eq!(floats("const:-2.5", 2), [-2.5, -2.5]);
    assert_eq!(floats("zeros", 1)[0].to_bits(), 0);
    assert!(floats("const:nan", 1)[0].is_nan());
    assert_eq!(longs("arange", 3), [0, 1, 2]);
    assert_eq!(
        longs("const:9007199254740993", 1),
        [9_007_199_254_740_993],
        "integers do not pass through f64"
    );
    assert_eq!(longs("const:1e3", 1), [1000]);
    assert_eq!(one("arange", Dtype::U8, &[258]).to_bytes()[254..], [254, 255, 0, 1]);
    assert_eq!(one("arange", Dtype::I8, &[130]).to_bytes()[126..], [126, 127, 0, 1]);
    assert_eq!(one("arange", Dtype::Bool, &[3]).to_bytes(), [0, 1, 0]);
    assert_eq!(one("ones", Dtype::Bool, &[]).to_bytes(), [1]);
}

#[test]
fn the_sine_is_the_prototypes() {
    let sine = floats("sine", 150_528);
    assert_eq!(sine[0], 0.0);
    assert!((sine[1] - 0.723_231_4).abs() < 1e-6);
    // The product is rounded to f32 before the sine. For large products, this changes the value.
    assert_eq!(sine[150_000].to_bits(), (libm::sinf(150_000.0f32 * 0.37f32) * 2.0).to_bits());
    assert_ne!(sine[150_001], (2.0 * libm::sin(0.37 * 150_001.0)) as f32);
}

#[test]
fn random_specs_are_pinned() {
    let digest =
        |spec: &str, dtype| try_one(spec, &input(dtype, &[1000])).unwrap().digest.to_string();
    let pinned = [
        (
            "normal:0",
            Dtype::F32,
            "sha256:4a5953503ca66d55d0875703ad9b723cf3d3d72fdbfba7153cf14a0fda26467c",
        ),
        (
            "normal:1",
            Dtype::F16,
            "sha256:53032c969a105d0b5d09a45a0a95ec6cd7a023f0bf7fb6e873f130a47a5402a3",
        ),
        (
            "uniform:-1,1,3",
            Dtype::F32,
            "sha256:3ce63d7bd2337953ea0092839e4df75c89b1b0a56cffa94ea5215ffe0341ecea",
        ),
        (
            "edge:0",
            Dtype::F32,
            "sha256:c2c092d82242d4cc7211597aee401ca9da9f6efd37087424e99dbe9b504aa900",
        ),
        (
            "uniform:0,30522,4",
            Dtype::I64,
            "sha256:c6fe41ebb866a657ae855f12bc42783f792c3f622f25dd15f87e2fed9ded8cc5",
        ),
        (
            "sine",
            Dtype::F32,
            "sha256:94d1aa93cf009915b279c9f28193363ed5e8e5ce447b22ef339041784aa5c663",
        ),
    ];
    let found: Vec<_> =
        pinned.iter().map(|&(spec, dtype, _)| (spec, dtype, digest(spec, dtype))).collect();
    let wanted: Vec<_> =
        pinned.iter().map(|&(spec, dtype, digest)| (spec, dtype, digest.to_owned())).collect();
    assert_eq!(found, wanted, "feeds must never change: reports name them by digest");
    assert_eq!(digest("normal", Dtype::F32), digest("normal:0", Dtype::F32));
    assert_ne!(digest("normal:0", Dtype::F32), digest("normal:1", Dtype::F32));
}

#[test]
fn ranges_are_kept() {
    assert!(floats("uniform:-2,5,1", 999).iter().all(|v| (-2.0..=5.0).contains(v)));
    let drawn = longs("uniform:3,6,1", 999);
    assert!(
        [3, 4, 5].iter().all(|v| drawn.contains(v)) && drawn.iter().all(|v| (3..6).contains(v))
    );
    assert_eq!(
        one("uniform:0,256,0", Dtype::U8, &[9]).len(),
        9,
        "the end may lie one beyond the type"
    );
}

#[test]
fn edges_are_hard_and_finite() {
    let drawn = floats("edge:1", 9999);
    assert!(drawn.iter().all(|v| v.is_finite()));
    for wanted in [0.0, -0.0, 1.0, f32::from_bits(1), 65504.0, 65520.0, 2049.0, 1e-6, 88.7] {
        assert!(drawn.iter().any(|v: &f32| v.to_bits() == f32::to_bits(wanted)), "{wanted}");
    }
    let Tensor::F16(array) = one("edge:1", Dtype::F16, &[9999]) else { panic!("not f16") };
    assert!(array.iter().all(|v| v.is_finite()) && array.iter().any(|v| v.to_bits() == 1));
    for dtype in [Dtype::Bf16, Dtype::F64, Dtype::I8, Dtype::U64, Dtype::Bool] {
        assert_eq!(one("edge", dtype, &[7]).len(), 7);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (text, hint) = refusal("arange", Dtype::F16, &[70_000]);
    assert_eq!(text, "feed input `x` with `arange`: 65520 is out of range of f16");
    assert!(hint.contains("sine"));
    assert!(refusal("sine", Dtype::I64, &[1]).0.contains("fractions"));
    assert!(refusal("normal:3", Dtype::I64, &[1]).1.contains("`ids:3`"));
    assert!(refusal("ids:3", Dtype::I64, &[1]).1.contains("`uniform:0,ROWS,3`"));
    assert!(refusal("ids:3", Dtype::F32, &[1]).0.contains("indices are integers"));
    assert!(refusal("const:0.5", Dtype::I64, &[1]).0.contains("not a whole number"));
    assert!(refusal("const:256", Dtype::U8, &[1]).0.contains("out of range of u8"));
    assert!(refusal("uniform:0,258,1", Dtype::U8, &[1]).0.contains("out of range"));
    assert!(refusal("const:1e40", Dtype::F32, &[1]).0.contains("out of range of f32"));
}

#[test]
fn bad_specs_have_hints() {
    let refused = |spec: &str| {
        let error = spec.parse::<Spec>().unwrap_err();
        format!("{error} | {}", error.hint().unwrap())
    };
    assert!(refused("arrange").ends_with("did you mean `arange`?"));
    assert!(refused("qq").contains("write one of: arange, "));
    assert!(refused("").contains("write one of"));
    assert!(refused("ones:3").ends_with("it takes no arguments | write `ones`"));
    assert!(refused("const").ends_with("write `const:VALUE`"));
    assert!(refused("normal:-1").ends_with("write `normal:SEED`"));
    for spec in [
        "uniform",
        "uniform:1",
        "uniform:2,1,0",
        "uniform:0,1,2,3",
        "uniform:0,inf,1",
        "uniform:a,b,1",
    ] {
        assert!(refused(spec).ends_with("write `uniform:LO,HI,SEED`"), "{spec}");
    }
}

#[test]
fn specs_are_written_as_they_are_read() {
    for text in
        ["arange", "const:1e3", "normal:7", "uniform:-1,1,0", "edge:2", "a/b.npy", "b.pb", "c.png"]
    {
        assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
    }
    assert_eq!("uniform:0, 1".parse::<Spec>().unwrap().to_string(), "uniform:0,1,0");
}

#[test]
fn arguments_find_their_inputs() {
    let parse = |texts: &[&str], names: &[&str]| {
        parse_inputs(texts, &model_inputs(names), &Normalization::default())
    };
    assert_eq!(parse(&["ones"], &["x"]).unwrap()[&ValueName::from("x")], Spec::Ones);
    assert_eq!(parse(&["b=ones"], &["a", "b"]).unwrap().len(), 1);
    assert_eq!(parse(&["a=b=sine"], &["a=b"]).unwrap()[&ValueName::from("a=b")], Spec::Sine);
    let hint = |texts: &[&str], names: &[&str]| parse(texts, names).unwrap_err().hint().unwrap();
    assert!(hint(&["ones"], &["a", "b"]).ends_with("the model's inputs are: a, b"));
    assert!(hint(&["ones"], &[]).contains("has no inputs"));
    assert_eq!(hint(&["imput=ones"], &["input", "mask"]), "did you mean `input`?");
    assert_eq!(hint(&["x=ones", "zeros"], &["x"]), "keep one `--input x=...`");
}

#[test]
fn inputs_left_out_differ_from_each_other() {
    let inputs = ["a", "b"].map(|name| ResolvedInput {
        name: name.into(),
        dtype: Dtype::F32,
        shape: vec![9],
    });
    let model = reads(&inputs);
    let feeds = draw(&model, &BTreeMap::new()).unwrap();
    assert_eq!([feeds[0].spec.as_str(), feeds[1].spec.as_str()], ["normal:0", "normal:1"]);
    assert_ne!(feeds[0].digest, feeds[1].digest);
    assert_eq!(feeds, draw(&model, &BTreeMap::new()).unwrap());
}

#[test]
fn files_are_taken_as_they_are_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = Tensor::from_f32(&[2, 2], vec![1.0, f32::NAN, -0.0, 4.0]).unwrap();
    let (npy, pb) = (folder.path().join("t.npy"), folder.path().join("t.pb"));
    write_npy(&npy, &tensor).unwrap();
    std::fs::write(&pb, to_proto("", &tensor).encode_to_vec()).unwrap();
    for path in [&npy, &pb] {
        let spec = path.to_str().unwrap();
        assert_eq!(one(spec, Dtype::F32, &[2, 2]).to_bytes(), tensor.to_bytes());
        assert_eq!(one(spec, Dtype::F64, &[2, 2]).dtype(), Dtype::F64);
        assert!(
            refusal(spec, Dtype::I32, &[2, 2]).0.ends_with("the input is i32, and NaN is no i32")
        );
        assert!(refusal(spec, Dtype::F32, &[1, 4]).1.contains("reshape([1, 4])"));
        assert!(refusal(spec, Dtype::F32, &[5]).1.contains("--shape"));
    }
    write_npy(&npy, &Tensor::from_f32(&[2], vec![1.5, -3.0]).unwrap()).unwrap();
    assert_eq!(one(npy.to_str().unwrap(), Dtype::Bf16, &[2]).dtype(), Dtype::Bf16);
    write_npy(&npy, &Tensor::from_f32(&[2], vec![1.5, 0.1]).unwrap()).unwrap();
    assert!(refusal(npy.to_str().unwrap(), Dtype::Bf16, &[2]).1.contains("exactly bf16"));
    assert!(refusal("none.npy", Dtype::F32, &[1]).0.contains("none.npy"));
}

fn save_picture(path: &Path) {
    let pixels =
        image::RgbImage::from_fn(4, 2, |x, y| image::Rgb([(x * 60) as u8, (y * 200) as u8, 255]));
    pixels.save(path).unwrap();
}

#[test]
fn pictures_become_channels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.png");
    save_picture(&path);
    let norm = Normalization::new(&[0.5], &[1.0, 2.0, 0.25]).unwrap();
    let infos = model_inputs(&["x"]);
    let specs = parse_inputs(&[path.to_str().unwrap()], &infos, &norm).unwrap();
    let feed = draw(&reads(&[input(Dtype::F32, &[2, 3, 2, 4])]), &specs).unwrap().remove(0);
    assert!(feed.spec.ends_with("p.png mean=0.5,0.5,0.5 std=1,2,0.25"));
    let Tensor::F32(array) = feed.tensor else { panic!("not f32") };
    for batch in 0..2 {
        assert_eq!(array[[batch, 0, 0, 3]], 180.0 / 255.0 - 0.5);
        assert_eq!(array[[batch, 1, 1, 0]], (200.0 / 255.0 - 0.5) / 2.0);
        assert_eq!(array[[batch, 2, 1, 3]], 2.0);
    }
    assert_eq!(one(path.to_str().unwrap(), Dtype::F32, &[1, 1, 8, 8]).len(), 64);
}

#[test]
fn pictures_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.png");
    save_picture(&path);
    let spec = path.to_str().unwrap();
    assert!(refusal(spec, Dtype::F32, &[1, 8, 8, 3]).1.contains("N x 3 x H x W"));
    assert!(refusal(spec, Dtype::U8, &[1, 3, 8, 8]).0.contains("element type u8"));
    std::fs::write(&path, b"no picture").unwrap();
    assert!(refusal(spec, Dtype::F32, &[1, 3, 8, 8]).0.contains("p.png"));
    assert!(refusal("none.jpg", Dtype::F32, &[1, 3, 8, 8]).0.contains("none.jpg"));
    assert!(Normalization::new(&[0.0, 1.0], &[]).unwrap_err().hint().is_some());
    assert!(Normalization::new(&[], &[0.0]).is_err());
}

/// A network that looks up rows of a table of 30 by `ids`, masks them, and reads lengths and a rate.
fn transformer() -> Model {
    let table = Tensor::from_f32(&[30, 2], vec![0.5; 60]).unwrap();
    let one = |value: i64| {
        Tensor::from_bytes(Dtype::I64, &[], &value.to_le_bytes()).expect("it is one element")
    };
    Network::new("transformer")
        .input("ids", Dtype::I64, &[1, 6])
        .input("attention_mask", Dtype::I64, &[1, 6])
        .input("lengths", Dtype::I64, &[1])
        .input("rate", Dtype::I64, &[])
        .input("other", Dtype::I64, &[3])
        .initializer("table", &table)
        .initializer("zero", &one(0))
        .initializer("fast", &one(16000))
        .node("same", "Identity", &["ids"], &["same"], &[])
        .node("look", "Gather", &["table", "same"], &["rows"], &[])
        .node("pad", "Equal", &["ids", "zero"], &["padded"], &[])
        .node("is_fast", "Equal", &["rate", "fast"], &["is_fast"], &[])
        .output("rows", Dtype::F32, &[1, 6, 2])
        .finish()
        .unwrap()
}

#[test]
fn integers_are_guessed_from_their_use() {
    let feeds = draw(&transformer(), &BTreeMap::new()).unwrap();
    let of = |name: &str| feeds.iter().find(|feed| feed.name.as_str() == name).unwrap();
    let note = |name: &str| of(name).note.clone().unwrap_or_default();
    assert_eq!(of("ids").spec, "ids:0");
    assert_eq!(note("ids"), "guessed: `look` looks up rows 0 to 29");
    let ids = of("ids").tensor.numbers(1);
    assert!(ids.iter().all(|id| (0.0..30.0).contains(id)) && ids.iter().any(|id| *id > 1.0));
    assert_eq!(of("attention_mask").spec, "ones");
    assert_eq!(
        (of("lengths").spec.as_str(), of("lengths").tensor.numbers(1)),
        ("const:6", vec![6.0])
    );
    assert_eq!(of("rate").spec, "const:16000");
    assert_eq!((of("other").spec.as_str(), note("other")), ("uniform:0,2,4", String::new()));
}

#[test]
fn an_extent_of_zero_is_taken_if_the_user_gives_it() {
    let mut model = Model::from_bytes(&decoder(), Path::new("decoder.onnx")).unwrap();
    assert!(draw(&model, &BTreeMap::new()).is_err());
    model.fix_shapes(&BTreeMap::from([(ValueName::from("past"), vec![1, 0, 4])])).unwrap();
    let feeds = draw(&model, &BTreeMap::new()).unwrap();
    assert_eq!(feeds[0].tensor.shape(), [1, 0, 4]);
}

fn decoder() -> Vec<u8> {
    let network = Network::new("decoder").input("past", Dtype::F32, &[1, 0, 4]);
    let network = network.node("same", "Identity", &["past"], &["present"], &[]);
    network.output("present", Dtype::F32, &[1, 0, 4]).to_bytes()
}
