//! Outputs that hold the values of a different output, or of an input: an engine that writes one over the other, or returns
//! what it was given.

use super::Evaluator;
use crate::compare::Agreement;
use crate::engine::Output;
use crate::report::TargetReport;
use crate::tensor::Tensor;
use crate::walk::error_summary;

/// Up to this relative L2 distance two tensors are the same tensor: an engine rounds, in 16 bits by some 5e-4.
const SAME: f64 = 1e-3;
/// Fewer elements can be alike by chance.
const FEWEST: usize = 4;

/// Adds a diagnosis for each wrong output that holds other values of the network.
pub(super) fn name_misplaced(report: &mut TargetReport, session: &Evaluator<'_>, found: &[Output]) {
    let outputs = session.truth().iter().map(|right| ("output", &right.name, &right.tensor));
    let feeds = session.request.feeds.iter().map(|feed| ("input", &feed.name, &feed.tensor));
    let known: Vec<_> = outputs.chain(feeds).collect();
    for output in report.outputs.iter().filter(|output| output.agreement == Agreement::Diverges) {
        let Some(found) = found.iter().find(|found| found.name == output.name) else { continue };
        let held = known.iter().find(|(kind, name, right)| {
            (*kind, *name) != ("output", &output.name) && is_same(right, &found.tensor)
        });
        if let Some((kind, name, _)) = held {
            report.verdict.diagnosis.push(format!(
                "looks like the {kind} `{name}`: `{}` holds its values; to check: the network with `{}` as its only output",
                output.name, output.name
            ));
        }
    }
}

/// Whether two tensors have the same elements in the same order, whatever their shapes.
fn is_same(right: &Tensor, found: &Tensor) -> bool {
    if right.len() != found.len() || right.len() < FEWEST || !right.dtype().is_float() {
        return false;
    }
    let numbers = right.numbers(1);
    let varies = numbers.iter().any(|number| Some(number) != numbers.first());
    let flat =
        |tensor: &Tensor| Tensor::from_bytes(tensor.dtype(), &[tensor.len()], &tensor.bytes()).ok();
    let error = flat(right).zip(flat(found)).and_then(|(a, b)| error_summary(&a, &b));
    varies && error.is_some_and(|error| error.disagreeing == 0 && error.rel_l2 <= SAME)
}
