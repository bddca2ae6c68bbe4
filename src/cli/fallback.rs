//! `offby fallback`: the smallest set of operators that must run on the CPU for the output to be right.

use super::args::{FallbackArgs, GoalName, What};
use super::examine::{Truth, tolerance_of};
use super::failure::Failure;
use super::place::read_target;
use super::prepare::Prepared;
use super::run::run_reference;
use super::screen;
use super::walk::{examine_walked, not_walkable};
use crate::choice::Source;
use crate::engine::{Execution, Target};
use crate::report::fallback_text;
use crate::verdict::exit_code;
use crate::walk::{By, Goal, Plan};

/// Walks, searches, reports; 0 where a set makes the output right.
pub(super) fn fallback(args: &FallbackArgs) -> Result<u8, Failure> {
    let target = read_target(&args.on, &args.network.place)?;
    let prepared = Prepared::new(&args.network)?;
    let progress = screen::progress(args.network.output.quiet);
    progress.set_message("tract (reference)");
    let truth = run_reference(&prepared, &Target::Tract)?;
    let plan = plan(args, &target, &truth, &prepared);

    let engine = prepared.registry.walker(&target).ok_or_else(|| not_walkable(&target))?;
    let walked = engine.walk(&prepared.request(), Some(&plan), &mut |operator| {
        let step = operator.trial.map_or("walk".to_owned(), |trial| format!("run {}", trial + 1));
        let (index, name) = (operator.index, &operator.name);
        progress.set_message(format!("{target}: {step}, operator {index} {name}"));
    });
    progress.finish_and_clear();
    let found = walked.fallback.clone();
    let source = Source::new(prepared.request(), prepared.registry.engine(&Target::Tract));
    let mut report = examine_walked(&target, walked, Truth::of(&truth, &source), prepared.user);
    let code = match &found {
        Some(found) => u8::from(found.members.is_none()),
        // It did not come to its end: what the walk says is all there is.
        None => exit_code(std::iter::once(report.verdict.kind)),
    };
    report.fallback = found;
    let report = prepared.report("fallback", &Target::Tract, &truth, vec![report]);
    prepared.answer(&report, || fallback_text(&report, screen::width(), screen::painter()))?;
    Ok(code)
}

fn plan(args: &FallbackArgs, target: &Target, truth: &Execution, prepared: &Prepared<'_>) -> Plan {
    let goal = match args.goal {
        GoalName::Tolerance => Goal::Tolerance(tolerance_of(target, &truth.outputs, prepared.user)),
        GoalName::Floor => Goal::Floor,
        GoalName::Top1 => Goal::Top1,
    };
    let by = match args.by {
        What::Op => By::Op,
        What::Type => By::Type,
    };
    Plan { by, goal, raise: args.precision, expected: truth.outputs.clone() }
}
