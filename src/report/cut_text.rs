//! The terminal view of a search by truncation: every cut and its result.

use super::notes::bodies;
use super::text::{table_with_names, wrapped};
use crate::walk::{Answer, Probe, WalkReport};

/// The truncations in the order of their runs, and the number of runs.
pub(super) fn cut_text(walk: &WalkReport, width: usize) -> String {
    let titles = ["cut", "node", "truncated after", "values", "says", "rel. L2", "floor"];
    let row = |(number, probe)| row(number, probe, walk.ops_total);
    let rows = walk.probes.iter().enumerate().map(row).collect();
    let table = table_with_names(&titles, rows, 2, width);
    let resumed = walk.probes.iter().filter(|probe| probe.resumed).count();
    let resumed = match resumed {
        0 => String::new(),
        n => format!(", {n} answers taken from the journal of an earlier command"),
    };
    let line = format!(
        "{} nodes searched in {} candidate runs{resumed}; values judged as {}{}",
        walk.ops_total,
        walk.candidate_runs,
        walk.storage.name(),
        bodies(walk)
    );
    format!("{table}\n{}", wrapped(&line, width))
}

fn row(number: usize, probe: &Probe, nodes: usize) -> Vec<String> {
    let size = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1e}"));
    let node = match number {
        0 => "the whole".to_owned(),
        _ => probe.node.clone(),
    };
    let says = match (probe.answer, &probe.reason) {
        (Answer::Agrees, _) => "agrees",
        (Answer::Diverges, None) => "diverges",
        (Answer::Diverges, Some(_)) => "ends alike",
        (Answer::Unknown, _) => "unknown",
    };
    vec![
        number.to_string(),
        format!("{} of {nodes}", probe.at + 1),
        node,
        probe.values.len().to_string(),
        says.to_owned(),
        if probe.disagreeing > 0 { "NaN/inf".to_owned() } else { size(probe.cumulative) },
        size(probe.floor),
    ]
}
