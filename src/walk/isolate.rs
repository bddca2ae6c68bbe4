//! Isolating: runs every node as a model of its own, fed with the reference's values.
//!
//! No node inherits error, so every error is the node's own. But effects across nodes (fusion, reuse of memory, layouts
//! that travel) cannot show.

use super::conclude::conclude;
use super::contract::Operator;
use super::follow::Follow;
use super::journal::{Known, SearchJournal};
use super::measured::MeasuredOp;
use super::node_reference::operators;
use super::role::{Role, assign_roles};
use super::rounding_floor::StorageCensus;
use super::strategy::Strategy;
use super::task::{Alone, SearchTask};
use super::trace::{Trace, Trust, WalkReport};
use crate::engine::{Execution, NodeSteps, Outcome};
use crate::graph::{Topology, ValueName};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// Runs the whole network once for its outputs, then every node alone.
///
/// # Errors
/// Returns the reason if the reference refuses.
pub fn isolate(
    task: &mut SearchTask<'_>,
    names: &BTreeMap<String, String>,
    journal: &mut SearchJournal<MeasuredOp>,
) -> Result<(Execution, Option<WalkReport>), String> {
    let whole = task.run_whole();
    if matches!(whole.outcome, Outcome::FellBack | Outcome::Unavailable | Outcome::Interrupted) {
        return Ok((whole, None));
    }
    let mut steps = task.steps()?;
    steps.start(task.feeds)?;
    let mut reference = task.reference()?;
    let mut follow = Follow::new(&mut reference, StorageCensus::new(task.storage()));
    let topology = Topology::of(task.model);
    let mut tally = IsolateTally { runs: 1, found: 0, again: 0 };
    for (step, operator) in operators(&steps).into_iter().enumerate() {
        if (task.interrupted)() {
            break;
        }
        let probe = format!("{}#{}", operator.name, operator.occurrence);
        match journal.known(&probe) {
            Known::Done(measured) => follow.push(measured),
            Known::Interrupted => {
                let reason = "an earlier command ended while it ran; it was not run again";
                follow.observe(&Alone::of(&steps, step, operator)?.not_run(reason));
            }
            Known::New => {
                journal.start(&probe);
                one(task, &steps, &topology, step, operator, &mut follow, &mut tally)?;
                match follow.last() {
                    _ if (task.interrupted)() => journal.withdraw(&probe),
                    Some(measured) => journal.done(&probe, measured),
                    None => {}
                }
            }
        }
        steps.advance(step, &Tensor::clone)?;
    }
    let interrupted = (task.interrupted)();
    if !interrupted {
        journal.finish();
    }
    let (measured, _) = follow.finish();
    let trace = Trace { measured, storage: task.storage(), final_half: None };
    let mut report = conclude(Strategy::Isolate, &trace, &tally.trust(), names);
    (report.ops_total, report.interrupted) = (steps.len(), interrupted);
    report.sources.extend(ends_alike(&report, whole.outcome));
    Ok((whole, Some(report)))
}

/// The nodes that fail alone in the same way as the whole network, if the whole network fails.
fn ends_alike(report: &WalkReport, goal: Outcome) -> Vec<String> {
    let alike = |reason: &str| goal != Outcome::Completed && reason.starts_with(goal.name());
    let ended = report.ops_unchecked.iter().filter(|op| alike(&op.reason));
    ended.map(|op| op.name.clone()).collect()
}

struct IsolateTally {
    runs: usize,
    found: usize,
    again: usize,
}

impl IsolateTally {
    fn trust(&self) -> Trust {
        Trust {
            candidate_runs: self.runs,
            disturbed_by_taps: false,
            repeats: 1,
            identical: true,
            first_unstable: None,
            reproduced: (1 + usize::from(self.again == self.found), 2),
        }
    }
}

/// Runs one node. A source is run again before it is believed.
fn one(
    task: &mut SearchTask<'_>,
    steps: &NodeSteps,
    topology: &Topology,
    step: usize,
    operator: Operator,
    follow: &mut Follow<'_>,
    tally: &mut IsolateTally,
) -> Result<(), String> {
    (task.announce)(&format!("{step} of {}: {} {}", steps.len(), operator.op_type, operator.name));
    let alone = Alone::of(steps, step, operator)?;
    let is_float = alone.expected.iter().any(|output| output.dtype().is_float());
    // Shapes are the same for every feed, and engines compute them before the run.
    let is_computed = |name: &String| topology.is_computed(&ValueName::from(name.as_str()));
    if !is_float && !alone.writes().iter().any(is_computed) {
        let reason = "it gives shapes, which do not depend on the values that are fed";
        follow.observe(&alone.not_run(reason));
        follow.last_mut().into_iter().for_each(|measured| measured.float = false);
        return Ok(());
    }
    tally.runs += 1;
    let executed = alone.run(task.session.as_mut(), task.deadline);
    let executed = executed.unwrap_or_else(|reason| alone.not_run(&reason));
    follow.observe(&executed);
    let is_source = |measured: &MeasuredOp| {
        assign_roles(std::slice::from_ref(measured), task.storage()).contains(&Role::Source)
    };
    if follow.last().is_some_and(is_source) {
        tally.found += 1;
        tally.runs += 1;
        let again = alone.run(task.session.as_mut(), task.deadline);
        tally.again +=
            usize::from(again.is_ok_and(|again| same(&again.outputs, &executed.outputs)));
    }
    Ok(())
}

fn same(a: &[Result<Tensor, String>], b: &[Result<Tensor, String>]) -> bool {
    let bytes = |tensors: &[Result<Tensor, String>]| -> Vec<Vec<u8>> {
        tensors.iter().flatten().map(Tensor::to_bytes).collect()
    };
    bytes(a) == bytes(b)
}
