//! Values that an engine shows wrongly, although it computes with the right ones. An engine that writes an activation
//! over its input does so, if both are outputs: it shows the activation twice.

use super::error_summary::ErrorSummary;
use super::exactness::Exactness;
use super::measured::MeasuredOp;
use super::role::is_accused;
use crate::tensor::Format;

/// A value counts as shown wrongly if its error is above `SHOWN`, and `TIMES` that of a value which was computed from it.
/// The same figures as for values that change between writing and reading.
const SHOWN: f64 = 1e-2;
const TIMES: f64 = 100.0;

/// Withdraws the accusation of operators whose value is only shown wrongly, and of those that read it. The proof: an
/// operator that reads the value is right in the whole run, and would be wrong if it had read what is shown.
pub(super) fn withdraw_misread(measured: &mut [MeasuredOp], storage: Format) {
    let accused: Vec<bool> = measured.iter().map(|op| is_accused(op, storage)).collect();
    let error = |error: Option<ErrorSummary>| error.map_or(0.0, |error| error.rel_l2);
    for writer in (0..measured.len()).filter(|at| accused[*at]) {
        let shown = error(measured[writer].cumulative);
        if shown <= SHOWN {
            continue;
        }
        // A norm is right on a scaled input, too: then its error is the same on what is shown.
        let is_right = |reader: &MeasuredOp| {
            reader.cumulative.is_some_and(|found| {
                found.disagreeing == 0
                    && TIMES * found.rel_l2 < shown
                    && TIMES * found.rel_l2 < error(reader.introduced)
            })
        };
        let readers: Vec<usize> =
            (0..measured.len()).filter(|at| measured[*at].reads.contains(&writer)).collect();
        let is_misread = !readers.is_empty()
            && readers.iter().all(|at| accused[*at] && is_right(&measured[*at]));
        if is_misread {
            measured[writer].withdraw("the engine computes with a different value than it shows");
            (measured[writer].cumulative, measured[writer].inherited) = (None, None);
            for reader in readers {
                let why = "the engine computes with a different input than it shows";
                measured[reader].withdraw(why);
                measured[reader].inherited = None;
            }
        }
    }
}

/// A value that an engine computes twice, once to show it and once inside a fused operator, differs by its roundings: by
/// a few halves of a unit in the last place of `f32`, 2⁻²⁴, of the largest element. A copy that loses digits
/// differs by 2⁻¹² or more. OpenVINO 2026.4 computes rotary embeddings twice.
const TWICE: f64 = 8.0 / 16_777_216.0;

/// Withdraws the accusation of operators that only move values, if the engine computed their inputs again: the values
/// that they moved have other last digits than the values that were shown.
pub(super) fn withdraw_recomputed(measured: &mut [MeasuredOp], storage: Format) {
    let only_moves = |op: &MeasuredOp| storage == Format::F32 && op.exactness == Exactness::Exact;
    for op in measured.iter_mut().filter(|op| only_moves(op) && is_accused(op, storage)) {
        let is_tiny = |error: ErrorSummary| {
            error.disagreeing == 0 && op.float && error.max_abs <= TWICE * op.absmax
        };
        if op.introduced.is_some_and(is_tiny) {
            op.withdraw("the engine computed its input again, with other roundings");
        }
    }
}
