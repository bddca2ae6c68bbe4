//! Phrases about one operator that several verdicts share.

use crate::compare::general;
use crate::walk::OpReport;

/// What to do about an engine that quantizes activations. Names of options: ONNX Runtime 1.32,
/// `onnxruntime_session_options_config_keys.h`; OpenVINO 2026.4, `properties.hpp`.
pub const KEEP_ACTIVATIONS: &str = "ask the engine for f32 activations (ONNX Runtime: `session.qdq_matmulnbits_accuracy_level` 1, OpenVINO: `DYNAMIC_QUANTIZATION_GROUP_SIZE` 0), or accept what 8 bits cost with --rtol and --atol";

/// How far an operator's elements are beyond their bounds, in words; `None` if no bound is known.
pub(super) fn beyond(op: &OpReport, error: Option<f64>) -> Option<String> {
    let found = op.excess.as_ref()?;
    let format = found.mode.format;
    let worst = found.worst.as_ref().filter(|_| found.is_source())?;
    Some(format!(
        "a relative error of {:.2e} on the same inputs; {} of {} elements are beyond what {format} rounding allows, the worst ×{:.0}: {} at {:?}, where {} is right",
        error.unwrap_or(f64::NAN),
        found.far,
        found.elements,
        found.excess,
        general(worst.found),
        worst.index,
        general(worst.right)
    ))
}

pub(super) fn diagnosis(op: &OpReport) -> Vec<String> {
    op.diagnosis
        .iter()
        .map(|pattern| {
            format!(
                "looks like {}: {}; to check: {}",
                pattern.name, pattern.words, pattern.disproof
            )
        })
        .collect()
}

/// Elements that are finite on one side only, or non-finite and different on both sides.
pub(super) fn disagreement(op: &OpReport) -> String {
    match (op.lost, op.introduced_disagreeing) {
        (Some(lost), _) => lost.words(),
        (None, n) => {
            format!("{n} elements are NaN or infinite on one side only, on the same inputs")
        }
    }
}

/// The values that the storage cannot hold, in words; `None` if the operator also has a different fault.
pub(super) fn lost(op: &OpReport) -> Option<String> {
    let found = op.excess.as_ref().filter(|found| found.overflown > 0 && !found.is_source())?;
    let format = found.mode.format;
    Some(format!(
        "{} of {} elements are beyond the largest value of {format}, {}, and are lost",
        found.overflown,
        found.elements,
        general(format.max())
    ))
}

/// The wrong integers, in words. Integers are exact, so no rounding excuses a wrong one.
pub(super) fn wrong_integers(op: &OpReport) -> String {
    let apart = match op.integers_apart.filter(|_| quantises(&op.op_type)) {
        Some(1.0) => ", off by 1 step of the scale".to_owned(),
        Some(steps) => format!(", off by up to {steps} steps of the scale"),
        None => String::new(),
    };
    match op.wrong_integers {
        1 => format!("1 integer that is not the reference's, on the same inputs{apart}"),
        n => format!("{n} integers that are not the reference's, on the same inputs{apart}"),
    }
}

/// Whether an operator writes integers that stand for real numbers, by the names of ONNX and of MNN.
fn quantises(op_type: &str) -> bool {
    op_type.contains("QuantizeLinear") || op_type.starts_with("QLinear") || op_type == "FloatToInt8"
}
