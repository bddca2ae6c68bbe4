//! `offby fallback`: the smallest set of operators that must run on the CPU for a correct output.

use super::args::{FallbackArgs, GoalName, What};
use super::place::read_target;
use super::prepare::Prepared;
use super::quantised::quantised;
use super::screen;
use crate::engine::{Execution, Target};
use crate::report::fallback_text;
use crate::session::{Failure, tolerance_of};
use crate::verdict::exit_code;
use crate::walk::{By, FallbackPlan, Goal};

/// Walks, searches and reports; returns exit code 0 if a set of operators makes the output correct.
pub(super) fn fallback(args: &FallbackArgs) -> Result<u8, Failure> {
    if let Some(file) = &args.quantised.quantised {
        return quantised(args, file);
    }
    let target = read_target(&args.on, &args.network.place)?;
    let prepared = Prepared::new(&args.network)?;
    let progress = screen::progress(args.network.output.quiet);
    progress.set_message(format!("{} (reference)", args.network.reference));
    let reference = prepared.reference()?;
    let session = prepared.session(&reference, std::slice::from_ref(&target));
    let plan = plan(args, &target, &reference.execution, &prepared);

    let walked = session.follow(&target, Some(&plan), &mut |operator| {
        let step = operator.trial.map_or("walk".to_owned(), |trial| format!("run {}", trial + 1));
        let (index, name) = (operator.index, &operator.name);
        progress.set_message(format!("{target}: {step}, operator {index} {name}"));
    })?;
    progress.finish_and_clear();
    let found = walked.fallback.clone();
    let mut report = session.judge_walked(&target, walked);
    let code = match &found {
        Some(found) => u8::from(found.members.is_none()),
        // The search did not finish. Only the walk's verdict is available.
        None => exit_code(std::iter::once(report.verdict.kind)),
    };
    report.fallback = found;
    let report = prepared.report("fallback", &reference, vec![report]);
    prepared.answer(&report, || fallback_text(&report, screen::width(), screen::painter()))?;
    Ok(code)
}

fn plan(
    args: &FallbackArgs,
    target: &Target,
    truth: &Execution,
    prepared: &Prepared<'_>,
) -> FallbackPlan {
    let goal = match args.goal {
        GoalName::Tolerance => Goal::Tolerance(tolerance_of(target, &truth.outputs, prepared.user)),
        GoalName::Floor => Goal::Floor,
        GoalName::Top1 => Goal::Top1,
    };
    let by = match args.by {
        What::Op => By::Op,
        What::Type => By::Type,
    };
    FallbackPlan { by, goal, raise: args.precision, expected: truth.outputs.clone() }
}
