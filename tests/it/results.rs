//! Writing results: a path that cannot be written is refused before the work. If writing fails only after the
//! work, the findings are still printed.

use crate::support::{debug_model, finish, offby};
use offby::graph::Network;
use offby::tensor::Dtype::F32;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const OFFBY: &str = env!("CARGO_BIN_EXE_offby");

/// Expects the refusal before a target that would take far longer than the test.
fn refused_at_once(command: &str, option: &str, path: &str) {
    let mut offby = offby();
    offby.arg(command).arg(debug_model("small_mlp.onnx"));
    offby.args(["--on", "sim:hang", "--timeout", "3600", option, path]);
    offby.timeout(std::time::Duration::from_secs(20));
    let (code, stdout, stderr) = finish(offby);
    assert_eq!((code, &*stdout), (2, ""), "{command} {option} {path}: {stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(lines[0].starts_with("error: failed to write "), "{stderr}");
    assert!(lines[1].starts_with("hint: "), "{stderr}");
}

#[test]
fn what_cannot_be_written_is_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "kept").unwrap();
    let file = file.to_str().unwrap();
    for command in ["run", "walk", "matrix", "shrink", "fallback", "bench"] {
        for path in [file, "/proc/offby", &format!("{file}/below")] {
            refused_at_once(command, "--out", path);
        }
        refused_at_once(command, "--json", folder.path().to_str().unwrap());
        refused_at_once(command, "--json", "/proc/offby.json");
        refused_at_once(command, "--json", &format!("{file}/below.json"));
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "kept");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left of the attempts");
}

#[test]
fn a_bundle_that_cannot_be_written_is_refused_before_it_is_proven() {
    let mut command = offby();
    command.args(["report", "bundle", "no-such-report.json", "-o", "/proc/x.offby.tar.zst"]);
    let (code, _, stderr) = finish(command);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.starts_with("error: failed to write /proc/x.offby.tar.zst: "), "{stderr}");
}

#[test]
fn a_full_disk_does_not_lose_the_finding() {
    for command in ["run", "walk", "matrix"] {
        let mut offby = offby();
        offby.arg(command).arg(debug_model("small_mlp.onnx"));
        offby.args(["--on", "sim:zero", "--json", "/dev/full"]);
        let (code, stdout, stderr) = finish(offby);
        assert_eq!(code, 2, "{command}: {stdout}{stderr}");
        assert!(stdout.contains("sim:zero"), "{command}: {stdout}");
        assert!(stderr.starts_with("error: failed to write /dev/full: "), "{command}: {stderr}");
    }
}

/// Runs in its own mount namespace, with a disk of `size` MiB at a folder; `None` if mounting is not allowed.
fn on_small_disk(test: &str, size: usize, at: &Path, arguments: &[&str]) -> Option<Output> {
    let mount = format!("mount -t tmpfs -o size={size}m none {}", at.display());
    let allowed = Command::new("unshare").args(["-m", "sh", "-c", &mount]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {test}: it takes the right to mount a small disk");
        return None;
    }
    let script = format!("{mount} && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh", OFFBY]).args(arguments);
    Some(command.output().unwrap())
}

#[test]
fn a_disk_that_is_too_small_is_found_out_at_once() {
    let test = "a_disk_that_is_too_small_is_found_out_at_once";
    let disk = TempDir::new().unwrap();
    let model = debug_model("small_mlp.onnx");
    let arguments = ["run", model.to_str().unwrap(), "--on", "sim:hang", "--timeout", "3600"];
    let arguments = [&arguments[..], &["--out", disk.path().to_str().unwrap()]].concat();
    let Some(output) = on_small_disk(test, 1, disk.path(), &arguments) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
}

/// The disk has room for a report, but not for the tensors.
#[test]
fn a_disk_that_fills_does_not_lose_the_finding() {
    let test = "a_disk_that_fills_does_not_lose_the_finding";
    let (disk, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let network = Network::new("large").input("x", F32, &[2048, 2048]);
    let network = network.node("n", "Neg", &["x"], &["y"], &[]).output("y", F32, &[2048, 2048]);
    let model = folder.path().join("large.onnx");
    fs::write(&model, network.to_bytes()).unwrap();
    let out = disk.path().to_str().unwrap();
    let arguments = ["run", model.to_str().unwrap(), "--on", "sim:zero", "--out", out];
    let Some(output) = on_small_disk(test, 12, disk.path(), &arguments) else { return };
    let (stdout, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(stdout.contains("sim:zero divergent: "), "{stdout}");
    assert!(said.contains("y.npy: ") && said.contains("No space left on device"), "{said}");
}
