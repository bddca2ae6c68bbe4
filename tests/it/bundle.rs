//! Bundles through the command line: written, replayed elsewhere, and refused if they were changed.

use crate::support::{debug_model, device, finish, finish_json, offby};
use std::fs;
use std::path::{Path, PathBuf};

/// A walk on a simulated device with a planted fault, and a bundle of it.
fn bundled(folder: &Path) -> PathBuf {
    let out = folder.join("out");
    let mut walk = offby();
    walk.arg("walk").arg(debug_model("efformer_mlp_gelu.onnx")).args(["--input", "arange"]);
    walk.args(["--on", "sim:vim3-android-vulkan", "-q", "--out"]).arg(&out);
    assert_eq!(finish(walk).0, 1);
    let bundle = folder.join("x.offby.tar.zst");
    let mut command = offby();
    command.args(["report", "bundle"]).arg(out.join("report.json")).arg("-o").arg(&bundle);
    command.arg("--model").arg(debug_model("efformer_mlp_gelu.onnx"));
    let (code, stdout, stderr) = finish(command);
    assert_eq!(code, 0, "{stdout}{stderr}");
    bundle
}

#[test]
fn a_bundle_shows_the_same_finding_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = bundled(folder.path());
    let mut replay = offby();
    replay.arg("replay").arg(&bundle).args(["--json", "-"]);
    let (code, report) = finish_json(replay);
    assert_eq!(code, 1);
    assert_eq!(report["sameness"], "same");
    assert_eq!(report["now"]["verdict"]["kind"], "nonfinite");
    let there = &report["then"]["files"];
    let names: Vec<&str> =
        there.as_array().unwrap().iter().filter_map(|file| file["path"].as_str()).collect();
    for wanted in ["model.onnx", "case.yaml", "report.md", "report.html", "environment.json"] {
        assert!(names.contains(&wanted), "{wanted}: {names:?}");
    }
    // A target without the fault does not show it.
    let mut replay = offby();
    replay.arg("replay").arg(&bundle).args(["--on", "sim:honest-f32", "--json", "-"]);
    let (code, report) = finish_json(replay);
    assert_eq!((code, report["sameness"].as_str()), (0, Some("different")));
}

/// The document of a user's own simulated device is part of the bundle, without its comments.
#[test]
fn a_device_of_ones_own_is_replayed_from_the_bundle() {
    let (own, on) = device("# by hand\nfaults:\n  - {fault: scale, factor: 1.5, at: {op: [Erf]}}");
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut walk = offby();
    walk.arg("walk").arg(debug_model("efformer_mlp_gelu.onnx")).args(["--input", "normal:0"]);
    walk.args(["--on", &on, "-q", "--json"]).arg(&report);
    assert_eq!(finish(walk).0, 1);
    let bundle = folder.path().join("own.offby.tar.zst");
    let mut command = offby();
    command.args(["report", "bundle"]).arg(&report).arg("-o").arg(&bundle);
    command.arg("--model").arg(debug_model("efformer_mlp_gelu.onnx"));
    let (code, stdout, stderr) = finish(command);
    assert_eq!(code, 0, "{stdout}{stderr}");
    drop(own);
    let mut replay = offby();
    replay.arg("replay").arg(&bundle).args(["--json", "-"]);
    let (code, report) = finish_json(replay);
    assert_eq!((code, report["sameness"].as_str()), (1, Some("same")), "{report:#}");
}

#[test]
fn two_bundles_of_one_report_are_alike() {
    let folder = tempfile::tempdir().unwrap();
    let first = bundled(folder.path());
    let kept = folder.path().join("kept");
    fs::copy(&first, &kept).unwrap();
    let mut again = offby();
    again.args(["report", "bundle"]).arg(folder.path().join("out/report.json"));
    again.arg("-o").arg(&first).arg("--model").arg(debug_model("efformer_mlp_gelu.onnx"));
    assert_eq!(finish(again).0, 0);
    assert_eq!(fs::read(&first).unwrap(), fs::read(&kept).unwrap());
}

#[test]
fn a_report_of_another_network_is_not_bundled() {
    let folder = tempfile::tempdir().unwrap();
    bundled(folder.path());
    let mut command = offby();
    command.args(["report", "bundle"]).arg(folder.path().join("out/report.json"));
    command
        .arg("-o")
        .arg(folder.path().join("y"))
        .arg("--model")
        .arg(debug_model("linear_bn.onnx"));
    let (code, _, stderr) = finish(command);
    assert_eq!(code, 2);
    assert!(stderr.contains("digest") && !folder.path().join("y").exists(), "{stderr}");
}

#[test]
fn what_is_damaged_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = bundled(folder.path());
    let whole = fs::read(&bundle).unwrap();
    let replay = |bytes: &[u8]| {
        let path = folder.path().join("damaged");
        fs::write(&path, bytes).unwrap();
        let mut command = offby();
        command.arg("replay").arg(&path);
        let (code, _, stderr) = finish(command);
        assert_eq!(code, 2, "{stderr}");
        stderr
    };
    assert!(replay(&whole[..whole.len() / 2]).contains("cut off"));
    assert!(replay(b"no archive").contains("no .tar.zst"));
    assert!(replay(b"").contains("hint:"));
}
