//! Rendered pages in a real browser: the pages request no file and log no error, sources are marked with their
//! names, and five thousand operators stay quick. Needs Chromium, Node and the packages of `tests/web`, which
//! `scripts/up test` installs.

use crate::decode::written;
use crate::support::{debug_model, device, finish, offby};
use offby::agree::read_agree;
use offby::matrix::read_matrix;
use offby::report::{Report, agree_html, matrix_html, read_report, report_html};
use offby::walk::Role;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The programs that the test needs.
struct Browser {
    node: PathBuf,
    chromium: PathBuf,
    modules: PathBuf,
}

impl Browser {
    fn find() -> Result<Self, &'static str> {
        let node = program(&["node", "nodejs"]).ok_or("there is no node")?;
        let chromium = env::var_os("OFFBY_CHROMIUM").map(PathBuf::from);
        let chromium = chromium
            .or_else(|| program(&["chromium", "chromium-browser", "google-chrome"]))
            .ok_or("there is no chromium")?;
        let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home);
        let modules = cache.unwrap_or_default().join("offby/web/node_modules");
        let there = |package: &str| modules.join(package).is_dir();
        let packages = ["playwright-core", "markdownlint-cli2", "axe-core"];
        let all = packages.into_iter().all(there);
        all.then_some(Browser { node, chromium, modules })
            .ok_or("packages of tests/web are missing")
    }
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    let candidates =
        names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|path| path.is_file())
}

fn fixed(name: &str) -> Report {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/reports");
    read_report(&fs::read_to_string(folder.join(format!("{name}.json"))).unwrap()).unwrap()
}

/// A network with many operators: some are sources, and one has NaN.
fn synthetic(count: usize) -> Report {
    let mut report = fixed("walk");
    let walk = report.targets[0].walk.as_mut().unwrap();
    let source = walk.ops.iter().find(|op| op.role == Role::Source).unwrap().clone();
    let wave = |index: usize| (index as f64 * 0.37).sin();
    walk.ops = (0..count)
        .map(|index| {
            let mut op = source.clone();
            let is_source = index % (count / 12) == count / 24;
            op.index = index;
            op.name = format!("/stages.{}/blocks.{index}/attn/Softmax_output_0", index / 1000);
            op.op_type = ["Convolution", "Softmax", "BinaryOp", "Raster"][index % 4].into();
            op.floor = 1e-6 * (1.0 + 0.5 * wave(index));
            let quiet = op.floor * (0.4 + 0.3 * wave(3 * index));
            op.introduced = Some(if is_source { 0.3 } else { quiet });
            op.cumulative = Some(1e-6 + 1e-5 * index as f64 * (1.1 + wave(index / 40)));
            op.ratio = op.introduced.map(|introduced| introduced / op.floor);
            op.role = if is_source { Role::Source } else { Role::Propagator };
            op.nonfinite = None;
            op.disagreeing = 0;
            op.error_profile = op.error_profile.filter(|_| is_source);
            op.diagnosis.retain(|_| is_source);
            op.excess = op.excess.filter(|_| is_source);
            op.reads = (index > 0).then(|| index - 1).into_iter().collect();
            op.reads.extend((index % 16 == 9).then(|| index - 9));
            op
        })
        .collect();
    walk.ops_total = count;
    walk.ops_compared = count;
    let sources = walk.ops.iter().filter(|op| op.role == Role::Source);
    walk.sources = sources.map(|op| op.name.clone()).collect();
    report
}

/// The committed matrix as a page: it has no operators and no scripts.
fn matrix_plan(folder: &Path) -> Value {
    let committed =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/matrix-debug-networks.json");
    let matrix = read_matrix("committed", &fs::read_to_string(committed).unwrap()).unwrap();
    let file = folder.join("matrix.html");
    fs::write(&file, matrix_html(&matrix)).unwrap();
    let words = ["simulated", "converter: Mul", "NaN: Erf", "only rows that are not all right"];
    json!({"file": file, "name": "matrix", "words": words, "ops": 0, "sources": []})
}

/// The committed run over a data set as a page, also without scripts.
fn agree_plan(folder: &Path) -> Value {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/agree-digits.json");
    let agree = read_agree("committed", &fs::read_to_string(committed).unwrap()).unwrap();
    let file = folder.join("agree.html");
    fs::write(&file, agree_html(&agree, &Default::default())).unwrap();
    let words = ["simulated", "McNemar", "hidden_relu", "Worst inputs"];
    json!({"file": file, "name": "agree", "words": words, "ops": 0, "sources": []})
}

/// Decoding on a device with a fault as a page. The first wrong step must be painted, and the step before it must not.
fn decode_plan(folder: &Path, name: &str, fault: &str, (row, step): (&str, usize)) -> Value {
    let (_device, target) = device(&format!("faults: [{fault}]"));
    let model = written(folder, "llama");
    let mut command = offby();
    command.arg("decode").arg(model).args(["--on", &target, "--steps", "12", "-q"]);
    let out = folder.join(name);
    command.arg("--out").arg(&out);
    assert_eq!(finish(command).0, 1, "{fault}");
    let before = step.checked_sub(1).map(|step| json!([row, step, false]));
    let painted: Vec<Value> = before.into_iter().chain([json!([row, step, true])]).collect();
    json!({
        "file": out.join("decode.html"), "name": name, "words": ["simulated", "first wrong"],
        "ops": 0, "sources": [], "painted": painted,
    })
}

/// A page with two walks. Each of the two devices adds up the convolutions wrongly.
fn targets_plan(folder: &Path) -> Value {
    let (_half, first) = device("faults: [{fault: half-sums, at: {op: [Conv]}}]");
    let (_tail, second) = device("faults: [{fault: tail-lost, at: {op: [Conv]}}]");
    let mut command = offby();
    command.arg("walk").arg(debug_model("basic_block.onnx"));
    let out = folder.join("targets");
    command.args(["--on", &first, "--on", &second, "-q", "--out"]).arg(&out);
    assert_eq!(finish(command).0, 1);
    let saved = fs::read_to_string(out.join("report.json")).unwrap();
    let report = read_report(&saved).unwrap();
    let words = ["Operators on each target", "Worst element of", "about as much as the target"];
    plan(folder, "targets", &report, &words)
}

/// Writes the page, and lists what the browser must find on it.
fn plan(folder: &Path, name: &str, report: &Report, words: &[&str]) -> Value {
    let file = folder.join(format!("{name}.html"));
    fs::write(&file, report_html(report)).unwrap();
    let walk = report.targets.iter().find_map(|target| target.walk.as_ref());
    json!({
        "file": file, "name": name, "words": words, "sheets": if name == "walk" { 2 } else { 0 },
        "walks": report.targets.iter().filter(|target| target.walk.is_some()).count(),
        "ops": walk.map_or(0, |walk| walk.ops.len()),
        "sources": walk.map_or_else(Vec::new, |walk| walk.sources.clone()),
    })
}

/// The browser. If it is missing, the test fails.
fn browser() -> Browser {
    Browser::find().unwrap_or_else(|reason| panic!("{reason}: `scripts/up test` installs it"))
}

/// Rendered reports as users post them, and the documents of this project.
#[test]
#[ignore = "needs Chromium and node"]
fn markdown_passes_a_linter() {
    let browser = browser();
    let output = Command::new(&browser.node)
        .arg(browser.modules.join("markdownlint-cli2/markdownlint-cli2-bin.mjs"))
        .args(["--config", "tests/web/.markdownlint-cli2.jsonc"])
        .args(["*.md", "{docs,reports,tests,fixtures,debug-models,examples}/**/*.md"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
}

#[test]
#[ignore = "needs Chromium and node"]
fn pages_are_sound_in_a_browser() {
    let browser = browser();
    let folder = tempfile::tempdir().unwrap();
    let pages = [
        plan(folder.path(), "walk", &fixed("walk"), &["simulated", "NaN", "How to reproduce"]),
        plan(folder.path(), "run", &fixed("run"), &["explained", "(-2: 4046) (-1: 4046)"]),
        plan(folder.path(), "old", &fixed("walk-0.1.0"), &["divergent"]),
        matrix_plan(folder.path()),
        agree_plan(folder.path()),
        decode_plan(
            folder.path(),
            "decode-one-token",
            "{fault: scale, factor: 1.5, at: {name: '/layers.1/mlp/Sigmoid*', extent: {axis: 1, to: 1}}}",
            ("layer 2", 1),
        ),
        decode_plan(
            folder.path(),
            "decode-long",
            "{fault: shifted, at: {op: [Softmax], name: '/layers.0/*', extent: {axis: 3, from: 15}}}",
            ("layer 1", 7),
        ),
        decode_plan(
            folder.path(),
            "decode-cache",
            "{fault: digits-lost, at: {op: [Concat], name: '/layers.2/attention/*', extent: {axis: 2, from: 8}}}",
            ("layer 2", 0),
        ),
        targets_plan(folder.path()),
        plan(folder.path(), "many", &synthetic(5000), &["5,000 of 5,000"]),
    ];
    let screenshots = env::var_os("OFFBY_SCREENSHOTS").map(PathBuf::from);
    let path = folder.path().join("plan.json");
    let plan =
        json!({"chromium": browser.chromium, "screenshots": screenshots, "pages": pages.to_vec()});
    fs::write(&path, plan.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/pages.cjs");
    let output = Command::new(browser.node)
        .arg(script)
        .arg(&path)
        .env("NODE_PATH", browser.modules)
        .output()
        .unwrap();
    let (said, timings) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprint!("{timings}");
    assert!(output.status.success() && said.is_empty(), "{said}{timings}");
}
