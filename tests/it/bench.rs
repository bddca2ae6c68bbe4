//! Times: which checks precede them, and which parts they consist of. No test checks durations, because the
//! machine is shared.

use crate::support::{debug_model, device, finish, finish_json, need, offby};
use serde_json::Value;

fn bench(targets: &[&str], more: &[&str]) -> (i32, Value) {
    let mut command = offby();
    command.arg("bench").arg(debug_model("split_view.onnx")).args(["--json", "-"]);
    for target in targets {
        command.args(["--on", target]);
    }
    finish_json({
        command.args(more);
        command
    })
}

/// The numbers are in order, and there are as many runs as requested.
fn check(target: &Value, least: u64) {
    let latency = &target["bench"]["latency"];
    let number = |name: &str| latency[name].as_f64().unwrap();
    let rising = ["min", "median", "p95", "max"].map(number);
    assert!(rising.is_sorted() && rising[0] > 0.0, "{target:#}");
    assert!(number("min") <= number("mean") && number("mean") <= number("max"), "{target:#}");
    let (iterations, seconds) =
        (latency["iterations"].as_u64().unwrap(), &target["runs"]["seconds"]);
    assert!(iterations >= least, "{target:#}");
    assert_eq!(seconds.as_array().unwrap().len() as u64, iterations);
    assert!(target["bench"]["first_result"].as_f64().unwrap() > 0.0, "{target:#}");
}

#[test]
#[ignore = "needs the driver of mnn:cpu"]
fn targets_are_timed_side_by_side() {
    need("mnn:cpu");
    let targets = ["mnn:cpu", "sim:honest-f32", "mnn:cpu", "tract:f64"];
    let (code, report) = bench(&targets, &["--iterations", "9", "--turn", "4"]);
    assert_eq!((code, report["command"].as_str()), (0, Some("bench")), "{report:#}");
    for (at, target) in targets.iter().enumerate() {
        let found = &report["targets"][at];
        assert_eq!(
            (found["target"].as_str(), found["outcome"].as_str()),
            (Some(*target), Some("completed"))
        );
        assert_eq!(
            found["bench"]["ratio"].is_null(),
            at == 0,
            "the first is what others are set against"
        );
        check(found, 9);
    }
}

/// A wrong target has times and is called wrong next to them; a target that dies has no times.
#[test]
fn no_time_is_told_without_what_was_computed() {
    let (_folder, dies) = device("faults:\n  - {fault: device-lost, at: {share: 0.02}}");
    let targets = ["sim:zero", "sim:random", "sim:crash", &dies, "sim:honest-f32"];
    let (code, report) = bench(&targets, &["--iterations", "60"]);
    assert_eq!(code, 1, "{report:#}");
    let kind = |at: usize| report["targets"][at]["verdict"]["kind"].as_str().unwrap();
    assert_eq!(
        (kind(0), kind(1), kind(2), kind(4)),
        ("divergent", "nondeterministic", "crashed", "agrees")
    );
    check(&report["targets"][0], 60);
    check(&report["targets"][4], 60);
    for at in [2, 3] {
        assert_eq!(report["targets"][at]["bench"], Value::Null, "{}", report["targets"][at]);
    }
    assert_eq!(kind(3), "rejected", "it died between two turns");
}

#[test]
fn a_saved_bench_is_rendered_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = offby();
    command.arg("bench").arg(debug_model("split_view.onnx"));
    command.args(["--on", "sim:honest-f32", "--iterations", "3", "--out"]).arg(folder.path());
    let (code, stdout, _) = finish(command);
    assert_eq!(code, 0);
    assert!(stdout.contains("median") && stdout.contains("ratio"), "{stdout}");
    for line in stdout.lines().skip(1) {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    let saved = folder.path().join("report.json");
    let mut command = offby();
    command.args(["report", "render", "--to", "text"]).arg(&saved);
    assert_eq!(finish(command).1, stdout);
    for form in ["md", "html"] {
        let mut command = offby();
        command.args(["report", "render", "--to", form]).arg(&saved);
        let rendered = finish(command).1;
        assert!(rendered.contains("iters] min = "), "{rendered}");
    }
}

#[test]
fn nothing_to_time_is_refused() {
    for arguments in [["--iterations", "0"], ["--turn", "0"]] {
        let mut command = offby();
        command.arg("bench").arg(debug_model("split_view.onnx")).args(["--on", "tract"]);
        assert_eq!(
            finish({
                command.args(arguments);
                command
            })
            .0,
            2
        );
    }
}
