//! An audit on a terminal.

use super::Paint;
use super::text::{ran_on_lines, simulated, table_with_names, wrapped};
use crate::determinism::{AuditDocument, RunGroup, Spot};
use crate::report::plural;

/// `offby audit` as text.
pub fn audit_text(audit: &AuditDocument, width: usize, paint: Paint) -> String {
    let file = audit.model.rsplit('/').next().unwrap_or(&audit.model);
    let mut text = wrapped(&format!("{file} on {}; offby {}", audit.target, audit.made_by), width);
    let titles = ["runs", "how many", "different results", "rel. L2", "seconds"];
    let rows = audit.lanes.iter().map(row).collect();
    text.push_str(&format!("\n{}", table_with_names(&titles, rows, 0, width)));
    if audit.lanes.iter().any(|lane| !lane.way.is_strict()) {
        text.push_str(&wrapped(
            "rel. L2: against the runs in one process; batches and threads may add in another order, so their last digits may differ",
            width,
        ));
    }
    let verdict = format!("{}: {}", audit.kind.name().replace('_', " "), audit.sentence);
    text.push_str(&format!("\n{}", paint(audit.kind, &wrapped(&verdict, width))));
    for line in remarks(audit) {
        text.push_str(&wrapped(&format!("  {line}"), width));
    }
    text
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
