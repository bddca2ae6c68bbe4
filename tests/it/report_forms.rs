//! Forms of a report for other programs, and what changed between two reports.

use crate::support::{debug_model, finish, offby};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Walks a debug network on a simulated device, and returns the path of its report.
fn walked(folder: &Path, device: &str) -> String {
    let out = folder.join(device);
    let mut command = offby();
    command.arg("walk").arg(debug_model("basic_block.onnx"));
    command.args(["--on", &format!("sim:{device}"), "--quiet", "--out"]).arg(&out);
    let (code, _, stderr) = finish(command);
    assert!(code <= 1, "{stderr}");
    out.join("report.json").display().to_string()
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = offby();
    command.args(arguments);
    finish(command)
}

#[test]
fn a_diff_of_reports_names_what_changed() {
    let folder = TempDir::new().unwrap();
    let (good, bad) = (walked(folder.path(), "honest-f32"), walked(folder.path(), "scale"));
    let (code, text, _) = run(&["report", "diff", &good, &good]);
    assert_eq!((code, text.as_str()), (0, "no change\n"));
    let (code, text, _) = run(&["report", "diff", &good, &bad]);
    assert_eq!(code, 1);
    assert!(text.contains("agrees before, divergent now"), "{text}");
    assert!(text.contains("now introduces error"), "{text}");
    let (code, text, _) = run(&["report", "diff", &bad, &good]);
    assert!(code == 1 && text.contains("introduces error no more"), "{text}");
}

#[test]
fn annotations_and_a_summary_are_for_github() {
    let folder = TempDir::new().unwrap();
    let report = walked(folder.path(), "scale");
    let summary = folder.path().join("summary.md");
    let mut command = offby();
    command.args(["report", "render", &report, "--to", "github"]);
    command.env("GITHUB_STEP_SUMMARY", &summary);
    let (code, text, _) = finish(command);
    assert_eq!(code, 1);
    assert!(text.starts_with("::error title=offby%3A sim%3Ascale divergent::"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(fs::read_to_string(summary).unwrap().starts_with("# sim:scale"));
}

#[test]
fn a_network_for_netron_carries_the_findings() {
    let folder = TempDir::new().unwrap();
    let report = walked(folder.path(), "scale");
    let painted = folder.path().join("painted.onnx").display().to_string();
    let (code, _, stderr) = run(&["report", "render", &report, "--to", "netron", "-o", &painted]);
    assert!(code == 2 && stderr.contains("--model"), "{stderr}");
    let other = debug_model("attention_bias.onnx").display().to_string();
    let (code, _, stderr) =
        run(&["report", "render", &report, "--to", "netron", "-o", &painted, "--model", &other]);
    assert!(code == 2 && stderr.contains("is not the network of the report"), "{stderr}");
    let model = debug_model("basic_block.onnx").display().to_string();
    let (code, _, stderr) =
        run(&["report", "render", &report, "--to", "netron", "-o", &painted, "--model", &model]);
    assert_eq!(code, 1, "{stderr}");
    let bytes = fs::read(&painted).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("sim:scale: source at"), "no note is in the file");
    // The network is still the same network.
    let (code, _, stderr) = run(&["run", &painted, "--on", "sim:honest-f32", "--quiet"]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn node_data_for_model_explorer_has_a_value_for_each_node() {
    let folder = TempDir::new().unwrap();
    let report = walked(folder.path(), "scale");
    let (_, text, _) = run(&["report", "render", &report, "--to", "model-explorer"]);
    let data: Value = serde_json::from_str(&text).unwrap();
    let results = data["results"].as_object().unwrap();
    let worst = results.values().map(|node| node["value"].as_u64().unwrap()).max();
    assert!(results.len() > 3 && worst.is_some_and(|worst| worst > 0), "{text}");
    assert_eq!(data["thresholds"].as_array().unwrap().len(), 7);
}
