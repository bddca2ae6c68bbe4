//! Workers elsewhere: behind a command, over a real sshd on loopback, and named in a file. Also the failures of
//! the connection to them.

use crate::support::sshd::Sshd;
use crate::support::{debug_model, finish, finish_json, first_target, need, offby, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const OFFBY: &str = env!("CARGO_BIN_EXE_offby");

// --- commands and files ---------------------------------------------------------

/// `offby COMMAND MODEL ARGUMENTS... --json -`, with its exit code and report.
fn report(command: &str, model: &str, arguments: &[&str]) -> (i32, Value) {
    let mut offby = offby();
    offby.arg(command).arg(debug_model(model)).args(arguments).args(["--json", "-"]);
    finish_json(offby)
}

fn sentence(report: &Value) -> &str {
    first_target(report)["verdict"]["sentence"].as_str().unwrap()
}

fn kind(report: &Value) -> &str {
    first_target(report)["verdict"]["kind"].as_str().unwrap()
}

/// The part that must be the same on every machine: no seconds, no machine and no command.
fn without_timing(mut report: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for key in ["seconds", "open_seconds", "environment"] {
                    fields.remove(key);
                }
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut report);
    report
}

fn folder() -> (TempDir, impl Fn(&str) -> PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_owned();
    (folder, move |name: &str| path.join(name))
}

/// Whether a process with this text in its command line is running.
fn runs(text: &str) -> bool {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter(|entry| entry.file_name().to_str() != Some(&own));
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(text))
}

// --- over ssh --------------------------------------------------------------------

#[test]
#[ignore = "needs openssh"]
fn a_walk_over_ssh_is_the_local_one() {
    let sshd = Sshd::start();
    let via = sshd.command(&format!("{OFFBY} worker"));
    for target in ["mnn:opencl:high", "sim:vim3-android-vulkan"] {
        need(target);
        let arguments = ["--input", "sine", "--on", target];
        let (code, here) = report("walk", "efformer_mlp_gelu.onnx", &arguments);
        let (there_code, there) =
            report("walk", "efformer_mlp_gelu.onnx", &[&arguments[..], &["--via", &via]].concat());
        assert_eq!((code, without_timing(here)), (there_code, without_timing(there)), "{target}");
    }
}

/// A worker behind ssh that hangs in its first operator, and what of its messages reached this side.
struct Hanging<'s> {
    sshd: &'s Sshd,
    said: PathBuf,
    process: PathBuf,
    script: PathBuf,
    _folder: TempDir,
}

impl<'s> Hanging<'s> {
    fn new(sshd: &'s Sshd) -> Self {
        let (folder, path) = folder();
        let (said, process, script) = (path("said"), path("process"), path("script"));
        Hanging { sshd, said, process, script, _folder: folder }
    }

    /// The command that reaches the worker. Messages are noted on this side of the connection: what the other
    /// side has written may still be on its way when the connection breaks.
    fn via(&self) -> String {
        let worker = format!("echo $$ > {}; exec {OFFBY} worker", self.process.display());
        let (ssh, said) = (self.sshd.command(&worker), self.said.display());
        fs::write(&self.script, format!("set -o pipefail\n{ssh} | tee {said}\n")).unwrap();
        format!("bash {}", self.script.display())
    }

    /// Walks over ssh, disturbs the connection while the worker hangs, and returns the result.
    fn walk(&self, timeout: &str, disturb: impl FnOnce(&Sshd) + Send) -> (i32, Value, Duration) {
        let via = self.via();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                until("no operator is announced", || {
                    fs::read(&self.said).is_ok_and(|said| contains(&said, br#""reply":"op""#))
                });
                disturb(self.sshd);
            });
            let started = Instant::now();
            let arguments = ["--on", "sim:hang", "--timeout", timeout, "--via", &via];
            let (code, report) = report("walk", "small_mlp.onnx", &arguments);
            (code, report, started.elapsed())
        })
    }

    /// The worker must notice that its parent is gone, even though its driver hangs.
    fn must_end(&self) {
        let process = fs::read_to_string(&self.process).unwrap();
        let process = Path::new("/proc").join(process.trim());
        until("the worker outlives its connection", || !process.join("exe").exists());
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
#[ignore = "needs openssh"]
fn a_connection_that_is_cut_is_a_crash_in_its_operator() {
    let sshd = Sshd::start();
    let hanging = Hanging::new(&sshd);
    let (code, report, took) = hanging.walk("25", |sshd| sshd.cut());
    assert_eq!((code, kind(&report)), (3, "crashed"), "{report:#}");
    assert!(sentence(&report).contains("status 255"), "{report:#}");
    assert!(sentence(&report).contains("in operator 0, Gemm `"), "{report:#}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    hanging.must_end();
}

#[test]
#[ignore = "needs openssh"]
fn a_connection_that_freezes_is_left_at_the_deadline() {
    let sshd = Sshd::start();
    let hanging = Hanging::new(&sshd);
    let (code, report, took) = hanging.walk("4", |sshd| sshd.freeze());
    assert_eq!((code, kind(&report)), (3, "timed_out"), "{report:#}");
    assert!(sentence(&report).contains("in operator 0, Gemm `"), "{report:#}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    // The other side notices when it can be reached again.
    sshd.thaw();
    hanging.must_end();
}

/// `ssh` reports no signal; a shell in between does.
#[test]
#[ignore = "needs openssh"]
fn a_driver_that_dies_behind_ssh_is_a_crash() {
    let sshd = Sshd::start();
    for (worker, words) in
        [(format!("{OFFBY} worker"), "status 255"), (format!("{OFFBY} worker; exit $?"), "SIGABRT")]
    {
        let via = sshd.command(&worker);
        let (code, report) =
            report("walk", "small_mlp.onnx", &["--on", "sim:crash", "--via", &via]);
        assert_eq!((code, kind(&report)), (3, "crashed"), "{report:#}");
        assert!(sentence(&report).contains(words), "{report:#}");
        assert!(sentence(&report).contains("in operator 0, Gemm `"), "{report:#}");
    }
}

/// The connection that `ControlPersist` keeps open holds the stderr of the command that made it.
#[test]
#[ignore = "needs openssh"]
fn a_shared_connection_does_not_hold_a_command_up() {
    let sshd = Sshd::start();
    let (_folder, path) = folder();
    let shared = format!(
        "-o ControlMaster=auto -o ControlPersist=60 -o ControlPath={}",
        path("c").display()
    );
    let via =
        sshd.command(&format!("{OFFBY} worker")).replacen("ssh ", &format!("ssh {shared} "), 1);
    let started = Instant::now();
    let (code, report) =
        report("run", "split_view_small.onnx", &["--on", "sim:honest-f32", "--via", &via]);
    assert_eq!((code, kind(&report)), (0, "agrees"), "{report:#}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    sshd.close_shared(&path("c"));
}

// --- no worker -------------------------------------------------------------------

#[test]
fn a_login_message_before_the_greeting_is_evidence() {
    let via = format!(
        "sh -c 'echo Last login: today; printf \"Selected role main\"; exec {OFFBY} worker'"
    );
    let arguments = ["--on", "sim:honest-f32", "--via", &via];
    let (code, report) = report("walk", "split_view_small.onnx", &arguments);
    assert_eq!((code, kind(&report)), (0, "agrees"), "{report:#}");
    let said = first_target(&report)["evidence"].to_string();
    for line in ["on stdout: Last login: today", "on stdout: Selected role main"] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn what_is_no_worker_is_unavailable_and_says_why() {
    let (_folder, path) = folder();
    let hello = path("hello");
    let head = br#"{"reply":"hello","protocol":9,"version":"x"}"#;
    fs::write(&hello, crate::support::frames::frame(head, b"")).unwrap();
    let of_tomorrow = format!("sh -c 'cat {}; sleep 9'", hello.display());
    for (via, why, hint) in [
        ("/nowhere/offby worker", "/nowhere/offby could not be started", "is there"),
        ("sh -c 'exec /nowhere/offby worker'", "left with status 127: ", "whole path"),
        (
            "sh -c 'echo no route to board >&2; exit 255'",
            "left with status 255: no route to board",
            "by hand",
        ),
        ("yes welcome", "no greeting: the stream carries something that is no frame", "stdout"),
        ("echo welcome", "no greeting: the stream carries something that is no frame", "stdout"),
        (&of_tomorrow, "it is x and speaks protocol 9", "the same version"),
    ] {
        let arguments = ["--on", "sim:honest-f32", "--timeout", "20", "--via", via];
        let (code, report) = report("run", "split_view_small.onnx", &arguments);
        assert_eq!((code, kind(&report)), (3, "unavailable"), "{via}: {report:#}");
        assert!(sentence(&report).contains(why), "{via}: {}", sentence(&report));
        let said = first_target(&report)["verdict"]["hint"].as_str().unwrap();
        assert!(said.contains(hint), "{via}: {said}");
    }
}

#[test]
fn whoever_is_silent_is_left_at_the_deadline_with_all_it_started() {
    // A number that no other process has in its command line.
    let other = format!("{}.5", 90_000 + std::process::id());
    let via = format!("sh -c 'sleep {other} & sleep {other}'");
    let started = Instant::now();
    let arguments = ["--on", "sim:honest-f32", "--timeout", "1", "--via", &via];
    let (code, report) = report("run", "split_view_small.onnx", &arguments);
    assert_eq!((code, kind(&report)), (3, "timed_out"), "{report:#}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    until("something is left behind", || !runs(&other));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (_folder, path) = folder();
    let file = path("targets.yaml");
    fs::write(&file, "targets:\n  - {name: board, target: mnn:cpu}\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, what) in [
        (&["--on", "mnn:cpu", "--via", "ssh 'board"][..], "a quote is not closed"),
        (&["--on", "mnn:cpu", "--via", ""], "it names no program"),
        (&["--on", "tract", "--via", "ssh board offby worker"], "it runs in offby itself"),
        (&["--on", "ext:ort"], "no worker is named"),
        (&["--on", "mnn:cpu@board"], "`board` is the name of a place"),
        (&["--on", "bord", "--targets", file], "has none of that name"),
        (&["--on", "tract@board", "--targets", file], "runs in offby itself"),
        (&["--on", "board", "--targets", "nowhere.yaml"], "nowhere.yaml"),
    ] {
        let mut command = offby();
        command.arg("run").arg(debug_model("split_view_small.onnx")).args(arguments);
        let (code, _, stderr) = finish(command);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains(what) && stderr.contains("hint: "), "{arguments:?}: {stderr}");
    }
}

// --- named targets ---------------------------------------------------------------

#[test]
#[ignore = "needs Vulkan"]
fn a_named_target_has_its_place_its_environment_and_its_deadline() {
    let (_folder, path) = folder();
    let text = format!(
        "targets:
  - name: blind
    target: mnn:vulkan
    environment: {{VK_DRIVER_FILES: /nowhere.json, VK_ICD_FILENAMES: /nowhere.json}}
  - name: short
    target: sim:hang
    via: {OFFBY} worker
    timeout: 1
"
    );
    fs::write(path("targets.yaml"), text).unwrap();
    let run = |on: &str| {
        let file = path("targets.yaml");
        report("run", "split_view_small.onnx", &["--on", on, "--targets", file.to_str().unwrap()])
    };
    need("mnn:vulkan");
    {
        let (code, report) = run("blind");
        assert_eq!((code, kind(&report)), (3, "fell_back"), "{report:#}");
        assert_eq!(first_target(&report)["target"], "mnn:vulkan@blind");
        let evidence = first_target(&report)["evidence"].to_string();
        assert!(evidence.contains("offby set VK_DRIVER_FILES=/nowhere.json"), "{evidence}");
    }
    let (code, report) = run("short");
    assert_eq!((code, kind(&report)), (3, "timed_out"), "{report:#}");
    assert!(sentence(&report).contains("within 1 seconds"), "{report:#}");
    let (code, report) = run("sim:zero@short");
    assert_eq!((code, first_target(&report)["target"].as_str()), (1, Some("sim:zero@short")));
}

#[test]
fn a_case_runs_behind_a_command() {
    let mut command = offby();
    command.args(["case", "run", "fixtures/b12-layer-norm-reference.yaml", "--on", "sim:"]);
    command.args(["--via", &format!("{OFFBY} worker"), "--json", "-"]);
    let (code, report) = finish_json(command);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["cases"][0]["targets"][0]["status"], "as_expected", "{report:#}");
}

// --- what is transferred ---------------------------------------------------------

#[test]
fn contents_travel_once_and_no_tensor_comes_back_before_the_end() {
    let (_folder, path) = folder();
    let (there, back) = (path("there"), path("back"));
    let via = format!("sh -c 'tee {} | {OFFBY} worker | tee {}'", there.display(), back.display());
    for strategy in ["follow", "cut", "isolate"] {
        let arguments = ["--on", "sim:zero", "--strategy", strategy, "--via", &via];
        let (code, report) = report("walk", "basic_block.onnx", &arguments);
        assert_eq!(code, 1, "{report:#}");
        let mut given = BTreeSet::new();
        for (head, _) in frames_of(&there) {
            for content in head["contents"].as_array().into_iter().flatten() {
                assert!(given.insert(content["digest"].to_string()), "{strategy}: given twice");
            }
        }
        assert!(given.len() > 1, "{strategy}: {given:?}");
        for (head, body) in frames_of(&back) {
            let is_last = ["ran", "walked"].contains(&head["reply"].as_str().unwrap());
            assert!(is_last || body.is_empty(), "{strategy}: {head}");
        }
    }
}

/// The whole frames of a file that `tee` wrote. `tee` passes bytes on before it writes them to its file, and is
/// killed with the worker.
fn frames_of(path: &Path) -> Vec<crate::support::frames::Frame> {
    let bytes = fs::read(path).unwrap();
    let mut bytes = bytes.as_slice();
    std::iter::from_fn(|| crate::support::frames::read(&mut bytes).ok().flatten()).collect()
}
