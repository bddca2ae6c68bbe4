//! Values that the storage of a target cannot hold. Such a loss is not rounding: too small a range is a cause
//! of its own. Only the user can accept it.

use crate::compare::{Agreement, JudgementRule, general};
use crate::engine::{Execution, Output};
use crate::report::TargetReport;
use crate::tensor::{Format, Tensor, multi_index, narrowed};
use crate::verdict::{Kind, Verdict};
use ndarray::{ArrayD, IxDyn};

/// Elements that the target lost, because their right values are beyond a format's largest value.
pub(super) struct LostElements {
    format: Format,
    count: usize,
    elements: usize,
    /// The first lost element: its output, its position, the right value and the target's value.
    first: (String, Vec<usize>, f64, f64),
    has_infinity: bool,
}

impl LostElements {
    /// The elements that a target with this storage lost; `None` if it lost none.
    pub(super) fn of(format: Format, right: &[Output], found: &[Output]) -> Option<Self> {
        let mut lost: Option<LostElements> = None;
        for right in right {
            let Some(values) = pair(right, found) else { continue };
            for (place, (wanted, got)) in values.into_iter().enumerate() {
                if !is_lost(format, wanted, got) {
                    continue;
                }
                let index = multi_index(place, right.tensor.shape());
                let lost = lost.get_or_insert_with(|| LostElements {
                    format,
                    count: 0,
                    elements: right.tensor.len(),
                    first: (right.name.to_string(), index, wanted, got),
                    has_infinity: false,
                });
                lost.count += 1;
                lost.has_infinity |= got.is_infinite();
            }
        }
        lost
    }

    /// The loss in a sentence.
    pub(super) fn words(&self) -> String {
        let LostElements { format, count, elements, first: (output, index, right, found), .. } =
            self;
        let many = if *count == 1 { "element is" } else { "elements are" };
        format!(
            "{count} {many} beyond the largest value of {format}, {}: in `{output}` of {elements} elements, {} becomes {} at {index:?}",
            format.max(),
            general(*right),
            general(*found)
        )
    }

    /// Changes the report: it names the overflow instead of rounding.
    pub(super) fn tell(&self, mut report: TargetReport) -> TargetReport {
        let kind = if self.has_infinity { Kind::Nonfinite } else { Kind::Divergent };
        for output in &mut report.outputs {
            if output.name.as_str() == self.first.0 && output.agreement != Agreement::Diverges {
                output.agreement = Agreement::Diverges;
                output.judgement.agreement = Agreement::Diverges;
                output.judgement.rule = JudgementRule::Overflow;
                output.judgement.words = self.words();
            }
        }
        let hint = "scale the values down, keep this operator in 32 bits, or accept it with --allow-overflow";
        report.verdict = Verdict {
            kind,
            sentence: self.words(),
            confidence: report.verdict.confidence,
            diagnosis: Vec::new(),
            hint: Some(hint.into()),
        };
        report
    }
}

/// The execution as it would be without overflow: each lost element gets its right value.
pub(super) fn without(format: Format, right: &[Output], execution: &Execution) -> Execution {
    let mut execution = execution.clone();
    for found in &mut execution.outputs {
        let Some(right) = right.iter().find(|right| right.name == found.name) else { continue };
        let Some(values) = pair(right, std::slice::from_ref(found)) else { continue };
        let kept = values.into_iter().map(|(right, found)| match is_lost(format, right, found) {
            true => right,
            false => found,
        });
        let kept = ArrayD::from_shape_vec(IxDyn(found.tensor.shape()), kept.collect());
        if let Ok(kept) = kept {
            found.tensor = narrowed(Tensor::F64(kept), found.tensor.dtype());
        }
    }
    execution
}

fn pair(right: &Output, found: &[Output]) -> Option<Vec<(f64, f64)>> {
    let found = found.iter().find(|found| found.name == right.name)?;
    let is_float = right.tensor.dtype().is_float() && found.tensor.dtype().is_float();
    let fits = is_float && right.tensor.shape() == found.tensor.shape();
    fits.then(|| right.tensor.numbers(1).into_iter().zip(found.tensor.numbers(1)).collect())
}

/// A value less than half a step beyond the largest value still rounds back to the largest.
fn is_lost(format: Format, right: f64, found: f64) -> bool {
    let half = format.step_at(format.max()) / 2.0;
    let is_beyond = right.is_finite() && right.abs() >= format.max() + half;
    is_beyond && found.abs() >= format.max() && (found - right).abs() > half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_is_what_the_format_cannot_hold() {
        assert!(is_lost(Format::F16, 90000.0, f64::INFINITY));
        assert!(is_lost(Format::F16, -210_000.0, -65504.0));
        assert!(!is_lost(Format::F16, 65510.0, 65504.0));
        assert!(!is_lost(Format::F16, 90000.0, 90000.0));
        assert!(!is_lost(Format::F16, 90000.0, 0.0));
        assert!(!is_lost(Format::F32, 90000.0, 0.0));
    }
}
