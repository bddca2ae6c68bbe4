//! One target's outputs against the reference's: compared, judged, put into words.

use crate::choice::{Source, may_be_choice};
use crate::compare::{
    Agreement, CompareOptions, Comparison, Judgement, Tolerance, compare_with, count_beyond, judge,
};
use crate::engine::{Execution, Outcome, Output, Target};
use crate::report::{JudgedBy, OutputReport, TargetReport};
use crate::tensor::{Dtype, Tensor};
use crate::verdict::{Finding, decide_walk};
use crate::walk::WalkReport;

/// What a target's outputs are held against.
#[derive(Clone, Copy)]
pub(super) struct Truth<'a> {
    /// The outputs that are right.
    pub(super) outputs: &'a [Output],
    /// What the reference can be asked besides, where an output is a choice.
    pub(super) source: &'a Source<'a>,
    /// Whether the outputs are of the network that the reference has: what another one chose is not judged by
    /// its values.
    pub(super) is_same: bool,
}

impl<'a> Truth<'a> {
    /// What the reference gave.
    pub(super) fn of(execution: &'a Execution, source: &'a Source<'a>) -> Self {
        Truth { outputs: &execution.outputs, source, is_same: true }
    }
}

/// The report on one target, with the walk where there was one.
pub(super) fn examine(
    target: &Target,
    execution: Execution,
    truth: Truth<'_>,
    user: Option<Tolerance>,
    walk: Option<WalkReport>,
) -> TargetReport {
    let outputs: Vec<OutputReport> = if execution.outcome == Outcome::Completed {
        let outputs = truth.outputs.iter();
        let source = Some(truth.source).filter(|_| truth.is_same);
        outputs
            .map(|right| compare_output(target, right, &execution.outputs, user, source))
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
    source: Option<&Source<'_>>,
) -> OutputReport {
    let mut report = OutputReport {
        name: reference.name.clone(),
        shape: reference.tensor.shape().to_vec(),
        comparison: None,
        explained_by: None,
        choice: None,
        agreement: Agreement::Incomparable,
        judgement: Judgement::incomparable("the target gave no output of this name"),
        judged_by: None,
        beyond_tolerance: None,
        conversion: None,
    };
    let Some(candidate) = candidates.iter().find(|output| output.name == reference.name) else {
        return report;
    };
    let pair = [&reference.tensor, &candidate.tensor];
    let options =
        CompareOptions { extra_rtol: user.map(|user| user.rtol), ..CompareOptions::default() };
    let judged_by = |dtype| judged_by(target, dtype, user);
    let compared = compare_with(pair[0], pair[1], &options);
    if let Some(source) = source.filter(|_| may_be_choice(&compared)) {
        report.choice = source.look(&reference.name, pair, |fed| judged_by(fed.dtype()).judging());
    }
    match compared {
        Err(reason) => report.judgement = Judgement::from(&reason),
        Ok(comparison) => include(&mut report, comparison, pair, judged_by(pair[0].dtype())),
    }
    if let Some(choice) = &report.choice {
        report.judgement = choice.judgement();
        report.beyond_tolerance = Some(choice.beyond).filter(|beyond| *beyond > 0);
    }
    report.agreement = report.judgement.agreement;
    report
}

/// What the numbers of both tensors say.
fn include(
    report: &mut OutputReport,
    comparison: Comparison,
    [reference, candidate]: [&Tensor; 2],
    judged_by: JudgedBy,
) {
    let judging = judged_by.judging();
    report.judgement = judge(&comparison, &judging);
    if report.judgement.agreement == Agreement::Diverges {
        let widest = judging.widest();
        report.beyond_tolerance =
            count_beyond(reference, candidate, &widest, comparison.typical).ok();
    }
    report.judged_by = Some(judged_by);
    report.explained_by = comparison.explained_by;
    report.comparison = Some(comparison);
}

/// The tolerance an output must be within, that of the first one which holds floating-point numbers.
pub(super) fn tolerance_of(
    target: &Target,
    outputs: &[Output],
    user: Option<Tolerance>,
) -> Tolerance {
    let float = outputs.iter().find(|output| output.tensor.dtype().is_float());
    let output = float.or(outputs.first());
    output.map_or(Tolerance::EXACT, |output| {
        judged_by(target, output.tensor.dtype(), user).judging().widest()
    })
}

/// Strictly by the reference's element type; more loosely by what the target declares to store.
pub(super) fn judged_by(target: &Target, dtype: Dtype, user: Option<Tolerance>) -> JudgedBy {
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
    use crate::engine::{Request, Tract};
    use crate::graph::Model;
    use crate::verdict::{Kind, exit_code};
    use std::path::Path;
    use std::time::Duration;

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
        let model = Model::load(Path::new("debug-models/small_mlp.onnx")).unwrap();
        let deadline = Duration::from_secs(1);
        let request = Request { model: &model, feeds: &[], repeats: 1, deadline };
        let source = Source::new(request, Box::new(Tract { f64: false }));
        let truth = Truth { outputs: &truth, source: &source, is_same: true };
        let report = examine(&Target::Tract, execution, truth, None, None);
        assert_eq!(report.outputs[0].agreement, Agreement::Agrees);
        assert_eq!(report.outputs[1].agreement, Agreement::Incomparable);
        assert_eq!(report.verdict.kind, Kind::Inconclusive);
        assert_eq!(exit_code([report.verdict.kind]), 3);
    }
}
