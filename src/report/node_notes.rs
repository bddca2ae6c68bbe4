//! A note for each ONNX node on what a walk found at its operators.

use super::document::{Report, TargetReport};
use crate::walk::OpReport;
use std::collections::BTreeMap;

/// The notes of all walks of a report, by the nodes' labels.
pub fn node_notes(report: &Report) -> BTreeMap<String, String> {
    let mut notes: BTreeMap<String, String> = BTreeMap::new();
    for target in &report.targets {
        for op in target.walk.iter().flat_map(|walk| &walk.ops) {
            let Some(node) = &op.onnx_node else { continue };
            let note = notes.entry(node.clone()).or_insert_with(|| "offby".to_owned());
            *note += &format!("\n{}", line(target, op));
        }
    }
    notes
}

fn line(target: &TargetReport, op: &OpReport) -> String {
    let error = |value: Option<f64>, disagreeing: u64| match (value, disagreeing) {
        (_, 1..) => "NaN or infinities".to_owned(),
        (Some(value), _) => format!("{value:.1e}"),
        (None, _) => "not measured".to_owned(),
    };
    format!(
        "{}: {} at {} ({}): introduced {}, floor {:.1e}, cumulative {}",
        target.target,
        op.role.name(),
        op.name,
        op.op_type,
        error(op.introduced, op.disagreeing_here()),
        op.floor,
        error(op.cumulative, op.disagreeing),
    )
}
