//! The cost of stored weights next to the cost of the backend, operator by operator.

use super::text::{table_with_names, wrapped};
use crate::walk::{OpReport, WalkReport, WeightReport};

/// How many operators are shown: those whose own weights cost most.
const MOST: usize = 8;

/// The operators whose weights cost most, and the costs at the end. Empty if the weights equal the ONNX file's.
/// All costs are relative L2 errors.
pub(super) fn weights_text(walk: &WalkReport, width: usize) -> String {
    let ranked = most_sensitive(walk);
    let Some((last, end)) = walk.ops.iter().rev().find_map(|op| Some((op, op.weights?))) else {
        return String::new();
    };
    let titles = ["op", "name", "type", "own weights", "all weights", "backend", "together"];
    let rows = ranked.iter().map(|(op, cost)| row(op, cost)).collect();
    let mut text = String::from("\n");
    text.push_str(&table_with_names(&titles, rows, 1, width));
    let line = format!(
        "at `{}` the stored weights cost {}, the backend {}, both together {}",
        last.name,
        error(end.cumulative),
        error(last.cumulative),
        error(end.together)
    );
    text + &wrapped(&line, width)
}

/// Operators whose own weights cost anything, the most sensitive first.
pub(super) fn most_sensitive(walk: &WalkReport) -> Vec<(&OpReport, WeightReport)> {
    let costs = walk.ops.iter().filter_map(|op| Some((op, op.weights?)));
    let own = |cost: &WeightReport| cost.introduced.unwrap_or(0.0);
    let mut ranked: Vec<_> = costs.filter(|(_, cost)| own(cost) > 0.0).collect();
    ranked.sort_by(|(_, a), (_, b)| own(b).total_cmp(&own(a)));
    ranked.truncate(MOST);
    ranked
}

fn row(op: &OpReport, cost: &WeightReport) -> Vec<String> {
    vec![
        op.index.to_string(),
        op.name.clone(),
        super::text::shortened(&op.op_type, 11),
        error(cost.introduced),
        error(cost.cumulative),
        error(op.cumulative),
        error(cost.together),
    ]
}

/// A relative error, or `-` without one.
pub(super) fn error(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2e}"))
}
