//! One death, and the supervisor's report on it.

use crate::field::{Field, PATIENCE, REPEATS, engine};
use crate::plan::{Kind, Plan, Way};
use crate::saboteur::Deed;
use offby::engine::{Ended, Engine as _, Execution, Outcome, Request, same_bytes};
use offby::worker::{Announced, WorkerProgram};
use std::env;
use std::time::{Duration, Instant};

/// The deadline for a worker that will never answer.
const SHORT: Duration = Duration::from_secs(3);
/// The memory limit for a worker that uses all it can get.
const LIMIT: u64 = 256 << 20;
/// The report must come within this time after the deadline, killing included.
const SLACK: Duration = Duration::from_secs(20);
/// The most bytes of evidence: longer output is cut off.
const MOST_EVIDENCE: usize = 200 * 5000;

/// Plants the failure, runs, and compares; `Err` names the difference from the plan.
pub(crate) fn run(plan: &Plan, field: &Field) -> Result<(), String> {
    let (ops, operator) = field.moment(plan);
    let deed = Deed { kind: plan.kind, stage: plan.stage, ops };
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let limit = (plan.kind == Kind::Memory).then_some(LIMIT);
    let worker = WorkerProgram::ours(program, deed.arguments()).with_memory(limit);
    let is_silent = plan.ended() == Some(Ended::Deadline)
        || (plan.way == Way::Session && plan.second_outcome() == Outcome::TimedOut);
    let deadline = if is_silent { SHORT } else { PATIENCE };
    let started = Instant::now();
    match plan.way {
        Way::Run => check(plan, &engine(&worker).execute(&field.request(deadline)), field)?,
        Way::Session => session(plan, field, &worker, deadline)?,
        Way::Walk | Way::Search => {
            let (walked, _) = field.walk(&worker, plan.way == Way::Search, deadline);
            check(plan, &walked.execution, field)?;
            let named =
                walked.last.as_ref().filter(|_| walked.execution.outcome != Outcome::Completed);
            check_operator(named, operator.filter(|_| plan.ended().is_some()))?;
            if named.is_some() && walked.after_last != plan.after_last() {
                return Err(format!(
                    "it says that it had left its operator: {}",
                    walked.after_last
                ));
            }
            if walked.found.is_some() != plan.finds() {
                return Err(format!(
                    "what the first run shows is there: {}",
                    walked.found.is_some()
                ));
            }
        }
    }
    match started.elapsed() {
        took if is_silent && took > SHORT * 2 + SLACK => Err(format!("it took {took:?}")),
        _ => Ok(()),
    }
}

/// Two networks in a row: the second must not pay for the first.
fn session(
    plan: &Plan,
    field: &Field,
    worker: &WorkerProgram,
    deadline: Duration,
) -> Result<(), String> {
    let engine = engine(worker);
    let mut session = engine.session();
    check(plan, &session.execute(&field.request(PATIENCE)), field)?;
    let request = Request { repeats: REPEATS, ..field.request(deadline) };
    let second = session.execute(&request);
    if second.outcome != plan.second_outcome() {
        let reason = second.reason.unwrap_or_default();
        return Err(format!("the second network is {}: {reason}", second.outcome));
    }
    Ok(())
}

fn check(plan: &Plan, execution: &Execution, field: &Field) -> Result<(), String> {
    let Execution { outcome, ended, .. } = execution;
    let reason = execution.reason.clone().unwrap_or_default();
    if (*outcome, *ended) != (plan.outcome(), plan.ended()) {
        let (planted, ending) = (plan.outcome(), plan.ended());
        return Err(format!("{outcome} {ended:?}, not {planted} {ending:?}: {reason}"));
    }
    if !reason.contains(plan.words()) {
        return Err(format!("`{}` is missing: {reason}", plan.words()));
    }
    if *outcome == Outcome::Completed && !same_bytes(&execution.outputs, &field.outputs) {
        return Err("it completes with other outputs".into());
    }
    match execution.evidence.iter().map(String::len).sum::<usize>() {
        bytes if bytes > MOST_EVIDENCE => Err(format!("{bytes} bytes of evidence")),
        _ => Ok(()),
    }
}

fn check_operator(named: Option<&Announced>, planted: Option<&Announced>) -> Result<(), String> {
    if named == planted {
        return Ok(());
    }
    Err(format!("in operator {named:?}, not {planted:?}"))
}
