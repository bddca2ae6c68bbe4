//! The final judgement on a target's outputs, with the referees' rulings if there are any.
//!
//! `run` and `walk` both use this module, so they cannot contradict each other.

use super::Evaluator;
use super::audit::{Scope, agrees};
use super::examine::{Truth, examine};
use super::misplaced::name_misplaced;
use super::overflow::{self, LostElements};
use super::reference::Audit;
use super::registry::arithmetic_of;
use crate::compare::{Agreement, preview};
use crate::engine::{Execution, Outcome, Output, Target};
use crate::report::TargetReport;
use crate::tensor::{Format, Tensor, narrowed};
use crate::verdict::{Kind, NEARER, News, Ruling, Verdict, distance};
use ndarray::{ArrayD, IxDyn};

/// A target may agree with the corrected reference only by being much nearer to it than the reference was. Such
/// a target must be within this distance: the tolerance of `f16`, the widest of a single format.
const NEAR: f64 = 1e-2;

/// Compares a target with the reference, and asks the referees if they may change the verdict. Values that the
/// target's storage cannot hold come first. If the user allows such a loss, the other elements are judged.
pub(super) fn judge(
    session: &Evaluator<'_>,
    target: &Target,
    execution: &Execution,
) -> TargetReport {
    let format = arithmetic_of(target, session.request.model).format;
    let may_lose = format != Format::F32 && session.settings.user.is_none();
    let lost = || LostElements::of(format, session.truth(), &execution.outputs);
    match may_lose.then(lost).flatten() {
        None => judge_all(session, target, execution),
        Some(lost) if session.settings.allow_overflow => {
            let rest = overflow::without(format, session.truth(), execution);
            let mut report = judge_all(session, target, &rest);
            // The numbers describe the other elements; the preview shows the target's own output.
            for output in &mut report.outputs {
                let found = execution.outputs.iter().find(|found| found.name == output.name);
                if let (Some(comparison), Some(found)) = (&mut output.comparison, found) {
                    comparison.preview = preview(&found.tensor);
                }
            }
            report.verdict.sentence =
                format!("{}; accepted: {}", report.verdict.sentence, lost.words());
            report
        }
        Some(lost) => lost.tell(judge_all(session, target, execution)),
    }
}

fn judge_all(session: &Evaluator<'_>, target: &Target, execution: &Execution) -> TargetReport {
    let truth = Truth { outputs: session.truth(), source: Some(&session.source) };
    let user = session.settings.user;
    let mut report = examine(target, execution, truth, user);
    if report.outcome != Outcome::Completed {
        return report;
    }
    let parted =
        report.verdict.kind.news() == News::Bad && report.verdict.kind != Kind::Nondeterministic;
    let audit = session.audit(if parted { Scope::Whole } else { Scope::Known });
    let right = if audit.rulings.is_empty() { session.truth() } else { &audit.corrected };
    if !audit.rulings.is_empty() {
        report = ruled(session, target, report, execution, audit);
    }
    // A user's own tolerance already decides.
    let mut report = match user {
        None => session.hold_to_spread(target, report, right, &execution.outputs),
        Some(_) => report,
    };
    name_misplaced(&mut report, session, &execution.outputs);
    report
}

/// The report that follows from the referees' rulings.
fn ruled(
    session: &Evaluator<'_>,
    target: &Target,
    mut report: TargetReport,
    execution: &Execution,
    audit: &Audit,
) -> TargetReport {
    let parted = !is_good(&report);
    let against = |outputs: &[Output]| {
        let truth = Truth { outputs, source: None };
        examine(target, execution, truth, session.settings.user)
    };
    let corrected = against(&audit.corrected);
    let sides = Sides {
        audit,
        truth: session.truth(),
        found: &execution.outputs,
        reference: !parted,
        corrected: is_good(&corrected),
        other: is_good(&against(&audit.other)),
    };
    match sides.ruled(target) {
        Ruled::Stays => {}
        Ruled::Wrong => {
            // The target, with its numbers, is now compared with the right values.
            report = TargetReport { rulings: audit.rulings.clone(), ..corrected };
            report.verdict.sentence = format!(
                "{}; the reference is wrong as well: {}",
                report.verdict.sentence,
                words(audit)
            );
        }
        Ruled::ReferenceWrong => say(&mut report, Kind::ReferenceWrong, audit),
        Ruled::Disputed => say(&mut report, Kind::Disputed, audit),
        Ruled::Inconclusive => say(&mut report, Kind::Inconclusive, audit),
    }
    report
}

fn is_good(report: &TargetReport) -> bool {
    report.verdict.kind.news() == News::Good
}

/// The verdict that follows from the referees' rulings.
fn say(report: &mut TargetReport, kind: Kind, audit: &Audit) {
    let sentence = match kind {
        Kind::ReferenceWrong => {
            format!("the reference is wrong, and this target is right: {}", words(audit))
        }
        Kind::Inconclusive => format!("this target equals the reference, but {}", words(audit)),
        _ => words(audit),
    };
    let confidence = report.verdict.confidence;
    let is_undefined = audit.rulings.first().is_some_and(|ruling| ruling.undefined.is_some());
    let hint = match is_undefined {
        true => "engines may do what they like there: keep such values out of the operator",
        false => "choose a different reference, such as --reference ort:cpu, and compare again",
    };
    let hint = Some(hint.into());
    report.verdict = Verdict { kind, sentence, confidence, diagnosis: Vec::new(), hint };
    report.rulings.clone_from(&audit.rulings);
}

/// The first ruling, and the number of further rulings.
fn words(audit: &Audit) -> String {
    let first = audit.rulings.first().map(Ruling::words).unwrap_or_default();
    match audit.rulings.len() {
        0 | 1 => first,
        n => format!("{first} (and {} more)", n - 1),
    }
}

/// What the rulings mean for a target.
enum Ruled {
    Stays,
    Wrong,
    ReferenceWrong,
    Disputed,
    Inconclusive,
}

/// Which sides a target agrees with.
struct Sides<'a> {
    audit: &'a Audit,
    truth: &'a [Output],
    found: &'a [Output],
    reference: bool,
    corrected: bool,
    other: bool,
}

impl Sides<'_> {
    fn ruled(&self, target: &Target) -> Ruled {
        let is_disputed = self.audit.rulings.iter().any(|ruling| !ruling.is_wrong);
        if self.reference && self.other && (is_disputed || self.corrected) {
            // The outputs are the same, no matter which side is right at that node.
            return Ruled::Stays;
        }
        if is_disputed {
            return match (self.reference || self.corrected, self.other) {
                (true, false) => Ruled::Inconclusive,
                (_, true) => Ruled::Disputed,
                (false, false) if self.is_wrong_anyway(target) => Ruled::Stays,
                (false, false) => Ruled::Disputed,
            };
        }
        match self.corrected || self.other || self.is_much_nearer() {
            true if self.reference => Ruled::Stays,
            true => Ruled::ReferenceWrong,
            false => Ruled::Wrong,
        }
    }

    /// In an ill-conditioned node a right engine is outside the tolerance, but far nearer than the reference.
    fn is_much_nearer(&self) -> bool {
        let tensors = |outputs: &[Output]| -> Vec<Tensor> {
            let in_order = self
                .audit
                .corrected
                .iter()
                .filter_map(|right| outputs.iter().find(|output| output.name == right.name));
            in_order.map(|output| output.tensor.clone()).collect()
        };
        let right = tensors(&self.audit.corrected);
        let mine = distance(&right, &tensors(self.found));
        mine <= NEAR && mine * NEARER <= distance(&right, &tensors(self.truth))
    }

    /// Whether the target differs even in elements on which both sides of the dispute agree.
    fn is_wrong_anyway(&self, target: &Target) -> bool {
        self.audit.corrected.iter().any(|right| {
            let same = |outputs: &[Output]| {
                outputs.iter().find(|output| output.name == right.name).map(|o| o.tensor.clone())
            };
            let (Some(other), Some(found)) = (same(&self.audit.other), same(self.found)) else {
                return true;
            };
            let undisputed = undisputed(target, &right.tensor, &other, &found);
            undisputed.is_none_or(|[right, found]| !agrees(target, &right, &found))
        })
    }
}

/// The elements on which two sides agree: one side's values and the target's. `None` if shapes differ.
fn undisputed(
    target: &Target,
    right: &Tensor,
    other: &Tensor,
    found: &Tensor,
) -> Option<[Tensor; 2]> {
    if right.shape() != other.shape() || right.shape() != found.shape() {
        return None;
    }
    let [r, o, f] = [right, other, found].map(|tensor| tensor.numbers(1));
    let one = |value: f64| like(vec![value], right, 1);
    let keeps = |&at: &usize| agrees(target, &one(r[at]), &one(o[at]));
    let kept: Vec<usize> = (0..r.len()).filter(keeps).collect();
    let pick =
        |values: &[f64]| like(kept.iter().map(|&at| values[at]).collect(), right, kept.len());
    Some([pick(&r), pick(&f)])
}

/// Numbers as a list, in the element type of a tensor of floating-point numbers.
fn like(values: Vec<f64>, tensor: &Tensor, count: usize) -> Tensor {
    let array = ArrayD::from_shape_vec(IxDyn(&[count]), values).unwrap_or_default();
    narrowed(Tensor::F64(array), tensor.dtype())
}

/// Whether a target's outputs agree with the right ones, judged as for any target.
pub(super) fn all_agree(
    session: &Evaluator<'_>,
    target: &Target,
    right: &[Output],
    found: &[Output],
) -> bool {
    right.iter().all(|right| {
        let found = found.iter().find(|found| found.name == right.name);
        found.is_some_and(|found| {
            let report = super::examine::compare_output(
                target,
                right,
                std::slice::from_ref(found),
                session.settings.user,
                Some(&session.source),
            );
            matches!(report.agreement, Agreement::Agrees | Agreement::Explained)
        })
    })
}
