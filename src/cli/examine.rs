//! One target's outputs against the reference's: compared, judged, put into words.

use crate::compare::{
    Agreement, CompareOptions, Judgement, Tolerance, compare_with, count_beyond, judge,
};
use crate::engine::{Execution, Outcome, Output, Target};
use crate::report::{JudgedBy, OutputReport, TargetReport};
use crate::verdict::{Finding, decide_walk};
use crate::walk::WalkReport;

/// The report on one target, with the walk where there was one.
pub(super) fn examine(
    target: &Target,
    execution: Execution,
    truth: &[Output],
    user: Option<Tolerance>,
    walk: Option<WalkReport>,
) -> TargetReport {
    let outputs: Vec<OutputReport> = if execution.outcome == Outcome::Completed {
        truth
            .iter()
            .map(|reference| compare_output(target, reference, &execution.outputs, user))
            .collect()
    } else {
        Vec::new()
    };
    let findings: Vec<Finding<'_>> = outputs.iter().map(OutputReport::finding).collect();
    let verdict = decide_walk(&execution, &findings, walk.as_ref());
    TargetReport {
        target: target.to_string(),
        outcome: execution.outcome,
        ended: execution.ended,
        ran_on: execution.ran_on,
        evidence: execution.evidence,
        outputs,
        runs: execution.runs,
        bench: None,
        begun: Vec::new(),
        walk,
        fallback: None,
        verdict,
    }
}

fn compare_output(
    target: &Target,
    reference: &Output,
    candidates: &[Output],
    user: Option<Tolerance>,
) -> OutputReport {
    let mut report = OutputReport {
        name: reference.name.clone(),
        shape: reference.tensor.shape().to_vec(),
        comparison: None,
        explained_by: None,
        agreement: Agreement::Incomparable,
        judgement: Judgement::incomparable("the target gave no output of this name"),
        judged_by: None,
        beyond_tolerance: None,
        conversion: None,
    };
    let Some(candidate) = candidates.iter().find(|output| output.name == reference.name) else {
        return report;
    };
    let options =
        CompareOptions { extra_rtol: user.map(|user| user.rtol), ..CompareOptions::default() };
    let judged_by = judged_by(target, reference, user);
    let judging = judged_by.judging();
    match compare_with(&reference.tensor, &candidate.tensor, &options) {
        Err(reason) => report.judgement = Judgement::from(&reason),
        Ok(comparison) => {
            report.judgement = judge(&comparison, &judging);
            if report.judgement.agreement == Agreement::Diverges {
                let widest = judging.widest();
                report.beyond_tolerance =
                    count_beyond(&reference.tensor, &candidate.tensor, &widest, comparison.typical)
                        .ok();
            }
            report.judged_by = Some(judged_by);
            report.explained_by = comparison.explained_by;
            report.comparison = Some(comparison);
        }
    }
    report.agreement = report.judgement.agreement;
    report
}

/// The tolerance an output must be within, that of the first one which holds floating-point numbers.
pub(super) fn tolerance_of(
    target: &Target,
    outputs: &[Output],
    user: Option<Tolerance>,
) -> Tolerance {
    let float = outputs.iter().find(|output| output.tensor.dtype().is_float());
    let output = float.or(outputs.first());
    output.map_or(Tolerance::EXACT, |output| judged_by(target, output, user).judging().widest())
}

/// Strictly by the reference's element type; more loosely by what the target declares to store.
fn judged_by(target: &Target, reference: &Output, user: Option<Tolerance>) -> JudgedBy {
    let dtype = reference.tensor.dtype();
    let declared = target.declared_storage().filter(|_| dtype.is_float());
    JudgedBy {
        strict: dtype.name().into(),
        declared: declared.map(|format| format.name().into()),
        user,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;
    use crate::verdict::{Kind, exit_code};

    /// A negative control of the comparison: an output that never came is not right.
    #[test]
    fn an_output_that_is_missing_does_not_agree() {
        let output = |name: &str| Output {
            name: name.into(),
            tensor: Tensor::from_f32(&[2], vec![1.0, 2.0]).unwrap(),
        };
        let mut execution = Execution::without_outputs(Outcome::Completed, "");
        execution.outputs = vec![output("a")];
        let truth = [output("a"), output("b")];
        let report = examine(&Target::Tract, execution, &truth, None, None);
        assert_eq!(report.outputs[0].agreement, Agreement::Agrees);
        assert_eq!(report.outputs[1].agreement, Agreement::Incomparable);
        assert_eq!(report.verdict.kind, Kind::Inconclusive);
        assert_eq!(exit_code([report.verdict.kind]), 3);
    }
}
