//! Two networks that should compute the same: honest rewrites agree, wrong ones are named with their node.

use crate::support::{finish_json, first_target, offby};
use offby::graph::{Attribute, Network};
use offby::tensor::{Dtype, Tensor};
use serde_json::Value;

const SHAPE: [usize; 4] = [1, 4, 6, 6];

fn weights(shape: &[usize], seed: f32) -> Tensor {
    let count = shape.iter().product::<usize>();
    let value = |at: usize| ((at as f32 + seed) * 0.7).sin();
    Tensor::from_f32(shape, (0..count).map(value).collect()).unwrap()
}

/// Conv, scale and shift by constants, Relu, Conv; the values in between have these names.
fn original() -> Network {
    Network::new("original")
        .input("x", Dtype::F32, &SHAPE)
        .initializer("w1", &weights(&[4, 4, 3, 3], 1.0))
        .initializer("w2", &weights(&[4, 4, 3, 3], 2.0))
        .initializer("scale", &weights(&[4, 1, 1], 3.0))
        .node("conv1", "Conv", &["x", "w1"], &["a"], &pads())
        .node("mul", "Mul", &["a", "scale"], &["b"], &[])
        .node("relu", "Relu", &["b"], &["c"], &[])
        .node("conv2", "Conv", &["c", "w2"], &["y"], &pads())
        .output("y", Dtype::F32, &SHAPE)
}

/// The same with the scale folded into the first weights, all names new, and an edited second weight if asked.
fn rewritten(edit: Option<usize>) -> Network {
    let (Tensor::F32(w1), Tensor::F32(scale)) =
        (weights(&[4, 4, 3, 3], 1.0), weights(&[4, 1, 1], 3.0))
    else {
        panic!("both are f32")
    };
    let folded: Vec<f32> =
        w1.iter().enumerate().map(|(at, weight)| weight * scale[[at / 36, 0, 0]]).collect();
    let mut second: Vec<f32> =
        weights(&[4, 4, 3, 3], 2.0).numbers(1).iter().map(|w| *w as f32).collect();
    if let Some(at) = edit {
        second[at] += 1.0;
    }
    Network::new("rewritten")
        .input("x", Dtype::F32, &SHAPE)
        .initializer("v1", &Tensor::from_f32(&[4, 4, 3, 3], folded).unwrap())
        .initializer("v2", &Tensor::from_f32(&[4, 4, 3, 3], second).unwrap())
        .node("n0", "Conv", &["x", "v1"], &["t0"], &pads())
        .node("n1", "Relu", &["t0"], &["t1"], &[])
        .node("n2", "Conv", &["t1", "v2"], &["out"], &pads())
        .output("out", Dtype::F32, &SHAPE)
}

fn pads() -> Vec<(&'static str, Attribute)> {
    vec![("pads", Attribute::Ints(vec![1; 4]))]
}

/// The exit code and the target of a comparison.
fn compared(first: Network, second: Network) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let paths = [("first.onnx", first), ("second.onnx", second)].map(|(name, network)| {
        let path = folder.path().join(name);
        std::fs::write(&path, network.to_bytes()).unwrap();
        path
    });
    let mut command = offby();
    command.arg("compare").args(&paths).args(["--json", "-"]);
    let (code, report) = finish_json(command);
    (code, first_target(&report).clone())
}

#[test]
fn an_honest_rewrite_agrees_whatever_its_names_are() {
    let (code, target) = compared(original(), rewritten(None));
    assert_eq!(code, 0, "{target}");
    assert_eq!(target["walk"]["sources"].as_array().unwrap().len(), 0, "{target}");
}

#[test]
fn a_wrong_rewrite_is_named_with_its_node() {
    let (code, target) = compared(original(), rewritten(Some(5)));
    assert_eq!(code, 1, "{target}");
    assert_eq!(target["walk"]["sources"][0], "conv2", "{target}");
}

/// An optimizer folds the scale into the Conv and keeps the name of the Conv's value for another value.
#[test]
fn a_name_that_now_stands_for_another_value_accuses_nobody() {
    let (Tensor::F32(w1), Tensor::F32(scale)) =
        (weights(&[4, 4, 3, 3], 1.0), weights(&[4, 1, 1], 3.0))
    else {
        panic!("both are f32")
    };
    let second = |factor: f32| {
        let folded: Vec<f32> = w1
            .iter()
            .enumerate()
            .map(|(at, weight)| weight * scale[[at / 36, 0, 0]] * factor)
            .collect();
        Network::new("folded")
            .input("x", Dtype::F32, &SHAPE)
            .initializer("w1", &Tensor::from_f32(&[4, 4, 3, 3], folded).unwrap())
            .initializer("w2", &weights(&[4, 4, 3, 3], 2.0))
            .node("conv1", "Conv", &["x", "w1"], &["a"], &pads())
            .node("relu", "Relu", &["a"], &["c"], &[])
            .node("conv2", "Conv", &["c", "w2"], &["y"], &pads())
            .output("y", Dtype::F32, &SHAPE)
    };
    let (code, target) = compared(original(), second(1.0));
    assert_eq!((code, &target["walk"]["sources"]), (0, &serde_json::json!([])), "{target}");
    // A wrong factor is found in the piece of the Conv and the scale.
    let (code, target) = compared(original(), second(1.1));
    assert_eq!(code, 1, "{target}");
    let source = &target["walk"]["sources"][0];
    let ops = target["walk"]["ops"].as_array().unwrap();
    let op = ops.iter().find(|op| op["name"] == *source).unwrap();
    assert!(op["piece"].as_array().unwrap().contains(&"conv1".into()), "{op}");
}

/// ONNX Runtime's layout of channels has operators of its own, which have the names of ONNX's.
#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn every_rewrite_of_an_optimizer_is_compared() {
    let compare = |package: &str| {
        let mut command = offby();
        let model = crate::support::debug_model("efformer_mlp_3.onnx");
        command.arg("compare").arg(model).args(["--passes", package, "--json", "-"]);
        finish_json(command)
    };
    for package in ["ort:basic", "ort:all"] {
        let (code, report) = compare(package);
        let target = first_target(&report);
        assert_eq!((code, &target["target"]), (0, &package.into()), "{target}");
        assert_eq!(target["walk"]["sources"], serde_json::json!([]), "{target}");
    }
    let mut command = offby();
    command.env("OFFBY_PYTHON", "/nowhere/python").arg("compare");
    command.arg(crate::support::debug_model("efformer_mlp_3.onnx")).args(["--passes", "onnxsim"]);
    let (code, _, stderr) = crate::support::finish(command);
    assert!(code == 2 && stderr.contains("OFFBY_PYTHON=PATH"), "{stderr}");
}

#[test]
fn networks_with_other_ends_are_refused() {
    let other = Network::new("other").input("x", Dtype::F32, &[2]).input("z", Dtype::F32, &[2]);
    let other = other.node("add", "Add", &["x", "z"], &["y"], &[]).output("y", Dtype::F32, &[2]);
    let folder = tempfile::tempdir().unwrap();
    let paths = ["first.onnx", "second.onnx"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], original().to_bytes()).unwrap();
    std::fs::write(&paths[1], other.to_bytes()).unwrap();
    let mut command = offby();
    command.arg("compare").args(&paths);
    let (code, _, stderr) = crate::support::finish(command);
    assert!(code == 2 && stderr.contains("2 inputs") && stderr.contains("hint: "), "{stderr}");
}

/// ONNX Runtime folds constants of old files, and leaves their names as inputs that no node reads.
#[test]
fn inputs_that_no_node_reads_are_left_out() {
    let (code, target) = compared(original(), rewritten(None).input("left over", Dtype::I64, &[4]));
    assert_eq!((code, &*target["verdict"]["kind"].to_string()), (0, "\"agrees\""), "{target}");
}
