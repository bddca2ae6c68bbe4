//! The terminal view of a walk: the sources in their context, the rest in a line.

use super::Paint;
use super::cut_text::cut_text;
use super::document::{Report, TargetReport};
use super::text::{columns, heading, previews_of, run_text, shortened, verdict_text, wrapped};
use crate::walk::{OpReport, Role, WalkReport};
use prettytable::{Cell, Row, Table};
use std::fmt::Write as _;

/// How many operators before a source are shown with it.
const CONTEXT: usize = 1;
/// A network of so few operators is shown whole.
const FEW: usize = 12;
/// How many operators are shown where none is a source.
const CONTRIBUTORS: usize = 6;
/// How many rows a table of what matters may have.
const MOST_ROWS: usize = 40;

/// A saved report as the command that made it printed it.
pub fn report_text(report: &Report, width: usize, paint: Paint) -> String {
    match report.command.as_str() {
        "run" => run_text(report, width, paint),
        _ => walk_text(report, false, width, paint),
    }
}

/// `offby walk` as text; `all` lists every operator.
pub fn walk_text(report: &Report, all: bool, width: usize, paint: Paint) -> String {
    let mut text = heading(report);
    for target in &report.targets {
        if let Some(walk) = &target.walk {
            if report.strategies.is_some() {
                let _ = writeln!(text, "strategy {}", walk.strategy);
            }
            if walk.strategy == "cut" {
                text.push_str(&cut_text(walk, width));
            } else {
                text.push_str(&operators(walk, all, width));
                text.push_str(&facts(target, walk, width));
            }
        }
        text.push_str(&previews_of(std::slice::from_ref(target), "reference", width));
        text.push_str(&verdict_text(target, width, paint));
    }
    if let Some(strategies) = &report.strategies {
        text.push_str("\nthe strategies together\n");
        for sentence in &strategies.sentences {
            text.push_str(&wrapped(sentence, width));
        }
    }
    text
}

fn operators(walk: &WalkReport, all: bool, width: usize) -> String {
    let shown = rows_that_matter(walk, all);
    let mut table = Table::new();
    table.set_format(columns());
    let titles = ["op", "name", "type", "role", "introduced", "floor", "ratio", "cumulative"];
    table.set_titles(Row::new(titles.map(Cell::new).to_vec()));
    let name_width = width.saturating_sub(68).clamp(14, 60);
    for &index in shown.iter().take(if all { usize::MAX } else { MOST_ROWS }) {
        table.add_row(row(&walk.ops[index], name_width));
    }
    let mut text = table.to_string();
    let rest: Vec<&OpReport> = walk
        .ops
        .iter()
        .enumerate()
        .filter(|(index, _)| !shown.contains(index))
        .map(|(_, op)| op)
        .collect();
    text.push_str(&summary(&rest));
    text
}

/// Sources and what runs just before them; where there are none, the largest contributors.
pub(super) fn rows_that_matter(walk: &WalkReport, all: bool) -> Vec<usize> {
    let everything = 0..walk.ops.len();
    if all || walk.ops.len() <= FEW {
        return everything.collect();
    }
    if walk.sources.is_empty() {
        let mut largest: Vec<usize> = everything.collect();
        let introduced = |index: usize| walk.ops[index].introduced.unwrap_or(0.0);
        largest.sort_by(|&a, &b| introduced(b).total_cmp(&introduced(a)));
        largest.truncate(CONTRIBUTORS);
        largest.sort_unstable();
        return largest;
    }
    let is_near_source = |index: usize| {
        (index..=index + CONTEXT)
            .any(|at| walk.ops.get(at).is_some_and(|op| op.role == Role::Source))
    };
    everything.filter(|&index| is_near_source(index)).collect()
}

fn row(op: &OpReport, name_width: usize) -> Row {
    let number =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1e}"));
    let ratio = op.ratio.map_or_else(|| "-".to_owned(), ratio_text);
    Row::new(vec![
        Cell::new(&op.index.to_string()),
        Cell::new(&ended(&op.name, name_width)),
        Cell::new(&shortened(&op.op_type, 11)),
        Cell::new(op.role.name()),
        Cell::new(&number(op.introduced)),
        Cell::new(&number(Some(op.floor))),
        Cell::new(&ratio),
        Cell::new(&number(op.cumulative)),
    ])
}

/// One decimal, or three digits where it is out of all proportion.
fn ratio_text(ratio: f64) -> String {
    if ratio < 1e4 { format!("{ratio:.1}") } else { format!("{ratio:.0e}") }
}

/// The end of a name tells operators of one network apart better than its beginning.
pub(super) fn ended(name: &str, width: usize) -> String {
    let count = name.chars().count();
    if count <= width {
        return name.to_owned();
    }
    let kept: String = name.chars().skip(count + 1 - width).collect();
    format!("…{kept}")
}

/// `297 carriers, all within 1.2 x floor`.
fn summary(rest: &[&OpReport]) -> String {
    let mut text = String::new();
    for role in [Role::Carrier, Role::Amplifier, Role::Absorber, Role::Clean] {
        let ops: Vec<&&OpReport> = rest.iter().filter(|op| op.role == role).collect();
        let Some(worst) = ops.iter().filter_map(|op| op.ratio).reduce(f64::max) else { continue };
        let plural = if role == Role::Clean { "" } else { "s" };
        let _ = writeln!(
            text,
            " … {} {}{plural}, each introduces at most {worst:.1} x floor",
            ops.len(),
            role.name()
        );
    }
    text
}

fn facts(target: &TargetReport, walk: &WalkReport, width: usize) -> String {
    let mut text = String::from("\n");
    let share = 100.0 * walk.float_share;
    let unchecked = walk.ops_unchecked.len();
    let line = format!(
        "{} of {} operators compared ({share:.1} % of those with floats), {unchecked} not; {:.0} % traced to ONNX nodes; {} candidate runs; values stored as {}",
        walk.ops_compared,
        walk.ops_total,
        100.0 * walk.mapped_share,
        walk.candidate_runs,
        walk.storage.name(),
    );
    text.push_str(&wrapped(&line, width));
    if let Some(tightest) =
        walk.ops.iter().max_by(|a, b| a.headroom_used.total_cmp(&b.headroom_used))
    {
        let used = 100.0 * tightest.headroom_used;
        let line = format!(
            "largest value {:.4e} in `{}`: {used:.2e} % of what {} holds",
            tightest.absmax,
            tightest.name,
            walk.storage.name()
        );
        text.push_str(&wrapped(&line, width));
    }
    if let Some(first) = &walk.first_converted {
        let line = format!(
            "note: MNN's CPU already differs from tract at `{first}` ({} of {} operators stand beside tract): the conversion changed the network there, whatever the backend does",
            walk.ops_beside_tract, walk.ops_total
        );
        text.push_str(&wrapped(&line, width));
    }
    for output in &target.outputs {
        if let Some(conversion) = output.conversion.filter(|gauge| !gauge.within_f32) {
            let line = format!(
                "note: so does its `{}`, by {:.2e} (relative L2)",
                output.name, conversion.rel_l2
            );
            text.push_str(&wrapped(&line, width));
        }
    }
    text
}
