//! A report as Markdown for an issue: complete on one screen, details folded, short enough to post.

mod table;
mod walk;

use super::bench_text::bench_line;
use super::checks::{checks, reproduce, title};
use super::document::{INTERRUPTED, OutputReport, Report, TargetReport};
use super::element::{element_sentences, worst_element};
use super::fallback::{sentences, worth_a_table};
use super::remarks::{remarks, sentence};
use super::text::simulated;
use crate::compare::Worst;
use crate::tensor::ShapeText;
use crate::verdict::{Kind, News};
use crate::walk::{Fallback, Role};
use std::fmt::Write as _;
pub(super) use table::{code, prose, table};
use table::{fence, name};
use walk::{cut_note, operators, ops_table, resemblances};

/// The most bytes of a rendering. GitHub accepts 65,536 characters, and a character has a byte or more.
const MOST_BYTES: usize = 65_000;
/// How many rows each table may have; the first number that fits is used.
const ROWS: [usize; 6] = [60, 30, 15, 8, 4, 2];
/// Worst elements of each output.
const MOST_WORST: usize = 5;

/// A report as Markdown, always short enough for an issue.
pub fn report_markdown(report: &Report) -> String {
    let renderings = ROWS.iter().map(|&rows| render(report, rows));
    let mut shortest = String::new();
    for rendering in renderings {
        if rendering.len() <= MOST_BYTES {
            return rendering;
        }
        shortest = rendering;
    }
    shorten(shortest)
}

/// Cuts a rendering that is still too long at a line, and closes an open fence or fold.
fn shorten(text: String) -> String {
    let mut kept = String::new();
    let mut fenced: Option<String> = None;
    let mut folded = false;
    for line in text.lines() {
        if kept.len() + line.len() > MOST_BYTES - 400 {
            break;
        }
        let ticks: String = line.chars().take_while(|&c| c == '`').collect();
        match &fenced {
            None if ticks.len() >= 3 => fenced = Some(ticks),
            Some(open) if line.trim_end() == open => fenced = None,
            _ => {}
        }
        folded = (folded || line == "<details>") && line != "</details>";
        kept.push_str(line);
        kept.push('\n');
    }
    if let Some(ticks) = fenced {
        let _ = writeln!(kept, "{ticks}");
    }
    let kept = kept.trim_end();
    let end = if folded { "\n\n</details>" } else { "" };
    format!("{kept}{end}\n\nThe rest is left out here; report.json has it all.\n")
}

fn render(report: &Report, rows: usize) -> String {
    let mut sections = vec![format!("# {}\n", prose(&title(report)))];
    if let Some(again) = &report.judged_again {
        sections.push(format!("Note: {}.\n", prose(&again.words())));
    }
    if report.interrupted {
        sections.push(format!("Note: {INTERRUPTED}.\n"));
    }
    sections.extend(report.targets.iter().take(rows).map(|target| verdict(report, target)));
    sections.push(cut_note(report.targets.len(), rows, "targets").trim_start().to_owned());
    sections.extend(remarks(report).iter().take(rows).map(|line| format!("{}.\n", prose(line))));
    for target in report.targets.iter().take(rows) {
        sections.extend(target.fallback.as_ref().map(|found| way_out(target, found, rows)));
    }
    if let Some(strategies) = &report.strategies {
        let lines = strategies.sentences.iter().map(|line| format!("- {}\n", prose(line)));
        sections.push("## The strategies together\n".into());
        sections.push(lines.collect());
    }
    sections.push("## Environment\n".into());
    sections.push(environment(report, rows));
    sections.push("## Outputs\n".into());
    sections.push(outputs(report, rows));
    sections.extend(previews(report, rows));
    for target in report.targets.iter().take(rows) {
        sections.extend(walked(report, target, rows));
    }
    sections.extend(worst(report, rows));
    sections.extend(ruled_out(report, rows));
    sections.push("## How to reproduce\n".into());
    sections.push(fence("sh", &reproduce(report)));
    sections.push(details(report, rows));
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

fn verdict(report: &Report, target: &TargetReport) -> String {
    let verdict = &target.verdict;
    let mark = match verdict.kind.news() {
        News::Good => "✅",
        News::Bad => "❌",
        News::None => "❔",
    };
    let kind = verdict.kind.name().replace('_', " ");
    let mut lines = vec![format!(
        "{mark} {} **{kind}**: {}.",
        code(&target.target),
        prose(&sentence(report, target))
    )];
    lines.extend(bench_line(target).map(|line| code(&line)));
    lines.extend(simulated(&target.target, target.ran_on.as_ref()).map(|note| prose(&note)));
    lines.extend(verdict.hint.iter().map(|hint| format!("Hint: {}.", prose(hint))));
    lines.join("\n\n") + "\n"
}

/// The operators that must run elsewhere.
fn way_out(target: &TargetReport, fallback: &Fallback, most: usize) -> String {
    let mut text = format!("## The way out on {}\n\n", code(&target.target));
    if let Some((titles, rows)) = worth_a_table(fallback) {
        let shown = &rows[..rows.len().min(most)];
        let _ = writeln!(text, "{}", table(titles, shown));
    }
    let sentences = sentences(target, fallback);
    text + &sentences.iter().map(|said| prose(said)).collect::<Vec<_>>().join("\n\n") + "\n"
}

fn environment(report: &Report, most: usize) -> String {
    let mut rows = Vec::new();
    let mut row = |what: &str, value: String| rows.push([what.to_owned(), value]);
    row("offby", prose(&report.tool.version));
    if let Some(environment) = &report.environment {
        row("system", prose(&environment.os));
        row("processor", format!("{}, {} threads", prose(&environment.cpu), environment.cores));
        row("converter", environment.converter.as_deref().map_or("-".into(), prose));
    }
    let reference = report.reference_ran_on.as_ref();
    let version = reference.map_or_else(String::new, |r| format!(", version {}", r.engine_version));
    row("reference", format!("{}{}", code(&report.reference), prose(&version)));
    for target in report.targets.iter().take(most) {
        let Some(ran_on) = &target.ran_on else { continue };
        let driver = match ran_on.driver.trim_matches(['\0', ' ']) {
            "" => String::new(),
            driver => format!(", driver {}", code(driver)),
        };
        let device = code(&ran_on.device);
        let engine = prose(&format!("{} {}", ran_on.engine, ran_on.engine_version));
        let ran = format!("{engine}, {}, device {device}{driver}", prose(&ran_on.backend));
        row(&code(&target.target), ran);
    }
    let digest: String = report.model.digest.hex().chars().take(16).collect();
    let nodes = report.model.nodes;
    row("network", format!("{}, {nodes} nodes, SHA-256 `{digest}…`", code(&report.model.path)));
    for input in report.inputs.iter().take(most) {
        let what = format!("{} {}", ShapeText(&input.shape), input.dtype);
        let note = input.note.as_ref().map(|note| format!(" ({})", prose(note)));
        row(
            &format!("input {}", name(input.name.as_str())),
            format!("{what} = {}{}", code(&input.spec), note.unwrap_or_default()),
        );
    }
    for (variable, value) in report.environment.iter().flat_map(|e| &e.variables) {
        row(&code(variable), code(value));
    }
    table(["what", "value"], &rows)
}

fn each_output(report: &Report) -> impl Iterator<Item = (&TargetReport, &OutputReport)> {
    report.targets.iter().flat_map(|target| target.outputs.iter().map(move |o| (target, o)))
}

fn outputs(report: &Report, most: usize) -> String {
    let number = |value: f64| format!("{value:.3e}");
    let all: Vec<_> = each_output(report).collect();
    if all.is_empty() {
        return "No target gave an output.\n".into();
    }
    let rows: Vec<[String; 8]> = all
        .iter()
        .take(most)
        .map(|(target, output)| {
            let measured = output.comparison.as_ref();
            let of = |metric: &dyn Fn(&crate::compare::Comparison) -> String| {
                measured.map_or_else(|| "-".to_owned(), metric)
            };
            let beyond = output.beyond_tolerance.map_or_else(|| "-".to_owned(), |n| n.to_string());
            [
                code(&target.target),
                name(output.name.as_str()),
                ShapeText(&output.shape).to_string(),
                format!("{:?}", target.agreement(output)).to_lowercase(),
                of(&|c| number(c.rel_l2)),
                of(&|c| number(c.max_abs)),
                of(&|c| format!("{} of {}", c.mismatched, c.elements)),
                beyond,
            ]
        })
        .collect();
    let titles =
        ["target", "output", "shape", "says", "rel. L2", "max abs", "differ", "beyond tolerance"];
    table(titles, &rows) + &cut_note(all.len(), most, "outputs")
}

/// The outermost elements of every output, the reference's first.
fn previews(report: &Report, most: usize) -> Vec<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for (target, output) in each_output(report).take(most) {
        let Some(comparison) = &output.comparison else { continue };
        let several = target.outputs.len() > 1;
        let of = if several { format!(" {}", output.name) } else { String::new() };
        let reference = (format!("reference{of}"), comparison.reference_preview.clone());
        if !lines.contains(&reference) {
            lines.push(reference);
        }
        lines.push((format!("{}{of}", target.target), comparison.preview.clone()));
    }
    let width = lines.iter().map(|(who, _)| who.chars().count()).max().unwrap_or(0).min(60);
    let lines: Vec<String> =
        lines.iter().map(|(who, text)| format!("{who:<width$}  {text}")).collect();
    if lines.is_empty() { Vec::new() } else { vec![fence("text", &lines)] }
}

fn walked(report: &Report, target: &TargetReport, rows: usize) -> Vec<String> {
    let Some(walk) = &target.walk else { return Vec::new() };
    let strategy = match report.strategies {
        Some(_) => format!("Operators, strategy {}", walk.strategy),
        None => "Operators".to_owned(),
    };
    vec![format!("## {strategy}\n"), operators(walk, rows), resemblances(walk, rows)]
}

/// The worst elements of outputs that do not agree, and of the first source.
fn worst(report: &Report, most: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut add = |of: String, elements: &[Worst]| {
        for worst in elements.iter().take(MOST_WORST) {
            rows.push([
                of.clone(),
                format!("{:?}", worst.index),
                format!("{:?} `{}`", worst.reference, worst.reference_bits),
                format!("{:?} `{}`", worst.candidate, worst.candidate_bits),
            ]);
        }
    };
    for (target, output) in each_output(report).take(most) {
        let good = matches!(target.verdict.kind, Kind::Agrees);
        if let Some(comparison) = output.comparison.as_ref().filter(|_| !good) {
            add(
                format!("{}, {}", code(&target.target), name(output.name.as_str())),
                &comparison.worst,
            );
        }
    }
    let walks = report.targets.iter().filter_map(|target| target.walk.as_ref());
    let first =
        walks.flat_map(|walk| &walk.ops).find_map(|op| Some((op, op.error_profile.as_ref()?)));
    if let Some((op, error_profile)) = first {
        add(format!("source {}", name(&op.name)), &error_profile.worst);
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let shown = rows.len().min(most);
    let text = table(["of", "index", "reference", "candidate"], &rows[..shown]);
    let mut sections =
        vec!["## Worst elements\n".into(), text + &cut_note(rows.len(), most, "elements")];
    sections.extend(furthest(report));
    sections
}

/// The element of a source that is furthest beyond its bound: what it is computed from, and how it may have been added.
fn furthest(report: &Report) -> Option<String> {
    let walks = report.targets.iter().filter_map(|target| target.walk.as_ref());
    let mut sources = walks.flat_map(|walk| &walk.ops).filter(|op| op.role == Role::Source);
    let (op, element) = sources.find_map(|op| Some((op, worst_element(op)?)))?;
    element.sum.as_ref()?;
    let said = element_sentences(element).join("; ");
    Some(format!("In {}, {said}.\n", name(&op.name)))
}

fn ruled_out(report: &Report, most: usize) -> Vec<String> {
    let mut sections = vec!["## What was ruled out\n".to_owned()];
    let mut seen = Vec::new();
    for target in report.targets.iter().take(most) {
        let rows: Vec<[String; 3]> = checks(target)
            .into_iter()
            .map(|check| [check.question.into(), check.answer.into(), prose(&check.because)])
            .collect();
        if seen.contains(&(&target.target, rows.clone())) {
            continue;
        }
        if report.targets.len() > 1 {
            let strategy = target.walk.as_ref().filter(|_| report.strategies.is_some());
            let by = strategy.map_or_else(String::new, |walk| format!(", by {}", walk.strategy));
            sections.push(format!("{}{by}:\n", code(&target.target)));
        }
        sections.push(table(["question", "answer", "because"], &rows));
        seen.push((&target.target, rows));
    }
    sections
}

/// Details for some readers, folded: contributors and evidence.
fn details(report: &Report, rows: usize) -> String {
    let mut parts = Vec::new();
    for target in report.targets.iter().take(rows) {
        if let Some(walk) = target.walk.as_ref().filter(|walk| !walk.ops.is_empty()) {
            let mut largest: Vec<_> = walk.ops.iter().collect();
            let size = |value: Option<f64>| value.unwrap_or(0.0);
            largest.sort_by(|a, b| size(b.introduced).total_cmp(&size(a.introduced)));
            let most = ops_table(largest.into_iter().take(rows.min(20)), rows);
            let head = format!("Largest contributors on {}:\n", code(&target.target));
            parts.push(format!("{head}\n{most}"));
            let unchecked: Vec<[String; 3]> = walk
                .ops_unchecked
                .iter()
                .take(rows)
                .map(|op| [name(&op.name), code(&op.op_type), prose(&op.reason)])
                .collect();
            if !unchecked.is_empty() {
                let list = table(["not compared", "type", "why"], &unchecked);
                parts.push(list + &cut_note(walk.ops_unchecked.len(), rows, "of those"));
            }
        }
        if !target.evidence.is_empty() {
            let shown: Vec<String> = target.evidence.iter().take(rows).map(|l| long(l)).collect();
            let head = format!("What engine and driver said on {}:\n", code(&target.target));
            let note = cut_note(target.evidence.len(), rows, "lines");
            parts.push(format!("{head}\n{}{note}", fence("text", &shown)));
        }
    }
    if parts.is_empty() {
        return String::new();
    }
    let summary = "<details>\n<summary>Contributors, evidence</summary>\n";
    format!("{summary}\n{}\n</details>\n", parts.join("\n"))
}

fn long(line: &str) -> String {
    line.replace('\0', "").chars().take(300).collect()
}
