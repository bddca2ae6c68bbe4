//! Saved reports: every form of two fixed reports, older files, refusals, other tolerances, and private paths
//! that a report must not contain. `OFFBY_RENEW=1 cargo test --release --test it report::` writes the expected
//! files.

use crate::support::{debug_model, finish, finish_json, first_target, offby};
use offby::report::{Report, read_report, report_html, report_junit, report_markdown, report_text};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Today's schema: a walk that finds a NaN, and a run on several targets.
const FIXED: [&str; 2] = ["walk", "run"];
/// A report as offby 0.1.0 wrote it, before profiles and environments existed.
const OLD: &str = "walk-0.1.0";

fn saved(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/reports").join(format!("{name}.json"))
}

fn fixed(name: &str) -> Report {
    read_report(&fs::read_to_string(saved(name)).unwrap()).unwrap()
}

/// Compares with a committed file, or writes it if `OFFBY_RENEW` asks for that.
fn keep(file: &str, rendered: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(file);
    if std::env::var_os("OFFBY_RENEW").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, rendered).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differ = (1..).zip(expected.lines().zip(rendered.lines())).find(|(_, (a, b))| a != b);
    assert!(
        expected == rendered,
        "{file} is not as expected, first at {differ:#?}; OFFBY_RENEW=1 writes it anew"
    );
}

#[test]
fn every_form_is_as_it_was() {
    for name in FIXED {
        let report = fixed(name);
        keep(&format!("{name}.md"), &report_markdown(&report));
        keep(&format!("{name}.txt"), &report_text(&report, 80, |_, text| text.to_owned()));
        keep(&format!("{name}.xml"), &report_junit(&report).unwrap());
        keep(&format!("{name}.html"), &without_code(&report_html(&report)));
    }
}

/// The page without its style and scripts, which a browser test checks.
fn without_code(page: &str) -> String {
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, rest) = rest.split_once("</style>").unwrap();
    let (body, rest) = rest.rsplit_once("<script>").unwrap();
    let (_, end) = rest.rsplit_once("</script>").unwrap();
    format!("{head}<style></style>{body}<script></script>{end}")
}

/// The exit code that follows from a report's verdicts.
fn code_of(report: &Report) -> i32 {
    offby::verdict::exit_code(report.targets.iter().map(|target| target.verdict.kind)).into()
}

#[test]
fn json_comes_back_byte_for_byte() {
    for name in [FIXED[0], FIXED[1], OLD] {
        let bytes = fs::read_to_string(saved(name)).unwrap();
        let mut command = offby();
        command.args(["report", "render"]).arg(saved(name)).args(["--to", "json"]);
        let (code, stdout, stderr) = finish(command);
        assert_eq!((stdout, stderr.as_str()), (bytes.clone(), ""), "{name}");
        assert_eq!(code, code_of(&fixed(name)), "{name}");
        // The types keep every field of the file.
        let again = serde_json::to_string_pretty(&fixed(name)).unwrap() + "\n";
        let words = "what offby wrote, it writes again";
        assert!(name == OLD || again == bytes, "{name}: {words}");
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&again), value(&bytes), "{name}: {words}");
    }
}

#[test]
fn an_older_file_is_read_and_rendered() {
    let report = fixed(OLD);
    assert!(report.environment.is_none());
    for rendering in [report_markdown(&report), report_html(&report)] {
        assert!(rendering.contains("/network/0/0/mlp/fc1/Conv"), "{rendering}");
    }
}

#[test]
fn what_offby_did_not_write_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let texts = [
        ("", "run"),
        ("{", "run"),
        ("{}", "run"),
        (r#"{"schema": "offby.report/2", "command": "walk"}"#, "newer"),
        (r#"{"schema": "sarif/2"}"#, "rendered"),
        (r#"{"schema": "offby.cases/1"}"#, "--junit"),
        (r#"{"schema": "offby.report/1", "command": "shrink"}"#, "summary.md"),
        (r#"{"schema": "offby.report/1", "command": "walk"}"#, "run"),
    ];
    for (text, hint) in texts {
        fs::write(&path, text).unwrap();
        for form in ["md", "html", "text", "json", "junit"] {
            let mut command = offby();
            command.args(["report", "render"]).arg(&path).args(["--to", form]);
            let (code, stdout, stderr) = finish(command);
            assert_eq!((code, stdout.as_str()), (2, ""), "{text}: {stderr}");
            let said = stderr.lines().find_map(|line| line.strip_prefix("hint: "));
            assert!(said.is_some_and(|said| said.contains(hint)), "{text}: {stderr}");
        }
    }
}

/// Rendering with a tolerance yields the verdict of a run with that tolerance.
#[test]
fn judging_again_is_judging() {
    let model = debug_model("efformer_mlp_gelu.onnx");
    let run = |rest: &[&str]| {
        let mut command = offby();
        command.arg("run").arg(&model).args(["--on", "sim:honest-f16", "--json", "-"]).args(rest);
        finish_json(command)
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    fs::write(&path, run(&[]).1.to_string()).unwrap();
    for (atol, rtol, kind) in [("1", "0", "agrees"), ("0", "1e-2", ""), ("0", "0", "divergent")] {
        let tolerance = ["--atol", atol, "--rtol", rtol];
        let mut command = offby();
        command.args(["report", "render"]).arg(&path).args(["--to", "json"]).args(tolerance);
        let (code, again) = finish_json(command);
        let (direct_code, direct) = run(&tolerance);
        assert_eq!(code, direct_code);
        let (again_target, direct) = (first_target(&again), first_target(&direct));
        for field in ["agreement", "judgement", "judged_by"] {
            assert_eq!(again_target["outputs"][0][field], direct["outputs"][0][field], "{field}");
        }
        assert_eq!(again_target["verdict"]["kind"], direct["verdict"]["kind"]);
        assert!(kind.is_empty() || again_target["verdict"]["kind"] == kind, "{again_target:#}");
        assert_eq!(again["judged_again"]["rtol"], rtol.parse::<f64>().unwrap());
        for form in ["md", "html", "text", "junit"] {
            let mut command = offby();
            command.args(["report", "render"]).arg(&path).args(["--to", form]).args(tolerance);
            let (_, rendered, _) = finish(command);
            assert!(rendered.contains("judged again from the saved numbers"), "{form}");
        }
    }
    let mut command = offby();
    command.args(["report", "render"]).arg(&path).args(["--to", "md", "--rtol", "-1"]);
    assert_eq!(finish(command).0, 2);
}

/// Between the measured relative tolerances, a saved report yields the verdict of a new run, or says that only
/// a new run can decide. It never yields a different kind.
#[test]
fn what_the_saved_numbers_do_not_tell_is_left_open() {
    let model = debug_model("efformer_mlp_gelu.onnx");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let run = |rest: &[&str]| {
        let mut command = offby();
        command.arg("run").arg(&model).args(["--on", "sim:honest-f16", "--json", "-"]).args(rest);
        finish_json(command)
    };
    let saved = run(&[]).1;
    fs::write(&path, saved.to_string()).unwrap();
    let comparison = &first_target(&saved)["outputs"][0]["comparison"];
    let largest = comparison["max_abs"].as_f64().unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for rtol in ["5e-6", "5e-4", "3e-3", "3e-2", "0.5"] {
        for share in [0.0, 0.05, 0.3, 0.6, 0.9, 1.0] {
            let atol = format!("{:e}", share * largest);
            let tolerance = ["--atol", &atol, "--rtol", rtol];
            let mut command = offby();
            command.args(["report", "render"]).arg(&path).args(["--to", "json"]).args(tolerance);
            let (code, again) = finish_json(command);
            let verdict = &first_target(&again)["verdict"];
            let kind = verdict["kind"].as_str().unwrap().to_owned();
            let (direct_code, direct) = run(&tolerance);
            if kind == "inconclusive" {
                let sentence = verdict["sentence"].as_str().unwrap();
                assert!(sentence.contains("the saved numbers do not show"), "{sentence}");
                assert_eq!(verdict["hint"], "run the network again with these tolerances");
                assert_eq!(code, 3);
            } else {
                assert_eq!(kind, first_target(&direct)["verdict"]["kind"], "{tolerance:?}");
                assert_eq!(code, direct_code, "{tolerance:?}");
            }
            kinds.insert(kind);
        }
    }
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    assert_eq!(kinds, ["agrees", "divergent", "inconclusive"]);
}

/// A source with an acceptable error is still named, but it is no longer a divergence.
#[test]
fn a_walk_judged_again_may_agree() {
    let mut command = offby();
    command.args(["report", "render", "fixtures/reports/walk.json", "--to", "json"]);
    let (_, as_it_was) = finish_json(command);
    assert_ne!(first_target(&as_it_was)["verdict"]["kind"], "agrees");
    let mut command = offby();
    command.args(["report", "render", "fixtures/reports/walk-0.1.0.json", "--to", "json"]);
    command.args(["--atol", "1e9"]);
    let (_, again) = finish_json(command);
    let verdict = &first_target(&again)["verdict"];
    assert_eq!(verdict["kind"], "agrees", "{verdict:#}");
    assert!(verdict["sentence"].as_str().unwrap().contains("introduce error"), "{verdict:#}");
}

#[test]
fn a_folder_gets_every_form_and_nothing_private() {
    let home = tempfile::tempdir().unwrap();
    let home_path = home.path().to_str().unwrap().to_owned();
    let model = home.path().join("private").join("model.onnx");
    fs::create_dir_all(model.parent().unwrap()).unwrap();
    fs::copy(debug_model("split_view_small.onnx"), &model).unwrap();
    let out = home.path().join("out");
    let mut command = offby();
    command.env("HOME", home.path()).arg("run").arg(&model).arg("--out").arg(&out);
    command.args(["--on", "tract:f64", "-q"]);
    assert_eq!(finish(command), (0, String::new(), String::new()));
    for form in ["report.json", "report.md", "report.html"] {
        let text = fs::read_to_string(out.join(form)).unwrap();
        assert!(!text.contains(&home_path) && !text.contains("private"), "{form}");
        assert!(text.contains("model.onnx"), "{form}");
    }
    let report: Value =
        serde_json::from_str(&fs::read_to_string(out.join("report.json")).unwrap()).unwrap();
    let command = &report["environment"]["command"];
    assert_eq!(*command, serde_json::json!(["run", "model.onnx", "--on", "tract:f64"]));
}

/// A report of hundreds of sources with absurd names, on many targets.
fn absurd() -> Report {
    let mut report = fixed("walk");
    let target = &mut report.targets[0];
    let walk = target.walk.as_mut().unwrap();
    let source = walk.ops[walk.ops.len() - 1].clone();
    walk.ops = (0..500)
        .map(|index| {
            let mut op = source.clone();
            op.index = index;
            op.name = format!("{}|`{index}`\n</script><b>@all #1", "long/".repeat(200));
            op.onnx_node = Some(op.name.clone());
            op.role = offby::walk::Role::Source;
            op
        })
        .collect();
    walk.sources = walk.ops.iter().map(|op| op.name.clone()).collect();
    target.evidence = (0..500).map(|line| format!("line {line} ``` {}", "x".repeat(500))).collect();
    report.targets = vec![report.targets[0].clone(); 20];
    report
}

#[test]
fn markdown_is_short_enough_to_post_and_sound() {
    let mut reports: Vec<Report> = FIXED.iter().map(|name| fixed(name)).collect();
    reports.push(fixed(OLD));
    reports.push(absurd());
    for report in reports {
        let text = report_markdown(&report);
        assert!(text.chars().count() < 65_536, "{}", text.chars().count());
        sound(&text);
    }
}

/// The rules of a Markdown linter.
fn sound(text: &str) {
    assert!(text.starts_with("# ") && text.ends_with('\n') && !text.ends_with("\n\n"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let mut fence: Option<&str> = None;
    for (at, line) in lines.iter().enumerate() {
        let near = |there: usize| lines.get(there).copied().unwrap_or_default();
        let before = if at == 0 { "" } else { near(at - 1) };
        assert_eq!(line.trim_end(), *line, "blanks at the end of line {}", at + 1);
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            Some(open) if *line == open => {
                assert_eq!(near(at + 1), "", "after the fence in line {}", at + 1);
                fence = None;
            }
            Some(_) => continue,
            None if ticks.len() >= 3 => {
                assert_eq!(before, "", "before the fence in line {}", at + 1);
                fence = Some(ticks);
            }
            None => {}
        }
        assert!(
            !(line.is_empty() && before.is_empty() && at > 0),
            "line {} is blank again",
            at + 1
        );
        if line.starts_with('#') {
            assert_eq!((before, near(at + 1)), ("", ""), "about the heading in line {}", at + 1);
        }
        if line.starts_with('|') {
            assert!(before.is_empty() || before.starts_with('|'), "before line {}", at + 1);
            let next = near(at + 1);
            assert!(next.is_empty() || next.starts_with('|'), "after line {}", at + 1);
        }
    }
    assert_eq!(fence, None, "a fence is left open");
    let count = |tag: &str| lines.iter().filter(|line| **line == tag).count();
    assert_eq!(count("<details>"), count("</details>"));
}

#[test]
fn a_page_holds_its_report_safely() {
    let page = report_html(&absurd());
    assert_eq!(page.matches("</script>").count(), 2);
    let (_, rest) = page.split_once("id=\"content\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    let content: Value = serde_json::from_str(json).unwrap();
    assert_eq!(content["walks"].as_array().unwrap().len(), 20);
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        let (style, script) =
            (include_str!("../../src/report/html/page.css"), page.rsplit_once("<script>"));
        assert!(!style.contains(outside), "{outside}");
        let script = script.unwrap().1.replace("http://www.w3.org/2000/svg", "");
        assert!(!script.contains(outside), "{outside}");
    }
}

/// `OFFBY_RENEW=1` writes the schema anew. A change that is not an addition needs a new version of the schema.
#[test]
fn the_schema_is_the_committed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json");
    let mut command = offby();
    command.args(["report", "schema"]);
    let (code, schema, stderr) = finish(command);
    assert_eq!(code, 0, "{stderr}");
    if std::env::var_os("OFFBY_RENEW").is_some() {
        fs::write(&path, &schema).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == schema,
        "renew docs/report.schema.json"
    );
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["title"], "offby.report/1");
}
