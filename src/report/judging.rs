//! Judging a saved report again, by another tolerance: no tensor is needed.
//!
//! A comparison carries its frontier, the least absolute tolerance beside each of several relative
//! ones (`comparison.needed`); between two of those the need is bounded from above, so that judging
//! again may be too strict, never too lenient. `judged_by` says what else the judgement rests on.

use super::document::{OutputReport, Report, TargetReport};
use crate::compare::{Agreement, Declared, Judging, Storage, Tolerance, judge};
use crate::engine::{Execution, Outcome, Target};
use crate::verdict::{Facts, Finding, decide, refine};
use serde::{Deserialize, Serialize};

/// By what an output was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedBy {
    /// The row of the table of tolerances for an honest backend: the reference's element type.
    pub strict: String,
    /// The row for the storage format that the target declares; absent where it declares none.
    pub declared: Option<String>,
    /// What the user allowed in place of both.
    pub user: Option<Tolerance>,
}

/// The tolerance by which a saved report was judged again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JudgedAgain {
    /// Absolute.
    pub atol: f64,
    /// Relative to the reference element.
    pub rtol: f64,
}

impl JudgedAgain {
    /// What every rendering says of it.
    pub fn words(&self) -> String {
        format!(
            "judged again from the saved numbers, with --atol {:e} --rtol {:e}",
            self.atol, self.rtol
        )
    }
}

impl JudgedBy {
    /// The rule itself.
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

/// The report as it would have been with this tolerance of the user's.
pub fn judge_again(mut report: Report, user: Tolerance) -> Report {
    for target in &mut report.targets {
        judge_target(target, user);
    }
    report.judged_again = Some(JudgedAgain { atol: user.atol, rtol: user.rtol });
    report
}

fn judge_target(target: &mut TargetReport, user: Tolerance) {
    // How an engine ended is no matter of tolerance, and neither is what referees said of the reference.
    if target.outcome != Outcome::Completed || !target.rulings.is_empty() {
        return;
    }
    let name = &target.target;
    target.outputs.iter_mut().for_each(|output| judge_output(name, output, user));
    let execution = Execution {
        runs: target.runs.clone(),
        ran_on: target.ran_on.clone(),
        reason: None,
        ..Execution::without_outputs(Outcome::Completed, "")
    };
    let findings: Vec<Finding<'_>> = target.outputs.iter().map(OutputReport::finding).collect();
    let whole = decide(&execution, &findings);
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

fn judge_output(target: &str, output: &mut OutputReport, user: Tolerance) {
    // A choice was judged by the values it was made from, and those are not in the file.
    let compared = output.comparison.as_ref().filter(|_| output.choice.is_none());
    let Some(comparison) = compared else { return };
    let by = output.judged_by.clone().unwrap_or_else(|| guess(target));
    let before = by.judging().widest();
    let by = JudgedBy { user: Some(user), ..by };
    let judgement = judge(comparison, &by.judging());
    // Elements beyond another tolerance can only be counted in the tensors.
    let same = before == user && judgement.agreement == Agreement::Diverges;
    output.beyond_tolerance = output.beyond_tolerance.filter(|_| same);
    output.agreement = judgement.agreement;
    output.judgement = judgement;
    output.judged_by = Some(by);
}

/// Older files do not say what the target declares; its name does.
fn guess(target: &str) -> JudgedBy {
    let target: Option<Target> = target.parse().ok();
    let declared = target.and_then(|target| target.declared_storage());
    let declared = declared.map(|format| format.name().to_owned());
    JudgedBy { strict: "f32".into(), declared, user: None }
}
