//! The matrix: shares that merge to the whole, cells that hang and crash, killed commands, the comparison with
//! an earlier matrix, saved reports as cells, and every rendering.
//! `OFFBY_RENEW=1 cargo test --release --test it matrix::` writes the committed renderings anew.

use crate::support::{debug_model, device, finish, finish_json, need, offby, until};
use assert_cmd::Command;
use offby::matrix::{Matrix, read_matrix};
use offby::report::{matrix_html, matrix_markdown, matrix_text};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Small networks, each with an operator that the other networks lack.
const NETWORKS: [&str; 3] = ["scalar_operand", "softplus", "four_parts"];

/// `offby matrix` over [`NETWORKS`] on these targets.
fn matrix(targets: &[&str], more: &[&str]) -> Command {
    let mut command = offby();
    command.arg("matrix").args(NETWORKS.map(|name| debug_model(&format!("{name}.onnx"))));
    for target in targets {
        command.args(["--on", target]);
    }
    command.args(more);
    command
}

/// Runs the command, and returns the exit code and the content of `file`.
fn written(mut command: Command, file: &Path) -> (i32, String) {
    command.arg("--json").arg(file).arg("-q");
    let (code, stdout, stderr) = finish(command);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", ""));
    (code, fs::read_to_string(file).unwrap())
}

fn cell<'j>(matrix: &'j Value, row: &str, target: &str) -> &'j Value {
    let rows = matrix["rows"].as_array().unwrap();
    &rows.iter().find(|found| found["name"] == row).unwrap()["cells"][target]
}

fn kind<'j>(matrix: &'j Value, row: &str, target: &str) -> &'j str {
    cell(matrix, row, target)["kind"].as_str().unwrap_or("not run")
}

/// Expects exit code 2, no output, and a hint that says what to do.
#[track_caller]
fn refused(command: Command, hint: &str) {
    let (code, stdout, stderr) = finish(command);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    let said = stderr.lines().find_map(|line| line.strip_prefix("hint: "));
    assert!(said.is_some_and(|said| said.contains(hint)), "{stderr}");
}

#[test]
fn three_shares_merged_are_the_whole_byte_for_byte() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let targets = ["sim:honest-f16", "sim:zero", "tract:f64", "sim:vim3-android-vulkan"];
    let (code, whole) = written(matrix(&targets, &[]), &path("whole.json"));
    assert_eq!(code, 1);
    assert!(!whole.contains("seconds"), "no times in what is to be merged");
    let shares: Vec<PathBuf> = (1..=3).map(|share| path(&format!("{share}.json"))).collect();
    for (at, share) in shares.iter().enumerate() {
        let shard = format!("{}/3", at + 1);
        written(matrix(&targets, &["--shard", &shard]), share);
    }
    let merged = |command: &str, files: &[&PathBuf]| {
        let mut offby = offby();
        offby.arg("matrix").arg(command).args(files);
        written(offby, &path("merged.json"))
    };
    let [one, two, three] = [&shares[0], &shares[1], &shares[2]];
    assert_eq!(merged("merge", &[one, two, three]), (1, whole.clone()));
    assert_eq!(merged("--from", &[three, one, two]), (1, whole));
    // Two shares are no whole: the cells that did not run were not compared.
    let (_, part) = merged("merge", &[one, three]);
    let part: Value = serde_json::from_str(&part).unwrap();
    assert_eq!(kind(&part, "scalar_operand", "sim:zero"), "not run");
}

#[test]
fn a_matrix_with_a_gap_is_not_all_right() {
    let folder = TempDir::new().unwrap();
    let share = folder.path().join("share.json");
    let (code, _) = written(matrix(&["tract:f64"], &["--shard", "1/2"]), &share);
    assert_eq!(code, 0, "the share itself has done its part");
    let mut command = offby();
    command.args(["matrix", "--from"]).arg(&share);
    let (code, stdout, _) = finish(command);
    assert_eq!(code, 3, "{stdout}");
    assert!(stdout.contains("3 cells: 2 right, 1 not run"), "{stdout}");
}

#[test]
fn bad_shares_files_and_networks_are_refused_with_a_hint() {
    for share in ["0/3", "4/3", "2", "a/b", ""] {
        refused(matrix(&["tract"], &["--shard", share]), "2/3");
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("matrix.json");
    for text in ["", "{}", "[1", r#"{"schema": "offby.matrix/2"}"#] {
        fs::write(&file, text).unwrap();
        let mut command = offby();
        command.args(["matrix", "merge"]).arg(&file);
        refused(command, "offby matrix");
        let mut command = matrix(&["tract"], &["--against"]);
        command.arg(&file);
        refused(command, "offby matrix");
    }
    let mut command = offby();
    command.args(["matrix", "nowhere.onnx", "--on", "tract"]);
    refused(command, "");
    let mut command = matrix(&["tract"], &[]);
    command.arg(debug_model("softplus.onnx"));
    refused(command, "once");
}

/// A device that hangs in one network and crashes in a second: both cells say so, the other cells are there.
#[test]
fn one_cell_s_death_never_stops_the_rest() {
    let (_folder, deadly) = device(
        "faults:\n  - {fault: hang, at: {op: [Softplus]}}\n  - {fault: abort, at: {op: [Tanh]}}",
    );
    let (code, report) =
        finish_json(matrix(&[&deadly, "tract:f64"], &["--timeout", "2", "--json", "-"]));
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(kind(&report, "scalar_operand", &deadly), "agrees");
    assert_eq!(kind(&report, "softplus", &deadly), "timed_out");
    assert_eq!(kind(&report, "four_parts", &deadly), "crashed");
    let crash = cell(&report, "four_parts", &deadly)["sentence"].as_str().unwrap();
    assert!(crash.contains("SIGABRT"), "{crash}");
    for network in NETWORKS {
        assert_eq!(kind(&report, network, "tract:f64"), "agrees");
    }
    let (_, text, _) = finish(matrix(&[&deadly], &["--timeout", "2"]));
    assert!(text.contains("✕ hangs") && text.contains("✕ crashes"), "{text}");
    assert!(text.contains("no answer within 2 seconds"), "{text}");
}

fn journal(folder: &Path) -> String {
    fs::read_to_string(folder.join("journal-matrix.jsonl")).unwrap_or_default()
}

/// The command is killed while a cell hangs. The same command takes over the finished cells, and begins with
/// the cell that was running.
#[test]
fn a_killed_sweep_goes_on_where_it_was() {
    let (_folder, device) = device("faults:\n  - {fault: hang, at: {op: [Softplus]}}");
    let out = TempDir::new().unwrap();
    let arguments = ["--timeout", "3", "--jobs", "1", "-q", "--out"];
    let program = assert_cmd::cargo::cargo_bin("offby");
    let mut command = std::process::Command::new(program);
    command.arg("matrix").args(NETWORKS.map(|name| debug_model(&format!("{name}.onnx"))));
    command.args(["--on", &device]).args(arguments).arg(out.path());
    let mut child = command.spawn().unwrap();
    let begun = format!("softplus on {device}, attempt 1");
    until("the cell never begins", || journal(out.path()).contains(&begun));
    child.kill().unwrap();
    child.wait().unwrap();

    let mut again = matrix(&[&device], &arguments);
    again.arg(out.path());
    assert_eq!(finish(again).0, 3);
    let text = journal(out.path());
    let begun = |what: &str| text.matches(&format!("\"start\":\"{what} on {device}")).count();
    assert_eq!((begun("scalar_operand"), begun("softplus"), begun("four_parts")), (1, 2, 1));
    let file = fs::read_to_string(out.path().join("matrix.json")).unwrap();
    let report: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(kind(&report, "scalar_operand", &device), "agrees");
    assert_eq!(kind(&report, "softplus", &device), "timed_out");
    assert_eq!(kind(&report, "four_parts", &device), "agrees");
}

/// A cell that ended the command twice is not begun a third time; results of an earlier command are kept.
#[test]
fn a_cell_that_ends_the_command_twice_is_given_up() {
    let out = TempDir::new().unwrap();
    let run = || {
        let mut command = matrix(&["sim:honest-f32"], &["--jobs", "1", "-q", "--out"]);
        command.arg(out.path());
        let code = finish(command).0;
        let file = fs::read_to_string(out.path().join("matrix.json")).unwrap();
        (code, serde_json::from_str::<Value>(&file).unwrap())
    };
    assert_eq!(run().0, 0);
    let text = journal(out.path());
    let mut lines: Vec<String> = text.lines().take(3).map(str::to_owned).collect();
    lines[2] = lines[2].replace("\"sentence\":\"", "\"sentence\":\"as the journal says: ");
    for attempt in [1, 2] {
        lines.push(format!(r#"{{"start":"softplus on sim:honest-f32, attempt {attempt}"}}"#));
    }
    fs::write(out.path().join("journal-matrix.jsonl"), lines.join("\n") + "\n").unwrap();
    let (code, report) = run();
    assert_eq!(code, 3);
    let sentence = |row| cell(&report, row, "sim:honest-f32")["sentence"].as_str().unwrap();
    assert!(sentence("scalar_operand").starts_with("as the journal says: "), "{report:#}");
    assert!(sentence("softplus").contains("not started again"), "{report:#}");
    assert_eq!(kind(&report, "four_parts", "sim:honest-f32"), "agrees");
}

/// A different document under the same name: a right cell becomes wrong, then right again.
#[test]
fn an_earlier_matrix_tells_what_is_new_and_what_was_fixed() {
    let (folder, target) = device("storage: {format: f32}");
    let document = folder.path().join("device.yaml");
    let faulty = "name: device\ndescribes: device of a test\nfaults:\n  - {fault: zero, at: {op: [Softplus]}}\n";
    let path = |name: &str| folder.path().join(name);
    let targets = ["sim:zero", target.as_str()];
    assert_eq!(written(matrix(&targets, &[]), &path("right.json")).0, 1);
    let right = fs::read_to_string(&document).unwrap();
    fs::write(&document, faulty).unwrap();
    let against = |file: &str| {
        let mut command = matrix(&targets, &["--against"]);
        command.arg(path(file));
        command
    };
    let (code, text) = written(against("right.json"), &path("wrong.json"));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 1);
    let change = |report: &Value, row: &str, target: &str| {
        let cells = report["changes"]["cells"].as_array().unwrap();
        let found = cells.iter().find(|c| c["row"] == row && c["target"] == target).unwrap();
        found["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(change(&report, "softplus", &target), "new");
    assert_eq!(change(&report, "four_parts", &target), "same");
    assert_eq!(change(&report, "four_parts", "sim:zero"), "same");
    let (_, stdout, _) = finish(against("right.json"));
    assert!(stdout.contains("since right.json: 1 new, 0 fixed, 5 same, 0 unknown"), "{stdout}");
    assert!(stdout.contains("(new)"), "{stdout}");
    // Against itself the matrix shows no new faults, even if cells are wrong.
    assert_eq!(finish(against("wrong.json")).0, 0);
    fs::write(&document, right).unwrap();
    let (code, stdout, _) = finish(against("wrong.json"));
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("0 new, 1 fixed, 5 same"), "{stdout}");
}

#[test]
fn saved_reports_are_cells_and_a_walk_stands_over_a_run() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let report = |command: &str, target: &str, file: &str| {
        let mut offby = offby();
        offby.arg(command).arg(debug_model("softplus.onnx")).args(["--on", target, "-q"]);
        offby.arg("--json").arg(path(file));
        finish(offby).0
    };
    assert_eq!(report("run", "sim:zero", "run.json"), 1);
    assert_eq!(report("walk", "sim:zero", "walk.json"), 1);
    assert_eq!(report("run", "sim:honest-f32", "right.json"), 0);
    let gather = |files: &[&str], system: &str| {
        let mut command = offby();
        command.args(["matrix", "--from"]).args(files.iter().map(|file| path(file)));
        command.args(["--system", system, "--json"]).arg(path(&format!("{system}.json")));
        finish(command)
    };
    for files in [["run.json", "walk.json", "right.json"], ["right.json", "walk.json", "run.json"]]
    {
        let (code, stdout, stderr) = gather(&files, "Edge2 Linux");
        assert_eq!(code, 1, "{stdout}{stderr}");
        assert!(stdout.contains("✕ Softplus") && stdout.contains("on Edge2 Linux"), "{stdout}");
    }
    // The same network on a second machine, where it is right: next to each other under their own names.
    assert_eq!(gather(&["right.json"], "Orin Linux").0, 0);
    let mut command = offby();
    command.args(["matrix", "merge"]);
    command.args([path("Edge2 Linux.json"), path("Orin Linux.json")]);
    let (_, stdout, _) = finish(command);
    assert!(stdout.contains("2 systems on 2 targets"), "{stdout}");
    let row = |name: &str| stdout.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row(" Edge2 Linux").contains('✕') && row(" Orin Linux").contains('-'), "{stdout}");
}

#[test]
fn cells_link_the_pages_of_their_walks() {
    let folder = TempDir::new().unwrap();
    let mut command = matrix(&["sim:zero", "tract:f64"], &["-q", "--out"]);
    command.arg(folder.path());
    assert_eq!(finish(command).0, 1);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let saved: Value = serde_json::from_str(&read("matrix.json")).unwrap();
    let page = cell(&saved, "softplus", "sim:zero")["page"].as_str().unwrap();
    assert!(read("matrix.html").contains(&format!("href=\"{page}\"")));
    assert!(read(page).contains("softplus.onnx"), "the page shows the network");
    assert_eq!(cell(&saved, "softplus", "tract:f64")["page"], Value::Null);
    // In a different folder there are no pages.
    let other = TempDir::new().unwrap();
    let mut merge = offby();
    merge.args(["matrix", "merge", "-q"]).arg(folder.path().join("matrix.json"));
    assert_eq!(
        finish({
            merge.arg("--out").arg(other.path());
            merge
        })
        .0,
        1
    );
    assert!(!fs::read_to_string(other.path().join("matrix.html")).unwrap().contains("walks/"));
}

#[test]
fn what_contradicts_itself_is_not_merged() {
    let (folder, target) = device("storage: {format: f32}");
    let path = |name: &str| folder.path().join(name);
    written(matrix(&[&target], &[]), &path("a.json"));
    let document = "name: device\ndescribes: device of a test\nfaults:\n  - {fault: refuse}\n";
    fs::write(folder.path().join("device.yaml"), document).unwrap();
    written(matrix(&[&target], &[]), &path("b.json"));
    let mut command = offby();
    command.args(["matrix", "merge"]).args([path("a.json"), path("b.json")]);
    refused(command, "--against");
    let mut command = matrix(&[&target], &["--input", "ones"]);
    command.arg("--json").arg(path("c.json")).arg("-q");
    finish(command);
    let mut command = offby();
    command.args(["matrix", "merge"]).args([path("a.json"), path("c.json")]);
    refused(command, "--system");
}

/// As in the seed's table: the cell names the operators that must run on the CPU, not the wrong ones.
#[test]
fn a_cell_names_what_must_run_on_the_cpu_where_that_is_asked() {
    let mut command = offby();
    command.arg("matrix").arg(debug_model("attention_bias.onnx"));
    command.args(["--on", "sim:vim3-android-vulkan", "--on", "sim:honest-f32", "--fallback"]);
    let (code, stdout, stderr) = finish(command);
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.contains("◐ CPU: Add") && stdout.contains('✓'), "{stdout}");
    assert!(stdout.contains("1 mended") && stdout.contains("1 right"), "{stdout}");
}

#[test]
fn cases_bring_their_own_feeds_and_cuts() {
    let mut command = offby();
    let case = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    command.arg("matrix").args([case("a2-split-view.yaml"), case("b17-softplus-cliff.yaml")]);
    command.args(["--on", "sim:honest-f16-toward-zero", "--json", "-"]);
    let (_, report) = finish_json(command);
    assert_eq!(report["rows"][0]["name"], "a2-split-view");
    assert_eq!(report["rows"][0]["inputs"][0]["spec"], "arange");
    assert_eq!(kind(&report, "a2-split-view", "sim:honest-f16-toward-zero"), "explained");
}

/// The converter's change to a network is no operator's fault, but still wrong.
#[test]
#[ignore = "needs the driver of mnn:cpu"]
fn the_conversion_is_named_where_it_is_to_blame() {
    need("mnn:cpu");
    let mut command = offby();
    command.arg("matrix").arg(debug_model("efformer_mlp_gelu.onnx"));
    command.args(["--on", "mnn:cpu", "--json", "-"]);
    let (code, report) = finish_json(command);
    let cell = cell(&report, "efformer_mlp_gelu", "mnn:cpu");
    assert_eq!((code, cell["kind"].as_str()), (1, Some("converter")), "{report:#}");
    assert_eq!(cell["origin"]["kind"], "converter", "{report:#}");
    assert!(cell["sentence"].as_str().unwrap().contains("the converter"), "{report:#}");
}

// --- renderings -------------------------------------------------------------

fn committed(end: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("reports/matrix-debug-networks.{end}"))
}

fn debug_networks() -> Matrix {
    read_matrix("committed", &fs::read_to_string(committed("json")).unwrap()).unwrap()
}

fn plain(matrix: &Matrix, width: usize) -> String {
    matrix_text(matrix, width, false, |_, text| text.to_owned())
}

/// The page without its style, which a browser test checks.
fn without_style(page: &str) -> String {
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    format!("{head}<style></style>{body}")
}

#[test]
fn committed_renderings_are_those_of_the_committed_matrix() {
    let matrix = debug_networks();
    let page = matrix_html(&matrix);
    if std::env::var_os("OFFBY_RENEW").is_some() {
        fs::write(committed("md"), matrix_markdown(&matrix)).unwrap();
        fs::write(committed("html"), &page).unwrap();
    }
    let words = "OFFBY_RENEW=1 writes it anew";
    assert!(fs::read_to_string(committed("md")).unwrap() == matrix_markdown(&matrix), "{words}");
    let kept = fs::read_to_string(committed("html")).unwrap();
    assert!(without_style(&kept) == without_style(&page), "{words}");
}

#[test]
fn no_line_is_wider_than_the_screen_and_every_cell_is_there() {
    let matrix = debug_networks();
    for width in [80, 120, 200] {
        let text = plain(&matrix, width);
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line:?}");
        }
        let marks: usize = ['✓', '◐', '✕', '⊘'].map(|mark| text.matches(mark).count()).iter().sum();
        // Each cell has a mark, and the legend has one for each kind.
        assert_eq!(marks, matrix.cells().count() + 4, "{width}: {text}");
    }
    let tables = |width: usize| {
        plain(&matrix, width).lines().filter(|line| line.starts_with(" network")).count()
    };
    assert_eq!(tables(200), 1);
    assert!(tables(80) > 1);
}

#[test]
fn every_rendering_says_which_columns_are_simulated() {
    let matrix = debug_networks();
    let simulated = matrix.columns.iter().filter(|column| column.simulated).count();
    assert_eq!(simulated, 3);
    for rendering in [plain(&matrix, 80), matrix_markdown(&matrix), matrix_html(&matrix)] {
        assert!(rendering.contains("3 targets simulated"), "{rendering}");
        // In the column's head, and where the page lists what ran.
        assert!(rendering.matches("simulated").count() > 2 * simulated, "{rendering}");
    }
}

/// What got better is written into the earlier matrix; what got worse fails, and stays as it was there.
#[test]
fn better_cells_are_blessed_and_worse_cells_fail() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.json");
    let sweep = |more: &[&str]| {
        let mut command = offby();
        command.arg("matrix").arg(debug_model("split_view_small.onnx"));
        command.args(["--on", "tract", "--on", "sim:nan"]).args(more);
        finish(command)
    };
    let file = base.to_str().unwrap();
    sweep(&["--json", file]);
    let mut earlier: Value = serde_json::from_slice(&fs::read(&base).unwrap()).unwrap();
    earlier["rows"][0]["cells"]["tract"]["kind"] = "divergent".into();
    earlier["rows"][0]["cells"]["sim:nan"]["kind"] = "agrees".into();
    fs::write(&base, earlier.to_string()).unwrap();
    let (code, _, stderr) = sweep(&["--against", file, "--bless"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("1 better cell written into"), "{stderr}");
    assert!(stderr.contains("accepted split_view_small on tract"), "{stderr}");
    assert!(stderr.contains("not accepted split_view_small on sim:nan"), "{stderr}");
    let blessed: Value = serde_json::from_slice(&fs::read(&base).unwrap()).unwrap();
    let cells = &blessed["rows"][0]["cells"];
    assert_eq!(cells["tract"]["kind"], "agrees", "{blessed:#}");
    assert_eq!(cells["sim:nan"]["kind"], "agrees", "{blessed:#}");
}
