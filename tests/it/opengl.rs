//! MNN's OpenGL ES backend on a software driver. MNN no longer maintains it: each network is refused, right within f16,
//! or wrong, and offby says which.

use crate::support::{debug_model, finish_json, first_target, offby};
use serde_json::Value;

const TARGET: &str = "mnn:opengl";

/// The verdict of a command on a network, and its whole target.
fn asked(command: &str, model: &str) -> (String, Value) {
    let mut offby = offby();
    offby.arg(command).arg(debug_model(model)).args(["--on", TARGET, "--json", "-"]);
    let (_, report) = finish_json(offby);
    let target = first_target(&report).clone();
    (target["verdict"]["kind"].as_str().unwrap().to_owned(), target)
}

#[test]
#[ignore = "needs the driver of mnn:opengl"]
fn networks_are_right_within_mediump_or_refused_or_wrong() {
    for (model, kinds) in [
        ("small_mlp.onnx", &["agrees"][..]),
        ("basic_block.onnx", &["agrees"]),
        ("strided_conv.onnx", &["agrees"]),
        ("split_view.onnx", &["rejected"]),
        ("embedding.onnx", &["rejected"]),
        ("packed_product.onnx", &["divergent"]),
        ("scaled_product.onnx", &["divergent"]),
        ("repeated_sum.onnx", &["divergent"]),
        // What is read was never written, and may be the same bytes by chance.
        ("linear_bn.onnx", &["nondeterministic", "divergent", "nonfinite"]),
        ("transposed_product.onnx", &["nondeterministic", "divergent", "nonfinite"]),
    ] {
        let (kind, target) = asked("run", model);
        assert!(kinds.contains(&kind.as_str()), "{model}: {target}");
    }
}

#[test]
#[ignore = "needs the driver of mnn:opengl"]
fn a_walk_names_the_operator() {
    for (model, operator) in [
        ("packed_product.onnx", "`output` reads other values than were fed"),
        ("repeated_sum.onnx", "`one` (BinaryOp, cpu)"),
        ("scaled_product.onnx", "`product` (MatMul, cpu)"),
    ] {
        let (_, target) = asked("walk", model);
        let sentence = target["verdict"]["sentence"].as_str().unwrap();
        assert!(sentence.contains(operator), "{model}: {sentence}");
    }
}

/// Without libraries of EGL the target is unavailable, and nothing aborts.
#[test]
#[ignore = "needs the driver of mnn:opengl"]
fn a_missing_driver_is_unavailable() {
    let mut command = offby();
    command.env("EGL_PLATFORM", "x11").env_remove("DISPLAY");
    command.arg("run").arg(debug_model("small_mlp.onnx")).args(["--on", TARGET, "--json", "-"]);
    let (code, report) = finish_json(command);
    let target = first_target(&report);
    assert_eq!((code, &target["outcome"]), (3, &"unavailable".into()), "{target}");
    assert!(target["verdict"]["hint"].as_str().unwrap().contains("libegl"), "{target}");
}
