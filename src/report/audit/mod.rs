//! An audit: on a terminal, in Markdown, and as a page.

mod html;

pub use html::audit_html;

use super::Paint;
use super::markdown::{prose, table};
use super::text::{ran_on_lines, simulated, table_with_names, wrapped};
use crate::determinism::{AuditDocument, RunGroup, Spot};
use crate::report::plural;

const TITLES: [&str; 5] = ["runs", "how many", "different results", "rel. L2", "seconds"];
/// What the column of errors means.
const NOTE: &str = "rel. L2: against the runs in one process; batches, padding and threads may add in another order, so their last digits may differ";

/// `offby audit` as text.
pub fn audit_text(audit: &AuditDocument, width: usize, paint: Paint) -> String {
    let mut text = wrapped(&heading(audit), width);
    let rows = audit.lanes.iter().map(row).collect();
    text.push_str(&format!("\n{}", table_with_names(&TITLES, rows, 0, width)));
    if has_notes(audit) {
        text.push_str(&wrapped(NOTE, width));
    }
    text.push_str(&format!("\n{}", paint(audit.kind, &wrapped(&verdict(audit), width))));
    for line in remarks(audit) {
        text.push_str(&wrapped(&format!("  {line}"), width));
    }
    text
}

/// `offby audit` in Markdown.
pub fn audit_markdown(audit: &AuditDocument) -> String {
    let cells = |lane: &RunGroup| row(lane).iter().map(|cell| prose(cell)).collect();
    let rows: Vec<Vec<String>> = audit.lanes.iter().map(cells).collect();
    let note = has_notes(audit).then(|| format!("{}\n", prose(NOTE)));
    [
        Some(format!("# {}\n", prose(&heading(audit)))),
        Some(format!("{}\n", prose(&verdict(audit)))),
        Some(remarks(audit).iter().map(|line| format!("- {}\n", prose(line))).collect()),
        Some(table(TITLES, &rows)),
        note,
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<String>>()
    .join("\n")
}

fn heading(audit: &AuditDocument) -> String {
    let file = audit.model.rsplit('/').next().unwrap_or(&audit.model);
    format!("{file} on {}; offby {}", audit.target, audit.made_by)
}

fn verdict(audit: &AuditDocument) -> String {
    format!("{}: {}", audit.kind.name().replace('_', " "), audit.sentence)
}

/// Whether some runs may round differently.
fn has_notes(audit: &AuditDocument) -> bool {
    audit.lanes.iter().any(|lane| !lane.way.is_strict())
}

fn row(lane: &RunGroup) -> Vec<String> {
    let results = match (lane.relative_l2, lane.distinct.len()) {
        (_, 0) => lane.reason.clone().unwrap_or_else(|| lane.outcome.to_string()),
        (Some(0.0), _) => "the same values".into(),
        (Some(_), _) => "other values".into(),
        (None, 1) => "1, always the same bytes".into(),
        (None, _) => {
            let counts: Vec<String> =
                lane.distinct.iter().take(4).map(|result| result.runs.to_string()).collect();
            let more = if lane.distinct.len() > 4 { ", ..." } else { "" };
            format!("{} (in {}{more} runs)", lane.distinct.len(), counts.join(", "))
        }
    };
    let error = lane.relative_l2.map_or("-".into(), |error| format!("{error:.1e}"));
    vec![lane.way.words(), lane.runs.to_string(), results, error, format!("{:.2}", lane.seconds)]
}

fn remarks(audit: &AuditDocument) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(first) = &audit.first {
        lines.push(format!(
            "first operator: {} `{}` writes {} in {}",
            first.op_type,
            first.node,
            plural(first.distinct, "different result"),
            plural(first.runs, "run")
        ));
        lines.extend(first.spot.as_ref().map(|spot| format!("there: {}", words(spot))));
    }
    lines.extend(audit.no_first.as_ref().map(|why| format!("no operator is named: {why}")));
    lines.extend(
        audit
            .spots
            .iter()
            .map(|place| format!("output `{}`: {}", place.output, words(&place.spot))),
    );
    lines.extend(ran_on_lines(audit.ran_on.as_ref()));
    lines.extend(simulated(&audit.target, audit.ran_on.as_ref()));
    lines
}

fn words(spot: &Spot) -> String {
    let largest = match spot.largest {
        Some(largest) => format!(", by up to {largest:.2e}"),
        None => ", some of them not finite".into(),
    };
    let places = match spot.places.as_slice() {
        [] => String::new(),
        places => format!(": {}", places.join("; ")),
    };
    format!("{} of {} differ{largest}{places}", plural(spot.elements, "element"), spot.of)
}
