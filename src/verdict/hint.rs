//! The next step for an operator that introduces error.

use super::origin::ROUNDING;
use crate::engine::{CPU, DUMP, SIMULATED};
use crate::walk::{OpReport, Strategy, WalkReport};

/// What to do about the first operator that introduces error.
pub(super) fn next_step(op: &OpReport, walk: &WalkReport) -> String {
    let node = op.onnx_node.as_deref().unwrap_or("an operator the converter added");
    let from = op.exported.as_ref().map(|origin| format!(", from {}", origin.words()));
    let node = format!("{node}{}", from.unwrap_or_default());
    if op.excess.as_ref().is_some_and(|found| found.overflown > 0 && !found.is_source()) {
        return format!(
            "in the ONNX file this is {node}; scale its values down, keep it in 32 bits, or accept it with --allow-overflow"
        );
    }
    if !op.piece.is_empty() {
        let nodes: Vec<String> = op.piece.iter().map(|node| format!("`{node}`")).collect();
        let values: Vec<String> = op.decided_by.iter().map(|value| format!("`{value}`")).collect();
        let next = match values.is_empty() {
            true => String::new(),
            false => format!("; dump {} to decide between them", values.join(" and ")),
        };
        let origin = op.exported.as_ref();
        let origin = origin.map(|origin| format!("; the last one is from {}", origin.words()));
        return format!(
            "the error is introduced in one of these {} nodes: {}{}{}",
            nodes.len(),
            nodes.join(", "),
            origin.unwrap_or_default(),
            next
        );
    }
    if op.backend == SIMULATED {
        return format!(
            "in the ONNX file this is {node}; the device is simulated, and its document declares its faults"
        );
    }
    if [CPU, DUMP].contains(&op.backend.as_str()) {
        return format!(
            "in the ONNX file this is {node}; attach this report to an issue of the engine that computed it"
        );
    }
    let cpu = match of_own_cpu(op, walk) {
        OwnCpu::Right => format!(", or run {} operators on the CPU", op.op_type),
        OwnCpu::Wrong => "; the engine's own CPU is wrong there, too".to_owned(),
        OwnCpu::Unknown => String::new(),
    };
    format!("in the ONNX file this is {node}; attach this report to the backend's issue{cpu}")
}

/// Whether the engine's own CPU was seen to be wrong at an operator.
pub fn is_wrong_on_own_cpu(op: &OpReport) -> bool {
    // The negation makes NaN count as wrong.
    op.by_witness || op.kernel.is_some_and(|error| !(error <= ROUNDING))
}

/// What the engine's own CPU makes of an operator.
enum OwnCpu {
    Right,
    Wrong,
    Unknown,
}

fn of_own_cpu(op: &OpReport, walk: &WalkReport) -> OwnCpu {
    // Only a walk that follows the operators runs the engine's own CPU along with the target.
    if walk.strategy != Strategy::Follow {
        return OwnCpu::Unknown;
    }
    if is_wrong_on_own_cpu(op) { OwnCpu::Wrong } else { OwnCpu::Right }
}
