//! `offby explode`: each different node becomes a test in ONNX's layout, and the reference passes all of them.

use crate::support::{debug_model, finish, offby};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

#[test]
fn every_node_becomes_a_test_that_the_reference_passes() {
    for network in ["efformer_mlp_gelu.onnx", "attention_bias.onnx", "group_norm.onnx"] {
        let folder = TempDir::new().unwrap();
        let mut command = offby();
        command.arg("explode").arg(debug_model(network)).args(["--input", "normal:1", "-o"]);
        command.arg(folder.path());
        let (code, text, stderr) = finish(command);
        assert_eq!(code, 0, "{stderr}");
        assert!(text.contains("--onnx-backend-tests"), "{text}");
        let list = fs::read_to_string(folder.path().join("tests.json")).unwrap();
        let tests: Vec<Value> = serde_json::from_str(&list).unwrap();
        let covered: usize = tests.iter().map(|test| test["nodes"].as_array().unwrap().len()).sum();
        assert!(covered >= tests.len() && !tests.is_empty(), "{list}");
        let mut command = offby();
        command.args(["case", "run", "--on", "tract", "--onnx-backend-tests"]).arg(folder.path());
        let (code, text, stderr) = finish(command);
        assert_eq!(code, 0, "{network}: {text}{stderr}");
    }
}

#[test]
fn equal_nodes_share_a_test() {
    let folder = TempDir::new().unwrap();
    let mut command = offby();
    command.arg("explode").arg(debug_model("linear_bn.onnx")).arg("-o").arg(folder.path());
    command.args(["--input", "normal:1", "--quiet"]);
    assert_eq!(finish(command).0, 0);
    for test in fs::read_dir(folder.path()).unwrap().flatten().filter(|e| e.path().is_dir()) {
        let set = test.path().join("test_data_set_0");
        assert!(test.path().join("model.onnx").is_file() && set.join("output_0.pb").is_file());
    }
}
