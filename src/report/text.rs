//! The terminal view: only the numbers that matter, in 80 columns.

use super::document::{INTERRUPTED, InputReport, OutputReport, Report, TargetReport};
use super::remarks::{remarks, sentence};
use crate::compare::{Agreement, Comparison, Judgement};
use crate::engine::{CPU, RanOn, SIMULATED};
use crate::tensor::ShapeText;
use crate::verdict::Kind;
use prettytable::format::{FormatBuilder, TableFormat};
use prettytable::{Cell, Row, Table};
use std::fmt::Write as _;

/// How many lines of evidence are shown for a target without outputs.
const EVIDENCE_SHOWN: usize = 6;

/// The least width of names, however narrow the screen is.
const NARROWEST_NAME: usize = 10;

/// Paints a text in the colour of a verdict's kind, or leaves the text plain.
pub type Paint = fn(Kind, &str) -> String;

/// `offby run` as text.
pub fn run_text(report: &Report, width: usize, paint: Paint) -> String {
    let mut text = heading(report);
    text.push_str(&summary(report));
    text.push_str(&previews_of(&report.targets, &report.reference, width));
    for target in &report.targets {
        text.push_str(&verdict_text(report, target, width, paint));
        text.push_str(&needed_text(target, width));
    }
    text.push_str(&remarks_text(report, width));
    text
}

/// The lines that the report adds to its verdicts.
pub(super) fn remarks_text(report: &Report, width: usize) -> String {
    let lines: String = remarks(report).iter().map(|line| wrapped(line, width)).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// `offby diff` as text.
pub fn diff_text(comparison: &Comparison, judgement: &Judgement, width: usize) -> String {
    let mut table = Table::new();
    table.set_format(columns());
    let mut row = |name: &str, value: String| {
        table.add_row(Row::new(vec![Cell::new(name), Cell::new(&value)]));
    };
    row("elements", comparison.elements.to_string());
    row("mismatched", comparison.mismatched.to_string());
    row("max abs", number(comparison.max_abs));
    row("max rel", number(comparison.max_rel));
    row("mean abs", number(comparison.mean_abs));
    row("rmse", number(comparison.rmse));
    row("relative L2", number(comparison.rel_l2));
    row("cosine", format!("{}", comparison.cosine));
    row("max ulp f32", optional(comparison.max_ulp_f32));
    row("max ulp f16", optional(comparison.max_ulp_f16));
    row("non-finite", nonfinite(comparison));
    row("reference", comparison.reference_preview.clone());
    row("candidate", comparison.preview.clone());
    let mut text = trimmed(&table);
    for worst in &comparison.worst {
        let (index, r, c) = (&worst.index, worst.reference, worst.candidate);
        let _ = writeln!(
            text,
            " worst {index:?}: {r} ({}) becomes {c} ({})",
            worst.reference_bits, worst.candidate_bits
        );
    }
    text.push_str(&wrapped(
        &format!("{:?}: {}", judgement.agreement, judgement.words).to_lowercase(),
        width,
    ));
    text.push_str(&needed(judgement, ONLY, width));
    text
}

/// All messages of engines and drivers, target by target.
pub fn evidence_text(report: &Report) -> String {
    let mut text = String::new();
    for target in report.targets.iter().filter(|target| !target.evidence.is_empty()) {
        let _ = writeln!(text, "\nevidence of {}", target.target);
        for line in &target.evidence {
            let _ = writeln!(text, "  | {line}");
        }
    }
    text
}

pub(super) fn heading(report: &Report) -> String {
    let mut text = format!(
        "{}, {}; reference {}",
        report.model.path,
        nodes(report.model.nodes),
        report.reference
    );
    if let Some(ran_on) = &report.reference_ran_on {
        let _ = write!(text, " ({} {})", ran_on.engine, ran_on.engine_version);
    }
    text.push('\n');
    if let Some(note) = &report.reference_note {
        let _ = writeln!(text, "note: {note}");
    }
    if let Some(other) = &report.reference_confirmed_by {
        let _ = writeln!(text, "note: {other} agrees with the reference");
    }
    if let Some(again) = &report.judged_again {
        let _ = writeln!(text, "{}", again.words());
    }
    if report.interrupted {
        let _ = writeln!(text, "{INTERRUPTED}");
    }
    for InputReport { name, shape, dtype, spec, note, .. } in &report.inputs {
        let note = note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        let _ = writeln!(text, "input `{name}` {} {dtype} = {spec}{note}", ShapeText(shape));
    }
    text.push('\n');
    text
}

/// `1 node`, `4 nodes`.
pub(super) fn nodes(count: usize) -> String {
    format!("{count} {}", if count == 1 { "node" } else { "nodes" })
}

fn summary(report: &Report) -> String {
    let mut table = Table::new();
    table.set_format(columns());
    let is_named = report.targets.iter().any(|target| target.outputs.len() > 1);
    let titles = ["target", "ran on", "output", "says", "rel. L2", "max abs", "f32 ulp"];
    let titles = titles.into_iter().filter(|title| is_named || *title != "output");
    table.set_titles(Row::new(titles.map(Cell::new).collect()));
    for target in &report.targets {
        // A target without outputs still has its line.
        if target.outputs.is_empty() {
            table.add_row(row(target, None, is_named));
        }
        for output in worst_first(&target.outputs) {
            table.add_row(row(target, Some(output), is_named));
        }
    }
    trimmed(&table)
}

/// The table without spaces at the ends of its lines.
pub(super) fn trimmed(table: &Table) -> String {
    table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The outputs, worst first.
fn worst_first(outputs: &[OutputReport]) -> Vec<&OutputReport> {
    let severity = |output: &OutputReport| match output.agreement {
        Agreement::Diverges => 3,
        Agreement::Incomparable => 2,
        Agreement::Explained => 1,
        Agreement::Agrees => 0,
    };
    let error = |output: &OutputReport| {
        output.comparison.as_ref().map_or(0.0, |comparison| comparison.rel_l2)
    };
    let mut ordered: Vec<&OutputReport> = outputs.iter().collect();
    ordered.sort_by(|a, b| severity(b).cmp(&severity(a)).then(error(b).total_cmp(&error(a))));
    ordered
}

/// A line of the table; `is_named` if it has a column for the output's name.
fn row(target: &TargetReport, output: Option<&OutputReport>, is_named: bool) -> Row {
    let measured = output.and_then(|output| output.comparison.as_ref());
    let of = |metric: fn(&Comparison) -> String| measured.map_or_else(|| "-".to_owned(), metric);
    // If the reference is in doubt, the comparison with it does not count.
    let doubted = !target.rulings.is_empty();
    let says =
        output.filter(|_| !doubted).map_or(target.verdict.kind.name().to_owned(), |output| {
            format!("{:?}", target.agreement(output)).to_lowercase()
        });
    let name = output.map_or("-", |output| output.name.as_str());
    let mut cells = vec![
        shortened(&target.target, 24),
        place(target),
        ended(name, 20),
        says,
        of(relative),
        of(|c| number(c.max_abs)),
        of(|c| optional(c.max_ulp_f32)),
    ];
    if !is_named {
        cells.remove(2);
    }
    Row::new(cells.iter().map(|cell| Cell::new(cell)).collect())
}

/// Backend and the first word of the device: `vulkan, llvmpipe`. An external target does not name its engine: for
/// that target, engine and backend.
pub(super) fn place(target: &TargetReport) -> String {
    let Some(ran_on) = &target.ran_on else { return "-".to_owned() };
    if target.target.starts_with("ext:") {
        return shortened(&format!("{}, {}", ran_on.engine, ran_on.backend), 20);
    }
    if [CPU, SIMULATED].contains(&ran_on.backend.as_str()) {
        return ran_on.backend.clone();
    }
    let device = ran_on.device.split(" (").next().unwrap_or_default();
    shortened(&format!("{}, {device}", ran_on.backend), 20)
}

fn output_names(targets: &[TargetReport]) -> Vec<&str> {
    let first = targets.iter().find(|target| !target.outputs.is_empty());
    first
        .map(|target| target.outputs.iter().map(|output| output.name.as_str()).collect())
        .unwrap_or_default()
}

/// The preview of every output, the reference's first.
pub(super) fn previews_of(targets: &[TargetReport], reference: &str, width: usize) -> String {
    let names = output_names(targets).into_iter();
    names.map(|name| previews(targets, reference, name, width)).collect()
}

/// The preview of one output, for the reference and each target, one under the other.
fn previews(targets: &[TargetReport], reference: &str, name: &str, width: usize) -> String {
    let outputs =
        targets.iter().flat_map(|target| target.outputs.iter().map(move |output| (target, output)));
    let mut rows: Vec<(&str, &str)> = outputs
        .filter(|(_, output)| output.name.as_str() == name)
        .filter_map(|(target, output)| Some((target.target.as_str(), output.comparison.as_ref()?)))
        .flat_map(|(target, comparison)| {
            [(reference, &*comparison.reference_preview), (target, &*comparison.preview)]
        })
        .collect();
    // Every target is compared with the same reference, so one line for the reference is enough.
    let mut seen = false;
    rows.retain(|(who, _)| *who != reference || !std::mem::replace(&mut seen, true));
    if rows.is_empty() {
        return String::new();
    }
    let longest = rows.iter().map(|(who, _)| who.chars().count()).max().unwrap_or(0);
    let fits = rows.iter().all(|(_, preview)| longest + preview.chars().count() + 3 <= width);
    let line = |&(who, preview): &(&str, &str)| match fits {
        true => format!(" {who:<longest$}  {preview}\n"),
        false => format!(" {who}\n   {}", wrapped(preview, width.saturating_sub(3))),
    };
    let error = error_of_walk(targets, name);
    format!("\noutput `{name}`{error}\n{}", rows.iter().map(line).collect::<String>())
}

/// The error of an output. A walk has no table of outputs that has it.
fn error_of_walk(targets: &[TargetReport], name: &str) -> String {
    let [TargetReport { outputs, walk: Some(_), .. }] = targets else { return String::new() };
    let output = outputs.iter().find(|output| output.name.as_str() == name);
    output.and_then(|output| output.comparison.as_ref()).map_or(String::new(), |measured| {
        format!(": relative L2 {}, max abs {}", relative(measured), number(measured.max_abs))
    })
}

pub(super) fn verdict_text(
    report: &Report,
    target: &TargetReport,
    width: usize,
    paint: Paint,
) -> String {
    let verdict = &target.verdict;
    let mut text = String::from("\n");
    let line = format!("{} {}: {}.", target.target, verdict.kind, sentence(report, target));
    text.push_str(&paint(verdict.kind, &wrapped(&line, width)));
    if target.outputs.is_empty() {
        let skipped = target.evidence.len().saturating_sub(EVIDENCE_SHOWN);
        for line in &target.evidence[skipped..] {
            let _ = writeln!(text, "  | {}", shortened(line, width.saturating_sub(4)));
        }
    }
    if let Some(elsewhere) = operators_elsewhere(target.ran_on.as_ref()) {
        text.push_str(&wrapped(&elsewhere, width));
    }
    if let Some(simulated) = simulated(&target.target, target.ran_on.as_ref()) {
        text.push_str(&wrapped(&simulated, width));
    }
    for resemblance in &verdict.diagnosis {
        text.push_str(&wrapped(resemblance, width));
    }
    if let Some(hint) = &verdict.hint {
        text.push_str(&wrapped(&format!("hint: {hint}"), width));
    }
    text
}

/// The tolerance with which a diverging output would pass.
pub(super) fn needed_text(target: &TargetReport, width: usize) -> String {
    let told = [Kind::Divergent, Kind::Nonfinite].contains(&target.verdict.kind);
    // If an operator is wrong but the output is right, the output has passed already.
    let wrong = target.outputs.iter().filter(|output| output.agreement == Agreement::Diverges);
    let is_named = target.outputs.len() > 1;
    wrong
        .filter(|_| told)
        .map(|output| {
            let name = if is_named { format!("output `{}`", output.name) } else { ONLY.to_owned() };
            needed(&output.judgement, &name, width)
        })
        .collect()
}

/// A finding on a simulated device must never be taken for a finding on a real one.
pub(super) fn simulated(target: &str, ran_on: Option<&RanOn>) -> Option<String> {
    let title = match ran_on.filter(|ran_on| ran_on.backend == SIMULATED) {
        Some(ran_on) => ran_on.device.as_str(),
        None if target.starts_with("sim:") => "simulated device",
        None => return None,
    };
    Some(format!("note: {title}: this device is simulated, so this is no finding about a real one"))
}

/// What ran: engine, backend, device and driver, and a note on operators elsewhere.
pub(super) fn ran_on_lines(ran_on: Option<&RanOn>) -> Vec<String> {
    let Some(place) = ran_on else { return Vec::new() };
    let parts = [&place.engine, &place.backend, &place.device, &place.driver];
    let parts = parts.into_iter().map(|part| part.trim_matches(['\0', ' ']));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let line = format!("ran on {}", parts.join(", "));
    [line].into_iter().chain(operators_elsewhere(ran_on)).collect()
}

/// A note on operators that the backend handed to the CPU, which backends do silently.
fn operators_elsewhere(ran_on: Option<&RanOn>) -> Option<String> {
    let ran_on = ran_on?;
    let total: usize = ran_on.operators.values().sum();
    let here = ran_on.operators.get(&ran_on.backend).copied().unwrap_or_default();
    let elsewhere: Vec<String> = ran_on
        .operators
        .iter()
        .filter(|(backend, _)| **backend != ran_on.backend)
        .map(|(backend, count)| format!("{count} on the {backend}"))
        .collect();
    let list = elsewhere.join(", ");
    (!elsewhere.is_empty())
        .then(|| format!("note: of {total} operators {here} ran on {}, {list}", ran_on.backend))
}

/// How sentences call an output that has no others beside it.
const ONLY: &str = "this output";

fn needed(judgement: &Judgement, output: &str, width: usize) -> String {
    let Some(needed) = &judgement.needed else { return String::new() };
    wrapped(
        &format!("with --rtol {} {output} passes from --atol {:.3e} on", needed.rtol, needed.atol),
        width,
    )
}

fn nonfinite(comparison: &Comparison) -> String {
    let nonfinite = &comparison.nonfinite;
    let side = |census: &crate::compare::Census| {
        format!("{} nan, {} +inf, {} -inf", census.nan, census.pos_inf, census.neg_inf)
    };
    let (r, c) = (side(&nonfinite.reference), side(&nonfinite.candidate));
    format!("{} disagree (reference {r}; candidate {c})", nonfinite.disagreeing)
}

/// The relative error. Non-finite elements have none: an error of 0 covers only the other elements.
fn relative(comparison: &Comparison) -> String {
    match comparison.nonfinite.disagreeing > 0 && comparison.rel_l2 == 0.0 {
        true => "NaN/inf".to_owned(),
        false => number(comparison.rel_l2),
    }
}

/// Three digits; whole numbers below a million are plain.
fn number(value: f64) -> String {
    if value == 0.0 || (value.fract() == 0.0 && value.abs() < 1e6) {
        return value.to_string();
    }
    format!("{value:.2e}")
}

fn optional(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

pub(super) fn columns() -> TableFormat {
    FormatBuilder::new().padding(1, 1).build()
}

/// A table with one column of names. Names get the room that the other columns leave, and keep their ends.
pub(super) fn table_with_names(
    titles: &[&str],
    mut rows: Vec<Vec<String>>,
    names: usize,
    width: usize,
) -> String {
    let widest = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([titles[at].chars().count()]).max().unwrap_or(0)
    };
    let others: usize = (0..titles.len()).filter(|&at| at != names).map(widest).sum();
    let room = width.saturating_sub(others + 2 * titles.len()).max(NARROWEST_NAME);
    let mut table = Table::new();
    table.set_format(columns());
    table.set_titles(Row::new(titles.iter().map(|title| Cell::new(title)).collect()));
    for row in &mut rows {
        row[names] = ended(&row[names], room);
        table.add_row(Row::new(row.iter().map(|cell| Cell::new(cell)).collect()));
    }
    trimmed(&table)
}

/// The end of a name distinguishes operators of one network better than its beginning.
fn ended(name: &str, width: usize) -> String {
    let count = name.chars().count();
    if count <= width {
        return name.to_owned();
    }
    let kept: String = name.chars().skip(count + 1 - width).collect();
    format!("…{kept}")
}

pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Breaks a line at spaces; words stay whole.
pub(super) fn wrapped(line: &str, width: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in line.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            text.push_str("\n  ");
            column = 2;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
    text
}
