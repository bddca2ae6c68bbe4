//! The terminal view of a walk: the sources in their context, the other operators summed up.

use super::Paint;
use super::cut_text::cut_text;
use super::document::{Report, TargetReport};
use super::drawing::strip;
use super::notes::{bodies, notes};
use super::text::{
    heading, needed_text, place, previews_of, remarks_text, shortened, table_with_names,
    verdict_text, wrapped,
};
use super::weights::weights_text;
use crate::walk::{OpReport, Role, Strategy, UncheckedOp, WalkReport};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many operators before a source are shown with it.
const CONTEXT: usize = 1;
/// A network with at most this many operators is shown whole.
const FEW: usize = 12;
/// How many operators are shown if none is a source.
const CONTRIBUTORS: usize = 6;
/// The largest value is shown if it exceeds this share of the storage format's maximum.
const TIGHT: f64 = 1e-4;
/// How many reasons for not comparing operators are shown.
const REASONS: usize = 3;
/// How many rows the table of the operators that matter may have.
const MOST_ROWS: usize = 40;
/// The meaning of the columns.
const COLUMNS: &str = "introduced: the operator's error on its own inputs; floor: what rounding costs there; ratio: introduced / floor; cumulative: the error of its value in the whole run; errors are relative (L2)";

/// `offby walk` as text; `all` lists every operator.
pub fn walk_text(report: &Report, all: bool, width: usize, paint: Paint) -> String {
    let mut text = heading(report);
    // Text that several strategies on one target share is printed once.
    let mut told = (String::new(), String::new());
    for (number, target) in report.targets.iter().enumerate() {
        if let Some(named) = report.strategies.as_ref().and_then(|all| all.named.get(number)) {
            let gap = if number == 0 { "" } else { "\n" };
            let _ = writeln!(text, "{gap}strategy {}", named.strategy);
        }
        if report.strategies.is_none() && report.targets.len() > 1 {
            let gap = if number == 0 { "" } else { "\n" };
            let _ = writeln!(text, "{gap}target {}", target.target);
        }
        if let Some(walk) = &target.walk {
            if walk.strategy == Strategy::Cut {
                text.push_str(&cut_text(walk, width));
                text.push_str(&searched_because(walk, width));
            } else {
                text.push_str(&strip_lines(walk, width));
                text.push_str(&operators(walk, all, width));
                text.push_str(&weights_text(walk, width));
                text.push_str(&facts(target, walk, width));
                text.push_str(&legend(walk, width));
            }
        }
        let previews = previews_of(std::slice::from_ref(target), "reference", width);
        let needed = needed_text(target, width);
        text.push_str(if previews == told.0 { "" } else { &previews });
        text.push_str(&verdict_text(report, target, width, paint));
        text.push_str(if needed == told.1 { "" } else { &needed });
        told = (previews, needed);
    }
    text.push_str(&remarks_text(report, width));
    if let Some(strategies) = &report.strategies {
        text.push_str("\nthe strategies together\n");
        for sentence in &strategies.sentences {
            text.push_str(&wrapped(sentence, width));
        }
    }
    text
}

/// The whole network in one line, with a mark under each source.
fn strip_lines(walk: &WalkReport, width: usize) -> String {
    const NAME: &str = "network  ";
    let drawn = strip(&walk.ops, width.saturating_sub(NAME.len()));
    let Some([cells, marks]) = drawn.filter(|_| walk.ops_compared > 0) else {
        return String::new();
    };
    let marks = match marks.is_empty() {
        true => String::new(),
        false => format!("{:1$}{marks}\n", "", NAME.len()),
    };
    format!("{NAME}{cells}\n{marks}\n")
}

fn operators(walk: &WalkReport, all: bool, width: usize) -> String {
    let shown = rows_that_matter(walk, all);
    let titles = ["op", "name", "type", "role", "introduced", "floor", "ratio", "cumulative"];
    let most = if all { usize::MAX } else { MOST_ROWS };
    let rows = shown.iter().take(most).map(|&index| row(&walk.ops[index])).collect();
    let mut text = table_with_names(&titles, rows, 1, width);
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

/// Sources and the operators just before them; without sources, the largest contributors.
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

fn row(op: &OpReport) -> Vec<String> {
    let number =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1e}"));
    let ratio = op.ratio.map_or_else(|| "-".to_owned(), ratio_text);
    // NaN and infinities have no measurable error, and the error of the other elements would mislead.
    let or_nonfinite = |value: Option<f64>, disagreeing: u64| match disagreeing {
        0 => number(value),
        _ => "NaN/inf".to_owned(),
    };
    // A role without a measurement would be a guess.
    let is_measured = op.introduced.is_some() || op.cumulative.is_some();
    vec![
        op.index.to_string(),
        op.name.clone(),
        shortened(&op.op_type, 11),
        if is_measured { op.role.name() } else { "-" }.to_owned(),
        or_nonfinite(op.introduced, op.disagreeing_here()),
        number(Some(op.floor)),
        if op.disagreeing_here() > 0 { "-".to_owned() } else { ratio },
        or_nonfinite(op.cumulative, op.disagreeing),
    ]
}

/// One decimal; from 10,000 on, one digit and an exponent.
fn ratio_text(ratio: f64) -> String {
    if ratio < 1e4 { format!("{ratio:.1}") } else { format!("{ratio:.0e}") }
}

/// The meaning of the columns, and of the roles that occur.
fn legend(walk: &WalkReport, width: usize) -> String {
    if walk.ops_compared == 0 {
        return String::new();
    }
    let occurs = |role: &Role| walk.ops.iter().any(|op| op.role == *role);
    let roles = [Role::Source, Role::Propagator, Role::Amplifier, Role::Absorber, Role::Clean];
    let meaning = |role: Role| format!("{}: {}", role.name(), role.meaning());
    let roles: Vec<String> = roles.into_iter().filter(occurs).map(meaning).collect();
    wrapped(COLUMNS, width) + &wrapped(&roles.join("; "), width)
}

/// `297 propagators, all within 1.2 x floor`.
fn summary(rest: &[&OpReport]) -> String {
    let mut text = String::new();
    for role in [Role::Propagator, Role::Amplifier, Role::Absorber, Role::Clean] {
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

/// Why operators were not compared, the commonest reason first.
fn reasons(unchecked: &[UncheckedOp], width: usize) -> String {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for op in unchecked {
        by_reason.entry(&op.reason).or_default().push(&op.name);
    }
    let mut reasons: Vec<(&str, Vec<&str>)> = by_reason.into_iter().collect();
    reasons.sort_by_key(|(_, ops)| Reverse(ops.len()));
    let line = |(reason, ops): &(&str, Vec<&str>)| match ops.as_slice() {
        [only] => format!("not compared: `{only}`: {reason}"),
        [first, rest @ ..] => format!("not compared: `{first}` and {} more: {reason}", rest.len()),
        [] => String::new(),
    };
    reasons.iter().take(REASONS).map(|reason| wrapped(&line(reason), width)).collect()
}

/// How much of the network a dump covers.
fn dumped(walk: &WalkReport, runs: &str) -> String {
    let pieces = walk.ops.iter().filter(|op| op.piece.len() > 1).count();
    let alone = walk.ops.len() - pieces;
    let why = match walk.sampled {
        Some(_) => "the values inside were not compared whole",
        None => "the values inside were not dumped",
    };
    let joined = match pieces {
        0 => String::new(),
        1 => format!("; 1 piece of several nodes compared as one: {why}"),
        n => format!("; {n} pieces of several nodes compared as one each: {why}"),
    };
    let runs = if walk.candidate_runs > 1 { format!("; {runs}") } else { String::new() };
    let alone = super::text::nodes(alone);
    format!("{alone} compared alone{joined}{runs}; values stored as {}", walk.storage.name())
}

fn facts(target: &TargetReport, walk: &WalkReport, width: usize) -> String {
    let mut text = String::from("\n");
    let share = 100.0 * walk.float_share;
    let unchecked = match walk.ops_unchecked.len() {
        0 => String::new(),
        n => format!(", {n} not"),
    };
    let bodies = bodies(walk);
    if walk.strategy == Strategy::Reference {
        // Only the reference ran: there is no comparison.
        let line = format!("{} operators of the reference, step by step{bodies}", walk.ops_total);
        text.push_str(&wrapped(&line, width));
        return text + &note_lines(target, walk, width);
    }
    let runs = match walk.candidate_runs {
        1 => format!("1 run on {}", place(target)),
        n => format!("{n} runs on {}", place(target)),
    };
    let line = match walk.strategy == Strategy::Dump {
        true => dumped(walk, &runs),
        false => format!(
            "{} of {} operators compared ({share:.1} % of those with floats){unchecked}; {:.0} % traced to ONNX nodes; {runs}; values stored as {}{bodies}",
            walk.ops_compared,
            walk.ops_total,
            100.0 * walk.mapped_share,
            walk.storage.name(),
        ),
    };
    text.push_str(&wrapped(&line, width));
    text.push_str(&reasons(&walk.ops_unchecked, width));
    let largest = walk.ops.iter().max_by(|a, b| a.headroom_used.total_cmp(&b.headroom_used));
    if let Some(tightest) = largest.filter(|op| op.headroom_used > TIGHT) {
        let used = 100.0 * tightest.headroom_used;
        let line = format!(
            "largest value {:.4e} in `{}`: {used:.2e} % of what {} holds",
            tightest.absmax,
            tightest.name,
            walk.storage.name()
        );
        text.push_str(&wrapped(&line, width));
    }
    text + &note_lines(target, walk, width)
}

/// Why offby searched from outside without being asked to.
fn searched_because(walk: &WalkReport, width: usize) -> String {
    let line = |why: &String| {
        wrapped(&format!("note: searched by truncations, because offby {why}"), width)
    };
    walk.searched_because.as_ref().map(line).unwrap_or_default()
}

fn note_lines(target: &TargetReport, walk: &WalkReport, width: usize) -> String {
    notes(target, walk).iter().map(|note| wrapped(&format!("note: {note}"), width)).collect()
}
