//! A walk in Markdown: the operators that matter, and the results of the truncations.

use super::table::{code, name, prose, table};
use crate::report::walk_text::rows_that_matter;
use crate::walk::{Answer, OpReport, Role, WalkReport};
use std::fmt::Write as _;

/// The operators that matter, as a sentence and a table of at most `most` rows.
pub(super) fn operators(walk: &WalkReport, most: usize) -> String {
    let sources = walk.sources.len();
    let mut text = match (walk.ops.is_empty(), sources) {
        (true, _) => String::new(),
        (false, 0) => format!(
            "None of {} operators introduces more than {} rounding. The largest contributors:\n\n",
            walk.ops_total,
            walk.storage.name()
        ),
        (false, _) => format!(
            "{sources} of {} operators introduce error that {} rounding does not explain; each is shown with the operator before it.\n\n",
            walk.ops_total,
            walk.storage.name()
        ),
    };
    if !walk.ops.is_empty() {
        let rows = rows_that_matter(walk, false);
        text.push_str(&ops_table(rows.iter().map(|&index| &walk.ops[index]), most));
    }
    if !walk.probes.is_empty() {
        text.push_str(&probes(walk, most));
    }
    text
}

/// Operators as a table, with a note if the table was cut.
pub(super) fn ops_table<'w>(ops: impl Iterator<Item = &'w OpReport>, most: usize) -> String {
    let ops: Vec<&OpReport> = ops.collect();
    let titles =
        ["op", "name", "type", "ONNX node", "role", "introduced", "floor", "ratio", "cumulative"];
    let rows: Vec<[String; 9]> = ops.iter().take(most).map(|op| row(op)).collect();
    table(titles, &rows) + &cut_note(ops.len(), most, "operators")
}

/// The note under a shortened table.
pub(super) fn cut_note(there_are: usize, most: usize, what: &str) -> String {
    match there_are > most {
        true => format!(
            "\nThe first {most} of {there_are} {what} are shown; report.json has them all.\n"
        ),
        false => String::new(),
    }
}

fn row(op: &OpReport) -> [String; 9] {
    let number =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1e}"));
    let role = if op.role == Role::Source { "**source**" } else { op.role.name() };
    let or_nonfinite = |value: Option<f64>, disagreeing: u64| match (disagreeing, value) {
        (0, value) => number(value),
        (_, Some(value)) if value > 0.0 => number(Some(value)) + ", NaN/inf",
        _ => "NaN/inf".to_owned(),
    };
    [
        op.index.to_string(),
        name(&op.name),
        code(&op.op_type),
        op.onnx_node.as_deref().map_or_else(|| "-".to_owned(), name) + &origin(op),
        role.to_owned(),
        or_nonfinite(op.introduced, op.disagreeing_here()),
        number(Some(op.floor)),
        number(op.ratio),
        or_nonfinite(op.cumulative, op.disagreeing),
    ]
}

/// The module and source line of an operator's node.
fn origin(op: &OpReport) -> String {
    op.exported.as_ref().map_or(String::new(), |origin| format!(", {}", prose(&origin.words())))
}

fn probes(walk: &WalkReport, most: usize) -> String {
    let rows: Vec<[String; 5]> = walk
        .probes
        .iter()
        .take(most)
        .map(|probe| {
            let says = match probe.answer {
                Answer::Agrees => "agrees",
                Answer::Diverges => "diverges",
                Answer::Unknown => "unknown",
            };
            let size = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.1e}"));
            [
                format!("{} of {}", probe.at + 1, walk.ops_total),
                name(&probe.node),
                says.to_owned(),
                size(probe.cumulative),
                size(probe.floor),
            ]
        })
        .collect();
    let titles = ["node", "truncated after", "says", "rel. L2", "floor"];
    table(titles, &rows) + &cut_note(walk.probes.len(), most, "truncations")
}

/// The patterns that each source resembles, and the cause of its NaN.
pub(super) fn resemblances(walk: &WalkReport, most: usize) -> String {
    let mut text = String::new();
    let sources = walk.ops.iter().filter(|op| op.role == Role::Source);
    let telling =
        |op: &&OpReport| !op.diagnosis.is_empty() || op.nonfinite.is_some() || op.lost.is_some();
    for op in sources.filter(telling).take(most) {
        let _ = writeln!(text, "- {}", name(&op.name));
        if let Some(found) = &op.nonfinite {
            let _ = writeln!(text, "  - {}: {}", found.count(), found.words());
        }
        if let Some(lost) = op.lost {
            let _ = writeln!(text, "  - {}", lost.words());
        }
        for pattern in &op.diagnosis {
            let words = prose(&format!(
                "{}: {} (disproved by {})",
                pattern.name, pattern.words, pattern.disproof
            ));
            let _ = writeln!(text, "  - {words}");
        }
    }
    text
}
