//! `offby agree`: its counts, and that they do not depend on the way: one run, shares, a killed run, a repeated
//! run. `OFFBY_RENEW=1` writes the committed report anew from its JSON.

use crate::support::{debug_model, device, finish, finish_json, need, offby, until};
use assert_cmd::Command;
use offby::agree::{Agree, read_agree};
use offby::graph::{Network, to_proto};
use offby::report::{agree_html, agree_markdown, agree_text};
use offby::tensor::{Dtype, Tensor, write_npy};
use prost::Message as _;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MODEL: &str = "examples/digits/digits.onnx";
const DATA: &str = "examples/digits/test.npz";
/// Loses accuracy at one operator only.
const GAP: &str = "sim:examples/digits/relu-gap.yaml";

/// `offby agree` over the digits on these targets.
fn digits(targets: &[&str], more: &[&str]) -> Command {
    over(Path::new(MODEL), Path::new(DATA), targets, more)
}

fn over(model: &Path, data: &Path, targets: &[&str], more: &[&str]) -> Command {
    let mut command = offby();
    command.arg("agree").arg(model).arg("--data").arg(data);
    for target in targets {
        command.args(["--on", target]);
    }
    command.args(more);
    command
}

fn json(mut command: Command) -> (i32, Value) {
    command.args(["--json", "-"]);
    finish_json(command)
}

/// Runs the command, and returns the exit code and the content of `file`.
fn written(mut command: Command, file: &Path) -> (i32, String) {
    command.arg("--json").arg(file).arg("-q");
    let (code, stdout, stderr) = finish(command);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", ""));
    (code, fs::read_to_string(file).unwrap())
}

/// Expects exit code 2, no output, and a hint that says what to do.
#[track_caller]
fn refused(command: Command, what: &str, hint: &str) {
    let (code, stdout, stderr) = finish(command);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains(what) && stderr.contains(&format!("hint: {hint}")), "{stderr}");
}

fn share(figure: &Value) -> (u64, u64) {
    (figure["count"].as_u64().unwrap(), figure["of"].as_u64().unwrap())
}

#[test]
fn a_device_that_loses_accuracy_is_told_from_one_that_only_rounds() {
    let (code, report) = json(digits(&["sim:honest-f16", GAP], &["--walk-worst", "5"]));
    assert_eq!((code, &report["task"]), (1, &"classify".into()));
    let [honest, gap] = [0, 1].map(|target| &report["targets"][target]);
    assert_eq!(honest["verdict"]["kind"], "agrees");
    assert_eq!(share(&honest["figures"]["accuracy"]), (351, 360));
    let figures = &gap["figures"];
    assert_eq!(gap["verdict"]["kind"], "divergent");
    assert_eq!((share(&figures["top1"]), share(&figures["accuracy"])), ((348, 360), (339, 360)));
    assert_eq!(share(&figures["reference_accuracy"]), (351, 360));
    let drop = &figures["drop"];
    let get = |name: &str| drop[name].as_f64().unwrap();
    assert!((get("value") - 12.0 / 360.0).abs() < 1e-12, "{drop}");
    assert!(0.0 < get("low") && get("low") < get("value") && get("value") < get("high"), "{drop}");
    // Twelve inputs to none: 2 in 2^12.
    assert!((drop["mcnemar"]["p"].as_f64().unwrap() - 2.0 / 4096.0).abs() < 1e-12, "{drop}");
    let walked = gap["blame"]["walked"].as_array().unwrap();
    assert_eq!(walked.len(), 5);
    let [source, count] = [0, 1].map(|at| gap["blame"]["sources"][0][at].clone());
    assert_eq!((&source["name"], &source["op_type"]), (&"hidden_relu".into(), &"Relu".into()));
    assert_eq!((count, gap["blame"]["sources"].as_array().unwrap().len()), (5.into(), 1));
}

#[test]
fn shares_merged_and_two_runs_are_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let targets = ["tract:f64", GAP];
    let (code, whole) = written(digits(&targets, &[]), &path("whole.json"));
    assert_eq!(code, 1);
    assert_eq!(written(digits(&targets, &[]), &path("again.json")).1, whole);
    let files: Vec<PathBuf> = (1..=3).map(|share| path(&format!("{share}.json"))).collect();
    for (file, share) in files.iter().zip(["1/3", "2/3", "3/3"]) {
        let (_, part) = written(digits(&targets, &["--shard", share]), file);
        assert!(part.contains(&format!("\"{share}\"")), "a share says that it is one");
    }
    let merge = |files: &[&PathBuf]| {
        let mut command = offby();
        command.args(["agree", "merge"]).args(files);
        command
    };
    let (code, merged) = written(merge(&[&files[2], &files[0], &files[1]]), &path("merged.json"));
    assert_eq!((code, merged == whole), (1, true), "{merged}");
    let (_, two) = written(merge(&[&files[2], &files[0]]), &path("two.json"));
    assert!(two.contains("\"1/3\"") && two.contains("\"3/3\""));
    refused(merge(&[&files[0], &files[0]]), "merged already", "give every share once");
    refused(merge(&[&path("whole.json"), &files[0]]), "no share", "give every share once");
    let other = path("other.json");
    written(digits(&["tract:f64"], &["--shard", "2/3"]), &other);
    refused(merge(&[&files[0], &other]), "list of targets", "merge the shares of one run");
}

/// A run that is killed and started again writes the same bytes as an undisturbed run.
#[test]
fn a_killed_run_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let out = |name: &str| folder.path().join(name);
    let (unbroken, killed) = (out("unbroken"), out("killed"));
    let arguments = |out: &Path| ["-q".to_owned(), "--out".into(), out.display().to_string()];
    let with = |out: &Path| {
        let mut command = digits(&["tract:f64", GAP], &[]);
        command.args(arguments(out));
        command
    };
    assert_eq!(finish(with(&unbroken)).0, 1);
    let lines = || fs::read_to_string(killed.join("inputs.jsonl")).unwrap_or_default();
    for least in [100, 900] {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("offby"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["agree", MODEL, "--data", DATA]);
        command.args(["--on", "tract:f64", "--on", GAP]).args(arguments(&killed));
        let mut child = command.spawn().unwrap();
        until("too few lines", || lines().lines().count() >= least);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!lines().contains("\"finished\""), "it was killed too late");
    }
    assert_eq!(finish(with(&killed)).0, 1);
    for name in ["agree.json", "agree.md", "agree.html"] {
        let read = |folder: &Path| fs::read_to_string(folder.join(name)).unwrap();
        assert!(read(&killed) == read(&unbroken), "{name} differs");
    }
    let begun = |lane: &str| lines().matches(&format!("\"start\":{lane}")).count();
    // Each input is begun once on each lane, and at most once more for each kill.
    let all = begun("{");
    assert!((3 * 360..=3 * 360 + 2).contains(&all), "{all}");
}

/// An input that ended the command twice is not begun a third time.
#[test]
fn an_input_that_ends_the_command_twice_is_given_up() {
    let out = TempDir::new().unwrap();
    let run = || {
        let mut command = digits(&["tract:f64"], &["-q", "--out"]);
        command.arg(out.path());
        let code = finish(command).0;
        let file = fs::read_to_string(out.path().join("agree.json")).unwrap();
        (code, serde_json::from_str::<Value>(&file).unwrap())
    };
    assert_eq!(run().0, 0);
    let journal = out.path().join("inputs.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    // The key, the first input on both lanes, and the start of the second input on the reference.
    let mut lines: Vec<&str> = text.lines().take(6).collect();
    lines.push(lines[5]);
    fs::write(&journal, lines.join("\n") + "\n").unwrap();
    let (code, report) = run();
    assert_eq!(code, 3, "what the reference cannot run nobody is measured by: {report:#}");
    assert_eq!(report["reference"]["tally"]["outcomes"]["crashed"], 1);
    let failed = &report["reference"]["tally"]["failed"][0];
    assert!(failed["reason"].as_str().unwrap().contains("not started again"), "{failed}");
}

/// Inputs for a network of the shape 1x3x16x16.
fn rows(folder: &TempDir, count: usize) -> PathBuf {
    let path = folder.path().join("rows.npy");
    let elements: Vec<f32> = (0..count * 768).map(|at| (at as f32 * 0.37).sin() * 3.0).collect();
    write_npy(&path, &Tensor::from_f32(&[count, 3, 16, 16], elements).unwrap()).unwrap();
    path
}

#[test]
fn a_worker_that_dies_costs_its_input_and_no_more() {
    let (_folder, dies) = device("faults:\n  - {fault: abort, at: {share: 0.25}}");
    let folder = TempDir::new().unwrap();
    let model = debug_model("scalar_operand.onnx");
    let data = rows(&folder, 12);
    let (code, report) = json(over(&model, &data, &[&dies], &["--repeat", "1"]));
    let lane = &report["targets"][0];
    assert_eq!((code, &lane["verdict"]["kind"]), (3, &"crashed".into()), "{report:#}");
    let outcomes = &lane["tally"]["outcomes"];
    assert_eq!((&outcomes["completed"], &outcomes["crashed"]), (&9.into(), &3.into()));
    let inputs: Vec<_> =
        lane["tally"]["failed"].as_array().unwrap().iter().map(|failed| &failed["input"]).collect();
    assert_eq!(inputs, [3, 7, 11]);
    assert_eq!(lane["tally"]["agreements"]["agrees"], 9);
}

#[test]
fn what_is_refused_again_and_again_is_not_tried_for_every_input() {
    let (_folder, refuses) = device("faults:\n  - {fault: refuse}");
    let folder = TempDir::new().unwrap();
    let (model, data) = (debug_model("scalar_operand.onnx"), rows(&folder, 8));
    let (code, report) = json(over(&model, &data, &[&refuses, "tract:f64"], &[]));
    let lane = &report["targets"][0];
    assert_eq!((code, &lane["verdict"]["kind"]), (3, &"rejected".into()), "{report:#}");
    assert_eq!(lane["tally"]["outcomes"]["rejected"], 8);
    assert_eq!(report["targets"][1]["verdict"]["kind"], "agrees");
}

#[test]
fn numbers_are_told_by_quantiles_and_ranks() {
    let folder = TempDir::new().unwrap();
    let (model, data) = (debug_model("scalar_operand.onnx"), rows(&folder, 20));
    let targets = ["sim:honest-f16", "sim:random", "sim:nan"];
    let (code, report) = json(over(&model, &data, &targets, &[]));
    assert_eq!((code, &report["task"]), (1, &"regress".into()));
    let kind = |target: usize| report["targets"][target]["verdict"]["kind"].as_str().unwrap();
    assert_eq!([0, 1, 2].map(kind), ["agrees", "divergent", "nonfinite"], "{report:#}");
    let figures = &report["targets"][0]["figures"];
    let p50 = figures["rel_l2"]["p50"].as_f64().unwrap();
    assert!(1e-5 < p50 && p50 < 1e-3, "{figures}");
    assert!(figures["rank"].as_f64().unwrap() > 0.99 && figures["top1"].is_null(), "{figures}");
    assert_eq!(report["targets"][1]["tally"]["unstable"], 20);
    assert_eq!(report["targets"][2]["tally"]["nonfinite"], 20);
}

/// A class for each pixel: a device of eight bits only swaps scores that it cannot distinguish.
#[test]
fn other_choices_between_near_scores_are_explained() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pictures.npy");
    let elements = (0..8 * 3 * 32 * 32).map(|at| (at as f32 * 0.37).sin() * 2.0).collect();
    write_npy(&path, &Tensor::from_f32(&[8, 3, 32, 32], elements).unwrap()).unwrap();
    let model = debug_model("segmentation.onnx");
    let (code, report) = json(over(&model, &path, &["sim:honest-bf16", "sim:random"], &[]));
    assert_eq!(code, 1);
    let kind = |target: usize| &report["targets"][target]["verdict"]["kind"];
    assert_eq!((kind(0), kind(1)), (&"explained".into(), &"divergent".into()), "{report:#}");
}

/// Scores with a common offset, which softmax would ignore: rounding moves them little compared with it.
#[test]
fn a_common_offset_of_the_scores_makes_no_ties() {
    const CLASSES: usize = 10;
    let folder = TempDir::new().unwrap();
    let row = |at: usize| 60.0 + 0.3 * (at as f32 * 1.7).sin();
    let bias = Tensor::from_f32(&[CLASSES], (0..CLASSES).map(row).collect()).unwrap();
    let network = Network::new("offset").input("x", Dtype::F32, &[1, CLASSES]);
    let network =
        network.initializer("bias", &bias).node("add", "Add", &["x", "bias"], &["y"], &[]);
    let model = network.output("y", Dtype::F32, &[1, CLASSES]).finish().unwrap();
    let path = folder.path().join("offset.onnx");
    fs::write(&path, model.to_bytes()).unwrap();
    let data = folder.path().join("rows.npy");
    let rows = (0..60 * CLASSES).map(|at| 0.05 * (at as f32 * 0.37).sin()).collect();
    write_npy(&data, &Tensor::from_f32(&[60, 1, CLASSES], rows).unwrap()).unwrap();
    let (_folder, wrong) = device("storage: {format: f16}\nfaults:\n  - {fault: wrong-broadcast}");
    let more = ["--task", "classify"];
    let (code, report) = json(over(&path, &data, &[&wrong, "sim:honest-f16"], &more));
    let lane = |target: usize| &report["targets"][target];
    let kind = |target: usize| lane(target)["verdict"]["kind"].as_str().unwrap();
    assert_eq!((code, kind(0)), (1, "divergent"), "{report:#}");
    assert!(["agrees", "explained"].contains(&kind(1)), "{report:#}");
}

#[test]
fn onnx_tests_are_held_to_what_they_expect() {
    let folder = TempDir::new().unwrap();
    let model = debug_model("scalar_operand.onnx");
    let mut run = offby();
    run.arg("run").arg(&model).args(["--on", "tract:f64", "-q", "--input", "sine", "--out"]);
    run.arg(folder.path().join("run"));
    assert_eq!(finish(run).0, 0);
    let stored = |file: &str| {
        let folder = folder.path().join("run").join(file);
        let entry = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        offby::tensor::read_npy(&entry).unwrap()
    };
    let right = stored("reference_tract");
    let sine: Vec<f32> = (0..768).map(|at| 2.0 * libm::sinf(0.37 * at as f32)).collect();
    let sine = Tensor::from_f32(&[1, 3, 16, 16], sine).unwrap();
    let set = folder.path().join("set");
    for (number, output) in [(0, &right), (1, &sine)] {
        let test = set.join(format!("test_data_set_{number}"));
        fs::create_dir_all(&test).unwrap();
        for (file, tensor) in [("input_0.pb", &sine), ("output_0.pb", output)] {
            fs::write(test.join(file), to_proto("", tensor).encode_to_vec()).unwrap();
        }
    }
    let (code, report) = json(over(&model, &set, &["tract:f64"], &[]));
    assert_eq!(code, 1, "{report:#}");
    for lane in [&report["reference"], &report["targets"][0]] {
        let expected = &lane["tally"]["expected"];
        assert_eq!((&expected["agrees"], &expected["diverges"]), (&1.into(), &1.into()), "{lane}");
    }
    let sentence = report["targets"][0]["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("1 of 2 inputs are not as the data set expects"), "{sentence}");
}

#[test]
fn what_cannot_be_run_is_said_before_anything_runs() {
    let folder = TempDir::new().unwrap();
    let labels = folder.path().join("labels.npy");
    let with = |classes: &[u8]| {
        let tensor = Tensor::from_bytes(Dtype::U8, &[classes.len()], classes).unwrap();
        write_npy(&labels, &tensor).unwrap();
        let mut command = digits(&["tract"], &["--labels"]);
        command.arg(&labels);
        command
    };
    refused(with(&[1, 2]), "360 inputs and 2 labels", "give one label for each input");
    refused(with(&[10; 360]), "the network has 10 classes", "labels are classes counted from 0");
    let data = |path: &Path| over(Path::new(MODEL), path, &["tract"], &[]);
    refused(data(&folder.path().join("none")), "No such file", "a data set is");
    refused(data(&rows(&folder, 2)), "its shape is", "give a file of the input's shape");
    let classify = ["--task", "classify"];
    let (model, rows) = (debug_model("scalar_operand.onnx"), rows(&folder, 2));
    refused(over(&model, &rows, &["tract"], &classify), "find class scores", "--task regress");
    let (code, _, stderr) = finish(digits(&["tract"], &["--walk-worst", "99"]));
    assert!(code == 2 && stderr.contains("from 0 to 32"), "{stderr}");
}

/// The table that this repository shows, on the drivers that run without a GPU; the same bytes each time.
#[test]
#[ignore = "needs Vulkan and OpenCL"]
fn digits_keep_their_class_on_real_drivers() {
    let targets = ["mnn:cpu", "mnn:vulkan:low", "mnn:opencl"];
    targets.into_iter().for_each(need);
    let folder = TempDir::new().unwrap();
    let run = |name: &str| written(digits(&targets, &[]), &folder.path().join(name));
    let (code, first) = run("first.json");
    assert_eq!(code, 0, "{first}");
    assert!(run("second.json").1 == first, "two runs say the same");
    let report: Value = serde_json::from_str(&first).unwrap();
    for lane in report["targets"].as_array().unwrap() {
        assert_eq!(share(&lane["figures"]["accuracy"]), (351, 360), "{lane}");
        assert_eq!(lane["figures"]["drop"]["mcnemar"]["p"], 1.0);
        assert_eq!(lane["tally"]["unstable"], 0);
    }
}

fn committed(end: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("reports/agree-digits.{end}"))
}

fn committed_report() -> Agree {
    read_agree("committed", &fs::read_to_string(committed("json")).unwrap()).unwrap()
}

#[test]
fn the_committed_report_is_rendered_as_it_was() {
    let agree = committed_report();
    let markdown = agree_markdown(&agree);
    if std::env::var_os("OFFBY_RENEW").is_some() {
        fs::write(committed("md"), &markdown).unwrap();
    }
    assert_eq!(fs::read_to_string(committed("md")).unwrap(), markdown);
    assert_eq!(
        agree.clone().concluded(),
        agree,
        "what was concluded follows from what was counted"
    );
    let text = agree_text(&agree, 80, false, |_, text| text.to_owned());
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:#?}");
    for word in ["McNemar", "class changed", "hidden_relu", "note: a simulated device"] {
        assert!(text.contains(word), "{word}: {text}");
        assert!(agree_html(&agree, &Default::default()).contains(word), "{word}");
    }
}
