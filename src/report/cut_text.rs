//! The terminal view of a search by truncation: every cut and what it said.

use super::text::{columns, wrapped};
use super::walk_text::ended;
use crate::walk::{Answer, Probe, WalkReport};
use prettytable::{Cell, Row, Table};

/// The truncations in the order they were run, and how many runs they took.
pub(super) fn cut_text(walk: &WalkReport, width: usize) -> String {
    let mut table = Table::new();
    table.set_format(columns());
    let titles = ["cut", "node", "truncated after", "says", "rel. L2", "floor"];
    table.set_titles(Row::new(titles.map(Cell::new).to_vec()));
    let name_width = width.saturating_sub(50).clamp(14, 80);
    for (number, probe) in walk.probes.iter().enumerate() {
        table.add_row(row(number, probe, walk.ops_total, name_width));
    }
    let resumed = walk.probes.iter().filter(|probe| probe.resumed).count();
    let resumed = match resumed {
        0 => String::new(),
        n => format!(", {n} answers taken from the journal of an earlier command"),
    };
    let line = format!(
        "{} nodes searched in {} candidate runs{resumed}; values judged as {}",
        walk.ops_total,
        walk.candidate_runs,
        walk.storage.name()
    );
    format!("{table}\n{}", wrapped(&line, width))
}

fn row(number: usize, probe: &Probe, nodes: usize, name_width: usize) -> Row {
    let size = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1e}"));
    let node = match number {
        0 => "the whole".to_owned(),
        _ => format!("{}{}", ended(&probe.node, name_width), and_more(probe)),
    };
    let says = match (probe.answer, &probe.reason) {
        (Answer::Agrees, _) => "agrees",
        (Answer::Diverges, None) => "diverges",
        (Answer::Diverges, Some(_)) => "ends alike",
        (Answer::Unknown, _) => "unknown",
    };
    Row::new(vec![
        Cell::new(&number.to_string()),
        Cell::new(&format!("{} of {nodes}", probe.at + 1)),
        Cell::new(&node),
        Cell::new(says),
        Cell::new(&size(probe.cumulative)),
        Cell::new(&size(probe.floor)),
    ])
}

fn and_more(probe: &Probe) -> String {
    match probe.values.len() {
        0 | 1 => String::new(),
        n => format!(" ({n} values)"),
    }
}
