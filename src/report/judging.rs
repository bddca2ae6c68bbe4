//! Judging a saved report again by a different tolerance, without any tensor.
//!
//! A comparison contains its frontier: the least absolute tolerance for each of several relative ones
//! (`comparison.needed`). Between two of these, the need is known within bounds. A tolerance outside the bounds is
//! judged as a new run would judge it. A tolerance inside the bounds is left open. Judgements are left open if they
//! need values missing from the file: the values that a choice was made from, and the reference as it was before
//! referees corrected it. `judged_by` names the other grounds of the judgement.

use super::document::{JudgedAgain, JudgedBy, OutputReport, Report, TargetReport};
use crate::compare::{
    Agreement, Comparison, Declared, Judgement, JudgementRule, Judging, Storage, Tolerance, judge,
};
use crate::engine::{Execution, Outcome, Target};
use crate::verdict::{Facts, Kind, News, OutputFinding, Verdict, decide, refine};

impl JudgedBy {
    /// The tolerances that the rows name.
    pub fn judging(&self) -> Judging {
        let row = |name: &str| Storage::named(name);
        let strict = row(&self.strict).map_or(Tolerance::EXACT, |storage| storage.tolerance);
        let declared = self.declared.as_deref().and_then(row);
        Judging {
            strict,
            declared: declared.map_or(Declared::Own, Declared::Storage),
            user: self.user,
        }
    }
}

/// The hint if the saved numbers do not decide.
const RUN_AGAIN: &str = "run the network again with these tolerances";

/// The report judged by the user's tolerance, as far as the saved numbers decide.
pub fn judge_again(mut report: Report, user: Tolerance) -> Report {
    for target in &mut report.targets {
        judge_target(target, user);
    }
    report.judged_again = Some(JudgedAgain { atol: user.atol, rtol: user.rtol });
    report
}

fn judge_target(target: &mut TargetReport, user: Tolerance) {
    // The tolerance does not change how an engine ended.
    if target.outcome != Outcome::Completed {
        return;
    }
    if !target.rulings.is_empty() {
        return leave_ruling(target, user);
    }
    let name = &target.target;
    target.outputs.iter_mut().for_each(|output| judge_output(name, output, user));
    let execution = Execution {
        runs: target.runs.clone(),
        ran_on: target.ran_on.clone(),
        reason: None,
        ..Execution::without_outputs(Outcome::Completed, "")
    };
    let findings: Vec<OutputFinding<'_>> =
        target.outputs.iter().map(OutputReport::finding).collect();
    let mut whole = decide(&execution, &findings);
    if target.outputs.iter().any(|output| output.judgement.rule == JudgementRule::Open) {
        whole.hint = Some(RUN_AGAIN.into());
    }
    target.verdict = refine(
        &whole,
        &Facts {
            outcome: target.outcome,
            findings,
            walk: target.walk.as_ref(),
            origin: target.origin.as_ref(),
            engine: target.ran_on.as_ref().map_or("the engine", |ran_on| &ran_on.engine),
        },
    );
}

/// The tolerance does not change what referees found about the reference. But a target that is also wrong may be
/// near enough to the uncorrected reference, and that reference is not in the file.
fn leave_ruling(target: &mut TargetReport, user: Tolerance) {
    let same = target.outputs.iter().all(|output| is_judged_by(output, user));
    if same || target.verdict.kind.news() != News::Bad {
        return;
    }
    target.verdict = Verdict {
        kind: Kind::Inconclusive,
        sentence: "the reference is wrong, and the report does not contain its values: a different tolerance needs a fresh run".into(),
        confidence: target.verdict.confidence,
        diagnosis: Vec::new(),
        hint: Some(RUN_AGAIN.into()),
    };
}

fn is_judged_by(output: &OutputReport, user: Tolerance) -> bool {
    output.judged_by.as_ref().is_some_and(|by| by.user == Some(user))
}

fn judge_output(target: &str, output: &mut OutputReport, user: Tolerance) {
    // A different form is wrong with any values.
    if output.judgement.rule == JudgementRule::Form {
        return;
    }
    if output.choice.is_some() {
        return leave_choice(output, user);
    }
    let Some(comparison) = output.comparison.as_ref() else { return };
    let by = output.judged_by.clone().unwrap_or_else(|| guess(target));
    let before = by.judging().widest();
    let by = JudgedBy { user: Some(user), ..by };
    let judgement = left_open(comparison, user).unwrap_or_else(|| judge(comparison, &by.judging()));
    // Elements beyond a different tolerance can only be counted in the tensors.
    let same = before == user && judgement.agreement == Agreement::Diverges;
    output.beyond_tolerance = output.beyond_tolerance.filter(|_| same);
    output.agreement = judgement.agreement;
    output.judgement = judgement;
    output.judged_by = Some(by);
}

/// The open judgement, if the saved numbers do not decide whether the tolerance is met.
fn left_open(comparison: &Comparison, user: Tolerance) -> Option<Judgement> {
    let counts = comparison.finite > 0
        && comparison.mismatched > 0
        && comparison.nonfinite.disagreeing == 0
        && !comparison.max_abs.is_nan();
    let [least, most] = comparison.needed_within(user.rtol);
    let allowed = user.absolute(comparison.typical);
    (counts && least <= allowed && allowed < most).then(|| {
        Judgement::open(format!(
            "the saved numbers do not show whether all elements are within --atol {:e} --rtol {:e}: with that rtol the least atol is between {least:.3e} and {most:.3e}",
            user.atol, user.rtol
        ))
    })
}

/// A choice was judged by the values it was made from. Those values are not in the file.
fn leave_choice(output: &mut OutputReport, user: Tolerance) {
    if !is_judged_by(output, user) {
        output.judgement = Judgement::open(
            "the indices differ, and the report does not contain the values that they were chosen by: a different tolerance needs a fresh run",
        );
        output.agreement = output.judgement.agreement;
        output.beyond_tolerance = None;
    }
}

/// Older files do not contain the declared storage format; the target's name implies it.
fn guess(target: &str) -> JudgedBy {
    let target: Option<Target> = target.parse().ok();
    let declared = target.and_then(|target| target.declared_storage());
    let declared = declared.map(|format| format.name().to_owned());
    JudgedBy { strict: "f32".into(), declared, user: None }
}
