//! `offby fallback`: it finds the operators that must run elsewhere by moving them.

use crate::support::{device, need, offby};
use serde_json::Value;

/// Runs the command; returns its exit code, its text and its report.
fn fallback(model: &str, on: &str, more: &[&str]) -> (i32, String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let mut command = offby();
    command.args(["fallback", model, "--on", on, "--json"]).arg(&json).args(more);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let report = std::fs::read(&json).map_or(Value::Null, |b| serde_json::from_slice(&b).unwrap());
    (output.status.code().unwrap(), text, report)
}

fn members(report: &Value) -> Vec<&str> {
    let members = report["targets"][0]["fallback"]["members"].as_array().unwrap();
    members.iter().map(|member| member["name"].as_str().unwrap()).collect()
}

const NETWORK: &str = "debug-models/efformer_mlp_3.onnx";

#[test]
fn types_that_must_go_are_found_and_proven() {
    let faults = "faults:\n  - {fault: scale, factor: 1.5, at: {op: [Erf]}}\n  - {fault: ulps, ulps: 16384, at: {op: [Conv]}}\n";
    let (_folder, on) = device(faults);
    let (code, text, report) = fallback(NETWORK, &on, &["--input", "normal:0"]);
    assert_eq!((code, members(&report)), (0, vec!["Erf", "Conv"]), "{text}");
    let found = &report["targets"][0]["fallback"];
    assert_eq!(found["proven"], 2);
    assert!(found["error_after"].as_f64().unwrap() < 1e-6, "{text}");
    assert!(found["transfers"]["tensors"].as_u64().unwrap() > 0);
    assert!(text.contains("simulated"), "{text}");
}

#[test]
fn one_operator_of_many_of_its_type_is_found() {
    let (_folder, on) = device("faults:\n  - {fault: channel-swap, at: {op: [Conv], index: 0}}\n");
    let (code, text, report) = fallback(NETWORK, &on, &["--input", "normal:0", "--by", "op"]);
    assert_eq!((code, members(&report).len()), (0, 1), "{text}");
}

/// Everything is stored in 16 bits: no operator is to blame, and moving one does not help.
#[test]
fn no_small_set_helps_against_rounding_everywhere() {
    let more = ["--input", "normal:0", "--rtol", "1e-4", "--atol", "1e-4"];
    let (code, text, report) = fallback(NETWORK, "sim:mix2s-opencl", &more);
    assert_eq!(code, 1, "{text}");
    assert!(report["targets"][0]["fallback"]["members"].is_null());
    let curve = report["targets"][0]["fallback"]["curve"].as_array().unwrap();
    assert!(curve.len() > 2, "{text}");
    assert!(text.contains("no set helps"), "{text}");
}

/// MNN's CPU pads with the same wrong number as its Vulkan backend.
#[test]
#[ignore = "needs the driver of mnn:vulkan:high"]
fn a_cpu_that_is_wrong_itself_is_named() {
    need("mnn:vulkan:high");
    let (code, text, _) =
        fallback("debug-models/pool_sentinel.onnx", "mnn:vulkan:high", &["--input", "sine"]);
    assert_eq!(code, 1, "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("The engine's own CPU is wrong at `output`, too."), "{text}");
}

#[test]
fn what_is_right_needs_nothing() {
    let (code, text, report) = fallback(NETWORK, "sim:honest-f16", &["--input", "normal:0"]);
    assert_eq!((code, members(&report).len()), (0, 0), "{text}");
    assert!(text.contains("right as it is"), "{text}");
}

#[test]
fn a_target_that_dies_is_told_as_a_walk_tells_it() {
    let (_folder, on) = device("faults:\n  - {fault: abort, at: {op: [Erf]}}\n");
    let (code, text, report) = fallback(NETWORK, &on, &["--input", "normal:0"]);
    assert_eq!(code, 3, "{text}");
    assert!(report["targets"][0]["fallback"].is_null());
    assert!(text.contains("Erf"), "{text}");
}

/// The reference itself cannot be wrong.
#[test]
fn the_reference_is_refused() {
    let (code, text, _) = fallback(NETWORK, "tract", &[]);
    assert_eq!(code, 2);
    assert!(text.contains("it is the reference"), "{text}");
}

/// MNN 3.6.1's OpenCL LayerNorm on images uses the parameters of one channel for four channels.
#[test]
#[ignore = "needs OpenCL"]
fn a_real_driver_is_right_once_its_operator_is_moved() {
    let on = "mnn:opencl:high";
    need(on);
    let model = "debug-models/layer_norm_256.onnx";
    let (code, text, report) = fallback(model, on, &["--input", "arange"]);
    assert_eq!((code, members(&report)), (0, vec!["LayerNorm"]), "{text}");
    let found = &report["targets"][0]["fallback"];
    assert_eq!(found["members"][0]["type_number"], 603, "{text}");
    assert!(text.contains("OpenCLBackend::onCreate"), "{text}");
}
