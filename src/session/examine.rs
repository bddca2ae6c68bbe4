//! One target's outputs against the reference's: compared, judged and described.

use crate::choice::{ReferenceSource, may_be_choice};
use crate::compare::{
    Agreement, CompareOptions, Comparison, Judgement, Tolerance, compare_with, count_exceeding,
    judge,
};
use crate::engine::{Execution, Outcome, Output, Request, Target, Tract};
use crate::report::{JudgedBy, OutputReport, TargetReport};
use crate::tensor::{Dtype, Tensor};
use crate::verdict::{OutputFinding, decide};

/// The outputs that a target is compared with.
#[derive(Clone, Copy)]
pub(super) struct Truth<'a> {
    /// The right outputs.
    pub(super) outputs: &'a [Output],
    /// How to ask the reference for more values, if an output is a choice.
    pub(super) source: Option<&'a ReferenceSource<'a>>,
}

/// The report on one target: its outputs compared and judged.
pub(super) fn examine(
    target: &Target,
    execution: &Execution,
    truth: Truth<'_>,
    user: Option<Tolerance>,
) -> TargetReport {
    let outputs: Vec<OutputReport> = if execution.outcome == Outcome::Completed {
        let outputs = truth.outputs.iter();
        outputs
            .map(|right| compare_output(target, right, &execution.outputs, user, truth.source))
            .collect()
    } else {
        Vec::new()
    };
    let findings: Vec<OutputFinding<'_>> = outputs.iter().map(OutputReport::finding).collect();
    let verdict = decide(execution, &findings);
    TargetReport {
        target: target.to_string(),
        outcome: execution.outcome,
        ended: execution.ended,
        ran_on: execution.ran_on.clone(),
        evidence: execution.evidence.clone(),
        outputs,
        runs: execution.runs.clone(),
        bench: None,
        begun: Vec::new(),
        walk: None,
        fallback: None,
        origin: None,
        rulings: Vec::new(),
        verdict,
    }
}

pub(super) fn compare_output(
    target: &Target,
    reference: &Output,
    candidates: &[Output],
    user: Option<Tolerance>,
    source: Option<&ReferenceSource<'_>>,
) -> OutputReport {
    let mut report = OutputReport {
        name: reference.name.clone(),
        shape: reference.tensor.shape().to_vec(),
        comparison: None,
        explained_by: None,
        choice: None,
        agreement: Agreement::Diverges,
        judgement: Judgement::of_form(missing(reference, candidates)),
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
    let of_pair = judged_by(target, [pair[0].dtype(), pair[1].dtype()], user);
    let compared = compare_with(pair[0], pair[1], &options);
    if let Some(source) = source.filter(|_| may_be_choice(&compared)) {
        let judging = |fed: &Tensor| judged_by(target, [fed.dtype(); 2], user).judging();
        report.choice = source.look(&reference.name, pair, judging);
    }
    match compared {
        Err(reason) => {
            report.judgement = Judgement::from(&reason);
            if let Some(same) = pair[1].in_shape_of(pair[0])
                && let Ok(compared) = compare_with(pair[0], &same, &options)
            {
                include_values(&mut report, Some(compared), [pair[0], &same], of_pair);
            }
        }
        Ok(comparison) => include(&mut report, Some(comparison), pair, of_pair),
    }
    if let Some(choice) = &report.choice {
        report.judgement = choice.judgement();
        report.beyond_tolerance = Some(choice.beyond).filter(|beyond| *beyond > 0);
    }
    report.agreement = report.judgement.agreement;
    report
}

/// The words for an output that the target did not give.
fn missing(reference: &Output, candidates: &[Output]) -> String {
    let name = &reference.name;
    match names_of(candidates) {
        None => format!("the target gave no output `{name}`, and no other output"),
        Some(given) => format!("the target gave no output `{name}`, only {given}"),
    }
}

/// The outputs' names in a sentence; `None` if there are none.
pub(super) fn names_of(outputs: &[Output]) -> Option<String> {
    const MOST: usize = 3;
    let named = outputs.iter().take(MOST).map(|output| format!("`{}`", output.name));
    let named = named.collect::<Vec<_>>().join(" and ");
    match outputs.len() {
        0 => None,
        n if n > MOST => Some(format!("{named} and {} more", n - MOST)),
        _ => Some(named),
    }
}

/// Compares the values of an output with a different shape: only the shape may be wrong.
fn include_values(
    report: &mut OutputReport,
    compared: Option<Comparison>,
    pair: [&Tensor; 2],
    judged_by: JudgedBy,
) {
    let of_form = report.judgement.clone();
    include(report, compared, pair, judged_by);
    let values = std::mem::replace(&mut report.judgement, of_form);
    let form = &report.judgement.words;
    report.judgement.words = match values.agreement {
        Agreement::Diverges => format!("{form}, and the values differ, too: {}", values.words),
        _ => format!("{form}; the values are right, only the shape is wrong"),
    };
}

/// The report on one target against outputs that are known to be right, without referees.
pub fn examine_against(
    target: &Target,
    execution: Execution,
    right: &[Output],
    user: Option<Tolerance>,
    request: Request<'_>,
) -> TargetReport {
    let source = ReferenceSource::new(request, Box::new(Tract::default()));
    examine(target, &execution, Truth { outputs: right, source: Some(&source) }, user)
}

/// Adds the comparison of both tensors' numbers to the report.
fn include(
    report: &mut OutputReport,
    comparison: Option<Comparison>,
    [reference, candidate]: [&Tensor; 2],
    judged_by: JudgedBy,
) {
    let Some(comparison) = comparison else { return };
    let judging = judged_by.judging();
    report.judgement = judge(&comparison, &judging);
    if report.judgement.agreement == Agreement::Diverges {
        let widest = judging.widest();
        report.beyond_tolerance =
            count_exceeding(reference, candidate, &widest, comparison.typical).ok();
    }
    report.judged_by = Some(judged_by);
    report.explained_by = comparison.explained_by;
    report.comparison = Some(comparison);
}

/// The tolerance for the outputs: the tolerance of the first output with floating-point numbers.
pub fn tolerance_of(target: &Target, outputs: &[Output], user: Option<Tolerance>) -> Tolerance {
    let float = outputs.iter().find(|output| output.tensor.dtype().is_float());
    let output = float.or(outputs.first());
    output.map_or(Tolerance::EXACT, |output| {
        judged_by(target, [output.tensor.dtype(); 2], user).judging().widest()
    })
}

/// Strict by the coarser of both element types; looser by the storage that the target declares.
pub fn judged_by(target: &Target, pair: [Dtype; 2], user: Option<Tolerance>) -> JudgedBy {
    let dtype = coarser(pair);
    let declared = target.declared_storage().filter(|_| dtype.is_float());
    JudgedBy {
        strict: dtype.name().into(),
        declared: declared.map(|format| format.name().into()),
        user,
    }
}

/// The element type that holds fewer digits; the first one unless both are floating-point types.
fn coarser([reference, candidate]: [Dtype; 2]) -> Dtype {
    const COARSEST_FIRST: [Dtype; 4] = [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F64];
    if !(reference.is_float() && candidate.is_float()) {
        return reference;
    }
    let has = |dtype: &Dtype| [reference, candidate].contains(dtype);
    COARSEST_FIRST.into_iter().find(has).unwrap_or(reference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Kind, exit_code};

    /// A negative control of the comparison: a missing output is not right.
    #[test]
    fn an_output_that_is_missing_does_not_agree() {
        let output = |name: &str| Output {
            name: name.into(),
            tensor: Tensor::from_f32(&[2], vec![1.0, 2.0]).unwrap(),
        };
        let mut execution = Execution::without_outputs(Outcome::Completed, "");
        execution.outputs = vec![output("a")];
        let truth = [output("a"), output("b")];
        let truth = Truth { outputs: &truth, source: None };
        let report = examine(&Target::Tract, &execution, truth, None);
        assert_eq!(report.outputs[0].agreement, Agreement::Agrees);
        assert_eq!(report.outputs[1].agreement, Agreement::Diverges);
        assert_eq!(report.verdict.kind, Kind::Divergent);
        assert_eq!(exit_code([report.verdict.kind]), 1);
    }
}
