//! The strategies that search from outside, and shrinking, through the command line: on simulated devices with
//! a known fault, and on real drivers.

use crate::support::odd_networks::{branches, outside, two_outputs};
use crate::support::{debug_model, device, finish, finish_json, first_target, need, offby};
use offby::case::Case;
use offby::engine::NodeSteps;
use offby::graph::{Attribute, Model, Network};
use offby::tensor::{Dtype::F32, Tensor};
use prost::Message as _;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Seconds for a run if some runs hang: long enough for each run that does not hang.
const PATIENCE: &str = "3";

// --- networks, devices, commands --------------------------------------------

/// A device with one fault in one node, and the target that names it.
fn planted(fault: &str, node: &str) -> (TempDir, String) {
    device(&format!("faults:\n  - {{fault: {fault}, at: {{name: \"{node}\"}}}}"))
}

/// Nodes `n0`, `n1`... in a row; none of them absorbs an error.
fn chain(length: usize) -> Network {
    let w = Tensor::from_f32(&[4], vec![0.5, -1.0, 2.0, 0.25]).unwrap();
    let start = Network::new("chain").input("x", F32, &[2, 4]).initializer("w", &w);
    let whole = (0..length).fold(start, |network, at| {
        let (before, name) =
            (if at == 0 { "x".to_owned() } else { format!("v{}", at - 1) }, format!("v{at}"));
        match at % 2 {
            0 => network.node(&format!("n{at}"), "Neg", &[&before], &[&name], &[]),
            _ => network.node(&format!("n{at}"), "Add", &[&before, "w"], &[&name], &[]),
        }
    });
    whole.output(&format!("v{}", length - 1), F32, &[2, 4])
}

fn stored(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("network.onnx");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn walk(strategy: &str, model: &Path, target: &str, extra: &[&str]) -> (i32, Value) {
    let mut command = offby();
    command.arg("walk").arg(model).args(["--on", target, "--strategy", strategy]);
    command.args(["--json", "-"]).args(extra);
    finish_json(command)
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

fn sources(target: &Value) -> Vec<&str> {
    strings(&target["walk"]["sources"])
}

fn kind(target: &Value) -> &str {
    target["verdict"]["kind"].as_str().unwrap()
}

fn sentence(target: &Value) -> &str {
    target["verdict"]["sentence"].as_str().unwrap()
}

/// Checks that a search by halves stays within its runs: the whole, ⌈log2 N⌉ cuts, one proof.
fn assert_few_runs(target: &Value) {
    let nodes = target["walk"]["ops_total"].as_u64().unwrap();
    let runs = target["walk"]["candidate_runs"].as_u64().unwrap();
    let most = u64::from(nodes.next_power_of_two().trailing_zeros()) + 2;
    assert!(runs <= most, "{runs} runs for {nodes} nodes: {target:#}");
}

/// All three strategies must name exactly this node.
fn assert_all_name(model: &Path, fault: &str, node: &str, extra: &[&str]) {
    let (_device, target) = planted(fault, node);
    let (code, report) = walk("all", model, &target, extra);
    let what = format!("{fault} in {node} of {}", model.display());
    assert_eq!(code, 1, "{what}: {report:#}");
    let targets = report["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 3);
    for (found, strategy) in targets.iter().zip(["follow", "cut", "isolate"]) {
        assert_eq!(found["walk"]["strategy"], strategy);
        assert_eq!(sources(found), [node], "{what}, {strategy}: {found:#}");
        assert_eq!(kind(found), "divergent", "{what}, {strategy}");
    }
    assert_few_runs(&targets[1]);
    let together = strings(&report["strategies"]["sentences"]);
    assert!(together.contains(&"all agree on the first node"), "{what}: {together:?}");
    assert!(together.contains(&"follow and isolate name the same nodes"), "{what}: {together:?}");
}

// --- the planted node is named -----------------------------------------------

#[test]
fn every_strategy_names_the_planted_node() {
    for name in ["group_norm", "resnet50_head", "efformer_mlp_1"] {
        let path = debug_model(&format!("{name}.onnx"));
        let steps = NodeSteps::new(&Model::load(&path).unwrap()).unwrap();
        for step in BTreeSet::from([steps.len() / 3, steps.len() - 1]) {
            assert_all_name(&path, "zero", &steps.node(step).0, &[]);
        }
    }
}

#[test]
fn oddly_built_networks_are_searched_as_well() {
    let (_folder, path) = stored(&branches().encode_to_vec());
    for deep in ["ones", "zeros"] {
        let deep = format!("deep?={deep}");
        assert_all_name(&path, "scale", "chosen", &["--input", "x=normal:1", "--input", &deep]);
    }
    let (proto, bin) = outside();
    let (folder, path) = stored(&proto.encode_to_vec());
    fs::write(folder.path().join("w.bin"), bin).unwrap();
    assert_all_name(&path, "scale", "mul", &[]);
    let (_folder, path) = stored(&two_outputs().to_bytes());
    assert_all_name(&path, "scale", "/a", &[]);
    assert_all_name(&path, "scale", "/c", &["--input", "ones"]);
}

/// The whole agrees, and one more run shows that no node absorbs an error.
#[test]
fn a_clean_device_needs_two_runs() {
    for target in ["sim:honest-f32", "sim:honest-f16"] {
        let (code, report) = walk("cut", &debug_model("group_norm.onnx"), target, &[]);
        let found = first_target(&report);
        assert_eq!((code, &found["walk"]["candidate_runs"]), (0, &2.into()), "{found:#}");
        assert_eq!(sources(found), [""; 0]);
        assert!(["agrees", "explained"].contains(&kind(found)), "{found:#}");
    }
}

#[test]
fn a_crash_is_pinned_down_by_cutting() {
    let (_folder, path) = stored(&chain(21).to_bytes());
    let (_device, target) = planted("abort", "n13");
    let (code, report) = walk("all", &path, &target, &[]);
    assert_eq!(code, 3, "{report:#}");
    let [follow, cut, isolate] = report["targets"].as_array().unwrap().as_slice() else {
        panic!("{report:#}")
    };
    assert!(kind(follow) == "crashed" && sentence(follow).contains("`n13`"), "{follow:#}");
    assert_eq!((kind(cut), sources(cut)), ("crashed", vec!["n13"]), "{cut:#}");
    assert!(sentence(cut).starts_with("`n13` is where it stops coming to its end"), "{cut:#}");
    assert_few_runs(cut);
    assert_eq!((kind(isolate), sources(isolate)), ("crashed", vec!["n13"]), "{isolate:#}");
    assert!(sentence(isolate).contains("`n13` by itself ends in the same way"), "{isolate:#}");
    let together = strings(&report["strategies"]["sentences"]);
    assert!(together.contains(&"cut and isolate agree on the first node"), "{together:?}");
}

#[test]
fn a_hang_is_pinned_down_by_cutting() {
    let (_folder, path) = stored(&chain(12).to_bytes());
    let (_device, target) = planted("hang", "n7");
    let (code, report) = walk("cut", &path, &target, &["--timeout", PATIENCE]);
    let found = first_target(&report);
    assert_eq!((code, kind(found), sources(found)), (3, "timed_out", vec!["n7"]), "{found:#}");
    assert_few_runs(found);
}

/// A liar is right while every node is read. A truncation runs like any network, so cutting and isolating see
/// the real values. The follower notices that its taps disturb the device.
#[test]
fn a_liar_is_found_without_taps() {
    let (_folder, path) = stored(&chain(9).to_bytes());
    let (_device, target) = planted("liar", "n4");
    let (code, report) = walk("all", &path, &target, &[]);
    assert_eq!(code, 1, "{report:#}");
    let targets = report["targets"].as_array().unwrap();
    assert_eq!(targets[0]["walk"]["disturbed_by_taps"], true);
    for found in &targets[1..] {
        assert_eq!((kind(found), sources(found)), ("divergent", vec!["n4"]), "{found:#}");
    }
    let together = strings(&report["strategies"]["sentences"]);
    assert!(together[0].starts_with("follow can name no node: watched"), "{together:?}");
    assert!(together.contains(&"cut and isolate agree on the first node"), "{together:?}");
}

/// `early` is multiplied by zero; the rest goes through `late`.
fn absorbing() -> Network {
    let zero = Tensor::from_f32(&[1], vec![0.0]).unwrap();
    Network::new("absorbing")
        .input("x", F32, &[2, 4])
        .initializer("zero", &zero)
        .node("early", "Neg", &["x"], &["a"], &[])
        .node("mask", "Mul", &["a", "zero"], &["b"], &[])
        .node("join", "Add", &["b", "x"], &["c"], &[])
        .node("late", "Neg", &["c"], &["d"], &[])
        .node("last", "Add", &["d", "x"], &["y"], &[])
        .output("y", F32, &[2, 4])
}

#[test]
fn an_absorbed_error_is_no_divergence_but_a_source() {
    let (_folder, path) = stored(&absorbing().to_bytes());
    let (_device, target) = planted("scale", "early");
    let (_, report) = walk("cut", &path, &target, &[]);
    let found = first_target(&report);
    assert_eq!(found["walk"]["candidate_runs"], 2);
    assert!(sentence(found).contains("the whole agrees"), "{found:#}");
    for strategy in ["follow", "cut", "isolate"] {
        let (code, report) = walk(strategy, &path, &target, &[]);
        // The outputs are right, and `run` also says so.
        assert_eq!((code, sources(first_target(&report))), (0, vec!["early"]), "{report:#}");
        assert_eq!(first_target(&report)["outputs"][0]["agreement"], "agrees");
        let mut text = offby();
        text.arg("walk").arg(&path).args(["--on", &target, "--strategy", strategy]);
        let (_, stdout, _) = finish(text);
        assert!(!stdout.contains("it would pass"), "it has passed: {stdout}");
    }
}

#[test]
fn the_proof_of_a_cut_shows_what_is_absorbed_before_it() {
    let (_folder, path) = stored(&absorbing().to_bytes());
    let faults =
        "faults:\n  - {fault: scale, at: {name: early}}\n  - {fault: zero, at: {name: late}}";
    let (_device, target) = device(faults);
    let (code, report) = walk("cut", &path, &target, &[]);
    let found = first_target(&report);
    assert_eq!((code, sources(found)), (1, vec!["early", "late"]), "{found:#}");
    assert!(sentence(found).contains("absorbed before it reaches an output"), "{found:#}");
    assert_few_runs(found);
}

// --- killed in the middle ---------------------------------------------------

/// Starts a walk, kills it while a run hangs, and returns the journal it left. Its worker must not outlive the
/// walk.
fn kill_in_the_middle(strategy: &str, model: &Path, target: &str, out: &Path) -> Vec<Value> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_offby"))
        .arg("walk")
        .arg(model)
        .args(["--on", target, "--strategy", strategy, "--timeout", PATIENCE, "--out"])
        .arg(out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = out.join(format!("journal-{strategy}.jsonl"));
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let lines = journal(&path);
        let is_running = lines.last().is_some_and(|line| line.get("start").is_some());
        // A run that finishes does so at once; a run that lasts is the hanging one.
        if is_running && lines.iter().any(|line| line.get("done").is_some()) {
            std::thread::sleep(Duration::from_millis(700));
            if journal(&path).len() == lines.len() {
                break;
            }
        }
        assert!(Instant::now() < until, "nothing hangs: {lines:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let workers = children(child.id());
    assert!(!workers.is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let gone = |worker: &u32| !Path::new(&format!("/proc/{worker}/exe")).exists();
    while !workers.iter().all(gone) {
        assert!(Instant::now() < until, "the worker outlives its parent");
        std::thread::sleep(Duration::from_millis(100));
    }
    journal(&path)
}

fn journal(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The child processes of a parent.
fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = fs::read_to_string(path).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn keys<'a>(journal: &'a [Value], what: &str) -> Vec<&'a str> {
    let key = |line: &'a Value| match line.get(what)? {
        Value::Array(pair) => pair[0].as_str(),
        key => key.as_str(),
    };
    journal.iter().filter_map(key).collect()
}

/// The journals of the killed and of the finished command, the finished command's report, and the report of an
/// undisturbed command.
fn resume(strategy: &str, length: usize, node: &str) -> ([Vec<Value>; 2], Value, Value) {
    let (_folder, path) = stored(&chain(length).to_bytes());
    let (_device, target) = planted("hang", node);
    let out = TempDir::new().unwrap();
    let timeout = ["--timeout", PATIENCE];
    std::thread::scope(|scope| {
        let undisturbed = scope.spawn(|| walk(strategy, &path, &target, &timeout).1);
        let before = kill_in_the_middle(strategy, &path, &target, out.path());
        let extra = [&timeout[..], &["--out", out.path().to_str().unwrap()]].concat();
        let (_, report) = walk(strategy, &path, &target, &extra);
        let after = journal(&out.path().join(format!("journal-{strategy}.jsonl")));
        let starts = keys(&after, "start");
        let distinct: BTreeSet<&&str> = starts.iter().collect();
        assert_eq!(distinct.len(), starts.len(), "nothing is started twice: {starts:?}");
        let interrupted = *keys(&before, "start").last().unwrap();
        assert!(!keys(&after, "done").contains(&interrupted), "{after:?}");
        assert_eq!(after.last().unwrap(), "finished");
        ([before, after], report, undisturbed.join().unwrap())
    })
}

#[test]
fn a_killed_cut_goes_on_where_it_was() {
    let ([before, _], report, undisturbed) = resume("cut", 32, "n6");
    let (found, expected) = (first_target(&report), first_target(&undisturbed));
    let probes = found["walk"]["probes"].as_array().unwrap();
    let resumed: Vec<&Value> = probes.iter().filter(|probe| probe["resumed"] == true).collect();
    assert_eq!(resumed.len(), keys(&before, "start").len(), "{probes:#?}");
    let interrupted = resumed.last().unwrap();
    assert_eq!(interrupted["answer"], "unknown");
    assert_eq!(interrupted["reason"], "an earlier command ended while it ran");
    assert_eq!((kind(found), sources(found)), (kind(expected), sources(expected)));
    assert_eq!(sources(found), ["n6"], "{found:#}");
}

#[test]
fn a_killed_isolation_goes_on_where_it_was() {
    let ([before, _], report, undisturbed) = resume("isolate", 7, "n3");
    assert_eq!(keys(&before, "done").len(), 3);
    let (found, expected) = (first_target(&report), first_target(&undisturbed));
    assert_eq!((kind(found), kind(expected)), ("timed_out", "timed_out"));
    assert_eq!(sources(expected), ["n3"]);
    let unchecked = &found["walk"]["ops_unchecked"][0];
    assert_eq!(unchecked["name"], "n3");
    assert!(unchecked["reason"].as_str().unwrap().contains("an earlier command"), "{unchecked}");
    assert_eq!(found["walk"]["ops"], expected["walk"]["ops"]);
    // The whole once more, and the three nodes after the one that hangs.
    assert_eq!(found["walk"]["candidate_runs"], 4);
}

// --- on the screen ----------------------------------------------------------

#[test]
fn eighty_columns_hold_every_strategy() {
    let path = debug_model("group_norm.onnx");
    let (_device, target) = planted("zero", "*Conv*");
    for arguments in [["walk", "--strategy", "all"], ["walk", "--strategy", "cut"]] {
        let mut command = offby();
        command.arg(arguments[0]).arg(&path).args(["--on", &target]).args(&arguments[1..]);
        let (_, stdout, _) = finish(command);
        let own_words = stdout.lines().skip(1).filter(|line| !line.contains(&target));
        for line in own_words {
            assert!(line.trim_end().chars().count() <= 80, "{line:?} in {stdout}");
        }
        assert!(stdout.contains("simulated"), "{stdout}");
        let mut quiet = offby();
        quiet.arg(arguments[0]).arg(&path).args(["--on", &target, "-q"]).args(&arguments[1..]);
        assert_eq!(finish(quiet), (1, String::new(), String::new()));
    }
}

// --- shrinking --------------------------------------------------------------

fn shrink(model: &Path, target: &str, out: &Path, extra: &[&str]) -> (i32, String) {
    let mut command = offby();
    command.arg("shrink").arg(model).args(["--on", target, "--out"]).arg(out).args(extra);
    let (code, stdout, stderr) = finish(command);
    assert_eq!(stderr, "");
    // The program breaks long lines.
    (code, stdout.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn assert_says(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "{text}, not {words}");
    }
}

#[test]
fn a_planted_fault_shrinks_to_one_node_and_its_threshold() {
    let (_folder, path) = stored(&chain(9).to_bytes());
    let faults = "faults:\n  - {fault: scale, at: {name: n4, min_axis: 3}}";
    let (_device, target) = device(faults);
    let out = TempDir::new().unwrap();
    let (code, text) = shrink(&path, &target, out.path(), &["--input", "normal:1"]);
    assert_eq!(code, 1, "{text}");
    assert_says(
        &text,
        &[
            "the node `n4` by itself shows it",
            "along axis 1 (the last) of `v3`: fails at 3, 4; agrees at 1, 2",
            "shown by 3 of 3 runs",
            "this device is simulated",
        ],
    );
    let report = fs::read_to_string(out.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (&report["node"], &report["inputs"][0]["shape"]),
        (&"n4".into(), &[1, 3][..].into())
    );
    assert_eq!(report["inputs"][0]["spec"], "ones");
}

#[test]
fn where_nothing_is_wrong_nothing_is_shrunk() {
    let (_folder, path) = stored(&chain(5).to_bytes());
    let out = TempDir::new().unwrap();
    let (code, text) = shrink(&path, "sim:honest-f32", out.path(), &[]);
    assert_eq!(code, 0);
    assert_says(&text, &["there is no finding to shrink"]);
    let mut command = offby();
    command.arg("shrink").arg(&path).args(["--on", "sim:honest-f32", "--json", "-", "--out"]);
    command.arg(out.path());
    let (code, report) = finish_json(command);
    assert_eq!((code, &report["finding"]), (0, &"agrees".into()));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
#[ignore = "needs the driver of mnn:vulkan:low"]
fn split_view_shrinks_to_the_first_number_f16_cannot_hold() {
    need("mnn:vulkan:low");
    let out = TempDir::new().unwrap();
    let path = debug_model("split_view.onnx");
    let (code, text) = shrink(&path, "mnn:vulkan:low", out.path(), &["--input", "arange"]);
    assert_eq!(code, 1, "{text}");
    assert_says(
        &text,
        &[
            "those up to 2048 are exact; the smallest failing value is 2049, which becomes 2048",
            "tensors of either value alone show the same",
            "shown by 3 of 3 runs from the written files",
        ],
    );
    let case = Case::load(&out.path().join("model.yaml")).unwrap();
    assert_eq!(case.model_path(), out.path().join("model.onnx"));
    let summary = fs::read_to_string(out.path().join("summary.md")).unwrap();
    assert_says(&summary, &["2049", "```sh\noffby run ", "mnn:vulkan:low"]);
    let (name, spec) = case.specs().into_iter().next().unwrap();
    let mut again = offby();
    again.arg("run").arg(case.model_path()).args(["--on", "mnn:vulkan:low", "--json", "-"]);
    let (_, report) = finish_json({
        again.args(["--input", &format!("{name}={spec}")]);
        again
    });
    let output = &first_target(&report)["outputs"][0];
    assert_eq!(output["agreement"], "explained", "{report:#}");
    assert_eq!(output["comparison"]["worst"][0]["candidate"], 2048.0);
}

/// A Softmax between two nodes that every backend computes right.
fn softmax(extent: usize) -> Network {
    Network::new("softmax")
        .input("x", F32, &[2, 4, extent])
        .node("before", "Abs", &["x"], &["a"], &[])
        .node("attention", "Softmax", &["a"], &["b"], &[("axis", Attribute::Int(2))])
        .node("after", "Neg", &["b"], &["y"], &[])
        .output("y", F32, &[2, 4, extent])
}

/// llvmpipe's Softmax is wrong for nine or more numbers.
#[test]
#[ignore = "needs the driver of mnn:vulkan:high"]
fn the_softmax_of_llvmpipe_is_cut_out_and_shrunk() {
    need("mnn:vulkan:high");
    let (_folder, path) = stored(&softmax(32).to_bytes());
    let (_, report) = walk("cut", &path, "mnn:vulkan:high", &[]);
    let found = first_target(&report);
    let device = found["ran_on"]["device"].as_str().unwrap();
    if !device.contains("llvmpipe") {
        eprintln!("SKIPPED the_softmax_of_llvmpipe: this is {device}");
        return;
    }
    assert_eq!((kind(found), sources(found)), ("divergent", vec!["attention"]), "{found:#}");
    assert_few_runs(found);
    let out = TempDir::new().unwrap();
    let (code, text) = shrink(&path, "mnn:vulkan:high", out.path(), &[]);
    assert_eq!(code, 1, "{text}");
    assert_says(&text, &["Softmax on mnn:vulkan:high: divergent", "fails at 9", "agrees at 1..8"]);
}

#[test]
#[ignore = "needs the driver of mnn:opencl:high"]
fn opencl_is_cut_and_agrees() {
    need("mnn:opencl:high");
    let (_folder, path) = stored(&softmax(32).to_bytes());
    let (code, report) = walk("all", &path, "mnn:opencl:high", &[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["targets"][1]["walk"]["candidate_runs"], 2);
    let together = strings(&report["strategies"]["sentences"]);
    assert!(together.contains(&"all agree that no node is to blame"), "{together:?}");
}
