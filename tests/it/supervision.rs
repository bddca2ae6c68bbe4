//! Failures that `just torture` does not plant: a worker that even SIGKILL does not end, and senseless limits.

use crate::support::judge::Judge;
use crate::support::{debug_model, finish, finish_json, first_target, offby};
use std::fs;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const OFFBY: &str = env!("CARGO_BIN_EXE_offby");

/// Attaches to a worker by ptrace, reports that, and waits for a while. Until then the parent does not see the
/// worker's death, as if the worker were stuck in the kernel.
const HOLD: &str = "
import ctypes, os, sys, time
while not os.readlink('/proc/' + sys.argv[1] + '/exe').endswith('/offby'):
    time.sleep(0.01)
time.sleep(0.5)
held = ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None) == 0
open(sys.argv[2], 'w').write('held' if held else 'not allowed')
time.sleep(30 if held else 0)
";

#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn what_killing_does_not_end_holds_nobody_up() {
    let test = "what_killing_does_not_end_holds_nobody_up";
    let judge = Judge::start();
    let folder = TempDir::new().unwrap();
    let (script, said) = (folder.path().join("hold.py"), folder.path().join("said"));
    fs::write(&script, HOLD).unwrap();
    let hold =
        format!("setsid {} {} $$ {}", judge.python().display(), script.display(), said.display());
    let silent = "< /dev/null > /dev/null 2>&1";
    let via = format!("sh -c '{hold} {silent} & exec {OFFBY} worker'");
    let mut command = offby();
    command.args(["walk", debug_model("small_mlp.onnx").to_str().unwrap(), "--on", "sim:hang"]);
    command.args(["--timeout", "3", "--json", "-", "--via", &via]);
    let started = Instant::now();
    let (code, report) = finish_json(command);
    if fs::read_to_string(&said).unwrap() != "held" {
        eprintln!("SKIPPED {test}: it takes the right to trace a process");
        return;
    }
    let target = first_target(&report);
    let sentence = target["verdict"]["sentence"].as_str().unwrap();
    assert_eq!((code, target["outcome"].as_str()), (3, Some("timed_out")), "{report:#}");
    assert!(sentence.contains(" was killed and does not end: "), "{sentence}");
    assert!(sentence.contains(", in operator 0, Gemm `"), "{sentence}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn a_limit_that_is_none_is_refused() {
    for size in ["much", "0", "-1GiB", "2 gigs"] {
        let mut command = offby();
        command.args(["run", "x.onnx", "--on", "tract", &format!("--memory={size}")]);
        let (code, _, stderr) = finish(command);
        assert_eq!(code, 2, "{size}: {stderr}");
        assert!(stderr.contains("such as 2GiB"), "{size}: {stderr}");
    }
}
