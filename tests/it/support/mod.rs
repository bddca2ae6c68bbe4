//! Shared by the command-line tests: the program, small files, and drivers that may be missing.
pub(crate) mod frames;
pub(crate) mod judge;
pub(crate) mod odd_networks;
pub(crate) mod random_network;
pub(crate) mod sshd;

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

/// The program under test, with a neutral environment.
pub(crate) fn offby() -> Command {
    let mut command = Command::cargo_bin("offby").expect("cargo builds the program for its tests");
    command.env("NO_COLOR", "1").env_remove("COLUMNS").current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// A committed debug network.
pub(crate) fn debug_model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("debug-models").join(name)
}

/// Exit code, stdout and stderr.
pub(crate) fn finish(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("offby prints UTF-8");
    (status.code().expect("offby is not killed"), text(stdout), text(stderr))
}

/// Exit code and the JSON on stdout.
pub(crate) fn finish_json(command: Command) -> (i32, Value) {
    let (code, stdout, stderr) = finish(command);
    let value = serde_json::from_str(&stdout);
    (code, value.unwrap_or_else(|error| panic!("{error}: stdout {stdout:?}, stderr {stderr:?}")))
}

/// The first target of a report.
pub(crate) fn first_target(report: &Value) -> &Value {
    &report["targets"][0]
}

/// Fails unless `target` runs on this machine. A test that calls it is marked `#[ignore = "needs ..."]`.
pub(crate) fn need(target: &str) {
    let model = debug_model("split_view_small.onnx");
    let mut command = offby();
    command.arg("run").arg(model).args(["--on", target, "--json", "-", "--repeat", "1"]);
    let (_, report) = finish_json(command);
    let found = first_target(&report);
    let (outcome, reason) = (&found["outcome"], &found["verdict"]["sentence"]);
    assert_eq!(outcome, "completed", "this test needs {target}: {reason}");
}

/// A device document in its own folder, and the target that names it.
pub(crate) fn device(rest: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("device.yaml");
    let text = format!("name: device\ndescribes: device of a test\n{rest}\n");
    std::fs::write(&path, text).expect("a file can be written");
    let target = format!("sim:{}", path.display());
    (folder, target)
}

/// Waits for an event, at most a minute; `missing` says what did not happen.
pub(crate) fn until(missing: &str, has_happened: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !has_happened() {
        assert!(Instant::now() < end, "{missing}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
