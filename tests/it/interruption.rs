//! Ctrl-C: offby reports the partial findings, marks them as partial, and ends its workers. A second Ctrl-C
//! ends it at once.

use crate::support::{debug_model, device, first_target, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const OFFBY: &str = env!("CARGO_BIN_EXE_offby");
/// An interrupted command exits within this time, no matter how long its deadline is.
const SOON: Duration = Duration::from_secs(10);

/// A command whose workers' replies the test can watch.
struct Watched {
    child: Child,
    said: PathBuf,
}

impl Watched {
    fn start(folder: &TempDir, command: &str, model: &str, arguments: &[&str]) -> Self {
        Watched::slowly("", folder, command, model, arguments)
    }

    /// Starts a command that runs `before` in front of each worker.
    fn slowly(
        before: &str,
        folder: &TempDir,
        command: &str,
        model: &str,
        arguments: &[&str],
    ) -> Self {
        let said = folder.path().join("said");
        fs::write(&said, "").unwrap();
        let via = format!("sh -c '{before}{OFFBY} worker | tee -a {}'", said.display());
        let child = Command::new(OFFBY)
            .arg(command)
            .arg(debug_model(model))
            .args(arguments)
            .args(["--via", &via, "--timeout", "600"])
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Watched { child, said }
    }

    /// Waits until workers have said `words` `times` times, interrupts the command, and returns its result.
    fn interrupt_after(self, words: &str, times: usize) -> (Option<i32>, Output) {
        let count = || {
            let said = fs::read(&self.said).unwrap_or_default();
            said.windows(words.len()).filter(|window| *window == words.as_bytes()).count()
        };
        until(&format!("no worker says {words} {times} times"), || count() >= times);
        // The command itself receives the words a moment later, and shows nobody when.
        std::thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        signal(&self.child);
        let output = self.child.wait_with_output().unwrap();
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
        (output.status.code(), output)
    }
}

fn signal(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// Processor time of a command in ticks of the kernel, 100 a second. It is the 14th field, and the name is the second.
fn ticks_of_work(child: &Child) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let (_, fields) = text.rsplit_once(") ").unwrap();
    fields.split(' ').nth(11).unwrap().parse().unwrap()
}

/// A set of signals of a command, as the kernel shows it.
fn mask(child: &Child, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

fn interrupt() -> u64 {
    1 << (Signal::INT.as_raw() - 1)
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const OPENED: &str = r#""reply":"opened""#;

#[test]
fn a_run_keeps_the_targets_that_are_done() {
    let on = ["--on", "sim:zero", "--on", "sim:hang", "--on", "sim:honest-f32", "--json", "-"];
    let folder = TempDir::new().unwrap();
    let watched = Watched::start(&folder, "run", "small_mlp.onnx", &on);
    let (code, output) = watched.interrupt_after(OPENED, 2);
    let report = json(&output);
    assert_eq!(code, Some(1), "a divergence that was found stays one: {report:#}");
    assert_eq!(report["interrupted"], true);
    let outcomes = [0, 1, 2].map(|at| report["targets"][at]["outcome"].clone());
    assert_eq!(outcomes, ["completed", "interrupted", "interrupted"]);
    let sentence = report["targets"][2]["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("before its turn"), "{sentence}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Ctrl-C again"), "{output:?}");
}

#[test]
fn a_walk_keeps_the_operators_that_began() {
    let (folder, on) = device("faults: [{fault: hang, at: {index: 2}}]");
    let out = folder.path().join("out");
    let arguments = ["--on", &on, "--out", out.to_str().unwrap()];
    let watched = Watched::start(&folder, "walk", "small_mlp.onnx", &arguments);
    let (code, output) = watched.interrupt_after(r#""reply":"op""#, 3);
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains(" interrupted: this is what was known by then"), "{text}");
    assert!(text.contains("inconclusive: the command was interrupted, in operator 2, "), "{text}");
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    let target = first_target(&report);
    assert_eq!((&target["ended"], &report["interrupted"]), (&"interrupted".into(), &true.into()));
    let begun: Vec<u64> = target["begun"]
        .as_array()
        .unwrap()
        .iter()
        .map(|op| op["index"].as_u64().unwrap())
        .collect();
    assert_eq!(begun, [0, 1, 2]);
    for rendering in ["report.md", "report.html"] {
        assert!(read(rendering).contains("Note: interrupted: "), "{rendering}");
    }
}

/// Every node kills its worker, and each worker starts slowly.
#[test]
fn a_search_keeps_what_it_has_looked_at() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().to_str().unwrap();
    let on = ["--on", "sim:crash", "--strategy", "isolate", "--json", "-", "--out", out];
    let watched = Watched::slowly("sleep 0.3; ", &folder, "walk", "basic_block.onnx", &on);
    let (code, output) = watched.interrupt_after(r#""reply":"hello""#, 4);
    let report = json(&output);
    assert_eq!(code, Some(3), "{report:#}");
    let target = first_target(&report);
    let walk = &target["walk"];
    assert_eq!((&report["interrupted"], &walk["interrupted"]), (&true.into(), &true.into()));
    let looked_at = walk["ops_unchecked"].as_array().unwrap().len();
    assert!(looked_at >= 2 && (looked_at as u64) < walk["ops_total"].as_u64().unwrap(), "{walk:#}");
    let sentence = target["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("until the search was interrupted"), "{sentence}");
    let journal = fs::read_to_string(Path::new(out).join("journal-isolate.jsonl")).unwrap();
    assert!(!journal.contains("finished"), "the same command goes on from here: {journal}");
}

#[test]
fn a_matrix_keeps_its_cells_and_begins_the_others_anew() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().to_str().unwrap();
    let on = ["--on", "sim:honest-f32", "--on", "sim:hang", "--jobs", "1", "--out", out];
    let arguments = [&on[..], &["--json", "-"]].concat();
    // More rounds than a cell gets that ends its command by itself.
    for round in 0..3 {
        let watched = Watched::start(&folder, "matrix", "small_mlp.onnx", &arguments);
        let (code, output) = watched.interrupt_after(OPENED, if round == 0 { 2 } else { 1 });
        let matrix = json(&output);
        assert_eq!((code, &matrix["interrupted"]), (Some(3), &true.into()), "{matrix:#}");
        let cells = matrix["rows"][0]["cells"].as_object().unwrap();
        assert_eq!(cells.keys().collect::<Vec<_>>(), ["sim:honest-f32"]);
    }
}

#[test]
fn a_bench_keeps_the_turns_that_are_done() {
    let on = ["--on", "sim:honest-f32", "--iterations", "1000000", "--json", "-"];
    let folder = TempDir::new().unwrap();
    let watched = Watched::start(&folder, "bench", "small_mlp.onnx", &on);
    let (code, output) = watched.interrupt_after(r#""reply":"ran""#, 3);
    let report = json(&output);
    assert_eq!((code, &report["interrupted"]), (Some(3), &true.into()), "{report:#}");
    let latency = &first_target(&report)["bench"]["latency"];
    assert!(latency["iterations"].as_u64().unwrap() >= 5, "{report:#}");
}

/// Two matrices of 2048 x 2048, again and again: tract cannot be interrupted during a product.
#[test]
fn whoever_asks_twice_does_not_wait() {
    use offby::graph::Network;
    use offby::tensor::{Dtype::F32, Tensor};
    const WIDTH: usize = 2048;
    let folder = TempDir::new().unwrap();
    let weight = Tensor::from_f32(&[WIDTH, WIDTH], vec![0.001; WIDTH * WIDTH]).unwrap();
    let start = Network::new("slow").input("x0", F32, &[WIDTH, WIDTH]).initializer("w", &weight);
    let name = |at: usize| format!("x{at}");
    let network = (0..60).fold(start, |network, at| {
        network.node(&format!("n{at}"), "MatMul", &[&name(at), "w"], &[&name(at + 1)], &[])
    });
    let model = folder.path().join("slow.onnx");
    fs::write(&model, network.output("x60", F32, &[WIDTH, WIDTH]).to_bytes()).unwrap();
    let mut command = Command::new(OFFBY);
    command.arg("run").arg(&model).args(["--input", "ones", "--on", "tract"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the product does not begin", || ticks_of_work(&child) > 100);
    signal(&child);
    until("the first signal is not handled", || mask(&child, "ShdPnd") & interrupt() == 0);
    signal(&child);
    let started = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
