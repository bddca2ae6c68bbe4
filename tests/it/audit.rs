//! `offby audit`: devices that do not always compute the same, and devices that do.

use crate::support::{debug_model, device, finish, finish_json, offby};
use offby::graph::{Dim, Network};
use offby::tensor::Dtype::F32;
use serde_json::{Value, json};
use std::path::PathBuf;

/// `x` of [batch, 128, 8] through `Abs`, the node `culprit` and `Neg`, stored in a folder.
fn network() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    let open = [Dim::Symbol("batch".into()), Dim::Known(128), Dim::Known(8)];
    let network = Network::new("network")
        .open_input("x", F32, &open)
        .node("first", "Abs", &["x"], &["a"], &[])
        .node("culprit", "Relu", &["a"], &["b"], &[])
        .node("last", "Neg", &["b"], &["y"], &[])
        .open_output("y", F32, &open);
    std::fs::write(&path, network.to_bytes()).unwrap();
    (folder, path)
}

fn audited(on: &str, more: &[&str]) -> (i32, Value) {
    let (_folder, model) = network();
    let mut command = offby();
    command.arg("audit").arg(model).args(["--shape", "x=1,128,8", "--input", "normal:1"]);
    command.args(["--on", on, "--json", "-"]).args(more);
    finish_json(command)
}

#[test]
fn a_fault_in_every_fifth_run_is_found_with_its_band_and_its_operator() {
    let (_device, target) =
        device("faults:\n  - {fault: tile-zero, tile: 32, at: {name: culprit, share: 0.2}}");
    let (code, audit) = audited(&target, &["--runs", "50"]);
    assert_eq!((code, &audit["kind"]), (1, &json!("nondeterministic")), "{audit:#}");
    let sentence = audit["sentence"].as_str().unwrap();
    assert!(sentence.contains("every 5th run differs"), "{sentence}");
    assert_eq!(audit["lanes"][0]["distinct"][0]["runs"], 40);
    assert_eq!(audit["lanes"][0]["distinct"][1]["runs"], 10);
    assert_eq!(audit["first"]["node"], "culprit", "{audit:#}");
    let places = audit["spots"][0]["places"][0].as_str().unwrap();
    assert!(places.contains("2 bands of 32"), "{audit:#}");
}

#[test]
fn a_fault_of_every_run_and_one_of_every_process_are_told_apart() {
    let (_device, random) = device("faults:\n  - {fault: random, at: {name: culprit}}");
    let (code, audit) = audited(&random, &["--runs", "10"]);
    assert_eq!((code, &audit["first"]["node"]), (1, &json!("culprit")), "{audit:#}");
    let sentence = audit["sentence"].as_str().unwrap();
    assert!(sentence.contains("no two runs are the same"), "{sentence}");

    let (_device, process) = device("faults:\n  - {fault: process-noise, at: {name: culprit}}");
    for (processes, count) in [(&["--processes", "5"][..], 5), (&[], 1)] {
        let (code, audit) = audited(&process, &[&["--runs", "10"], processes].concat());
        assert_eq!((code, &audit["first"]["node"]), (1, &json!("culprit")), "{audit:#}");
        let sentence = audit["sentence"].as_str().unwrap();
        assert!(sentence.contains("new processes differ"), "{sentence}");
        let results = |lane: usize| audit["lanes"][lane]["distinct"].as_array().unwrap().len();
        assert_eq!(results(0), 1);
        assert!((count..=5).contains(&results(1)), "{audit:#}");
    }
}

#[test]
fn a_first_run_that_differs_is_told_from_noise() {
    let (_device, target) = device("faults:\n  - {fault: stale, at: {name: culprit}}");
    let (_, audit) = audited(&target, &["--runs", "10", "--processes", "0"]);
    let sentence = audit["sentence"].as_str().unwrap();
    assert!(sentence.contains("only the first run differs"), "{sentence}");
}

#[test]
fn a_steady_device_is_not_accused_in_any_batch() {
    for target in ["sim:honest-f16", "tract"] {
        let (code, audit) = audited(target, &["--runs", "10", "--processes", "2", "--batch", "3"]);
        assert_eq!((code, &audit["kind"]), (0, &json!("agrees")), "{audit:#}");
        let ways: Vec<&Value> =
            audit["lanes"].as_array().unwrap().iter().map(|lane| &lane["way"]).collect();
        let batches = [json!({"batch_of_same": 3}), json!({"batch_of_others": 3})];
        assert_eq!(ways[2..], batches.iter().collect::<Vec<_>>(), "{audit:#}");
        assert_eq!(audit["lanes"][2]["relative_l2"], 0.0, "{audit:#}");
        assert_eq!(audit["lanes"][3]["relative_l2"], 0.0, "{audit:#}");
    }
}

#[test]
fn a_device_that_breaks_is_named() {
    let (_device, target) = device("faults:\n  - {fault: refuse, at: {name: culprit}}");
    let (code, audit) = audited(&target, &["--runs", "5"]);
    assert_eq!((code, &audit["kind"]), (3, &json!("rejected")), "{audit:#}");
}

#[test]
fn a_batch_that_cannot_be_made_is_refused() {
    let mut command = offby();
    command.arg("audit").arg(debug_model("split_view_small.onnx"));
    command.args(["--on", "tract", "--batch", "3"]);
    let (code, stdout, stderr) = finish(command);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains("open first axis"), "{stderr}");
}

#[test]
fn a_padded_input_has_the_result_of_the_input_alone() {
    let (code, audit) = audited("sim:honest-f16", &["--runs", "2", "--pad", "batch=4"]);
    assert_eq!((code, &audit["kind"]), (0, &json!("agrees")), "{audit:#}");
    assert_eq!(audit["lanes"][2]["way"], json!({"padded": 4}), "{audit:#}");
    assert_eq!(audit["lanes"][2]["relative_l2"], 0.0, "{audit:#}");
}

#[test]
fn a_padding_that_cannot_be_made_is_refused() {
    for (pad, why) in [("sequence=4", "are `batch`"), ("batch=1", "is already 1 long")] {
        let (_folder, model) = network();
        let mut command = offby();
        command.arg("audit").arg(model).args(["--shape", "x=1,128,8", "--on", "tract"]);
        command.args(["--pad", pad]);
        let (code, stdout, stderr) = finish(command);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}

#[test]
fn a_page_shows_which_run_had_which_result() {
    let (_device, target) =
        device("faults:\n  - {fault: tile-zero, tile: 32, at: {name: culprit, share: 0.2}}");
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("found");
    audited(&target, &["--runs", "10", "--out", folder.to_str().unwrap()]);
    let page = std::fs::read_to_string(folder.join("audit.html")).unwrap();
    assert!(page.contains("Which run had which result: one process"), "{page}");
    assert_eq!(page.matches("class=\"other\"").count(), 2, "{page}");
    let markdown = std::fs::read_to_string(folder.join("audit.md")).unwrap();
    assert!(markdown.contains("nondeterministic"), "{markdown}");
}
