//! Mistakes in a user's input: each yields one line, a hint, exit code 2, and no panic.

use crate::support::{debug_model, finish, offby};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn assert_refused(arguments: &[&str]) -> String {
    let mut command = offby();
    command.args(arguments);
    let (code, stdout, stderr) = finish(command);
    assert_eq!(code, 2, "{arguments:?}: {stdout}{stderr}");
    assert_eq!(stdout, "", "{arguments:?}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("error: ") && lines[1].starts_with("hint: "),
        "{stderr}"
    );
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

fn assert_model_refused(path: &Path) -> String {
    assert_refused(&["run", path.to_str().unwrap(), "--on", "tract:f64"])
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn files_that_are_no_models() {
    let folder = TempDir::new().unwrap();
    let whole = fs::read(debug_model("split_view.onnx")).unwrap();
    assert_model_refused(&write(&folder, "empty.onnx", b""));
    assert_model_refused(&write(&folder, "noise.onnx", &[0xff; 64]));
    assert_model_refused(&write(&folder, "ready.mnn", &[1, 2, 3]));
    assert_model_refused(&folder.path().join("missing.onnx"));
    assert_model_refused(folder.path());
    let said = assert_model_refused(&write(
        &folder,
        "case.onnx",
        b"id: a1\ntitle: split and view\nmodel: x.onnx\n",
    ));
    assert!(said.contains("YAML"), "{said}");
    for cut in [1, 7, whole.len() / 2, whole.len() - 1] {
        assert_model_refused(&write(&folder, "truncated.onnx", &whole[..cut]));
    }
}

#[test]
fn an_operator_nobody_knows() {
    use offby::graph::Network;
    use offby::tensor::Dtype;
    let folder = TempDir::new().unwrap();
    let network = Network::new("unknown")
        .input("x", Dtype::F32, &[4])
        .node("n", "NoSuchOperator", &["x"], &["y"], &[])
        .output("y", Dtype::F32, &[4]);
    let said = assert_model_refused(&write(&folder, "unknown.onnx", &network.to_bytes()));
    assert!(said.contains("NoSuchOperator"), "{said}");
}

#[test]
fn targets_nobody_knows() {
    let model = debug_model("split_view.onnx");
    for target in ["torch", "mnn:gpu", "mnn:vulkan:fast", "mnn:opencl,memory=tape", ""] {
        assert_refused(&["run", model.to_str().unwrap(), "--on", target]);
    }
}

#[test]
fn inputs_that_do_not_fit() {
    let model = debug_model("split_view.onnx");
    let model = model.to_str().unwrap();
    for input in ["arrange", "wrong=ones", "normal:x", "const:", "missing.npy"] {
        assert_refused(&["run", model, "--on", "tract", "--input", input]);
    }
    assert_refused(&["run", model, "--on", "tract", "--shape", "input"]);
    assert_refused(&["run", model, "--on", "tract", "--shape", "wrong=1,2"]);
}
