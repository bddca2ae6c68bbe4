//! The proof of a search: the network truncated at the finding runs once more. Every value on the way is an output.
//!
//! That one run shows whether the finding's inputs agree while its output does not. It also shows earlier sources whose
//! error is absorbed (multiplied by zero, clipped) before it reaches an output. No bisection can see those.

use super::contract::{Executed, Operand, Operator};
use super::exactness::Exactness;
use super::follow::Follow;
use super::measured::MeasuredOp;
use super::node_reference::operators;
use super::rounding_floor::StorageCensus;
use super::task::SearchTask;
use crate::engine::{Execution, NodeSteps, Outcome};
use crate::graph::{Cut, ValueName};
use crate::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// The most bytes of values that one run may return. The values farthest from the finding are left out.
const MOST_BYTES: usize = 1 << 30;

/// Measures every step up to and including `last`, as it ran in one truncated network.
///
/// # Errors
/// Returns the reason if the reference refuses. The inner error says why the target did not run the network.
pub(super) fn sweep(
    task: &mut SearchTask<'_>,
    last: usize,
) -> Result<Result<Vec<MeasuredOp>, String>, String> {
    let mut steps = task.steps()?;
    let wanted = values_up_to(&mut steps, task, last)?;
    let asked = wanted.iter().map(ToString::to_string).collect();
    let cut = Cut { to: wanted, ..Cut::default() };
    let part = match task.model.cut(&cut) {
        Ok(part) => part,
        Err(error) => return Ok(Err(error.to_string())),
    };
    (task.announce)("the truncated network, every value an output");
    let execution = task.run_part(&part);
    if execution.outcome != Outcome::Completed {
        return Ok(Err(execution.reason.unwrap_or_else(|| execution.outcome.to_string())));
    }
    measure(task, &mut steps, last, &asked, execution).map(Ok)
}

/// The floating-point values that the steps write. Those nearest to `last` are kept first while they fit.
fn values_up_to(
    steps: &mut NodeSteps,
    task: &SearchTask<'_>,
    last: usize,
) -> Result<Vec<ValueName>, String> {
    let mut sizes = Vec::new();
    steps.start(task.feeds)?;
    for step in 0..=last {
        steps.advance(step, &Tensor::clone)?;
        for name in steps.writes(step) {
            // Values that no step reads are already dropped, and no step depends on them.
            let value = steps.value(name).filter(|value| value.dtype().is_float());
            sizes.extend(value.map(|value| (name.clone(), value.len() * value.dtype().size())));
        }
    }
    let mut room = MOST_BYTES;
    let mut kept = Vec::new();
    for (name, size) in sizes.into_iter().rev() {
        match room.checked_sub(size) {
            Some(left) => room = left,
            None => break,
        }
        kept.push(ValueName::from(name));
    }
    kept.reverse();
    Ok(kept)
}

/// Compares the run with the reference, step by step. If a value was not an output of the run, the reference computes
/// it from the outputs.
fn measure(
    task: &SearchTask<'_>,
    steps: &mut NodeSteps,
    last: usize,
    asked: &BTreeSet<String>,
    execution: Execution,
) -> Result<Vec<MeasuredOp>, String> {
    let backend = execution.ran_on.map_or_else(String::new, |ran_on| ran_on.backend);
    let mut given: BTreeMap<String, Tensor> = execution
        .outputs
        .into_iter()
        .map(|output| (output.name.to_string(), output.tensor))
        .collect();
    given.extend(task.feeds.iter().map(|feed| (feed.name.to_string(), feed.tensor.clone())));
    let mut run = Run { asked, given, backend };
    let mut reference = task.reference()?;
    let mut follow = Follow::new(&mut reference, StorageCensus::new(task.storage()));
    steps.start(task.feeds)?;
    for (step, operator) in operators(steps).into_iter().enumerate().take(last + 1) {
        let clean = steps.inputs(step)?;
        run.complete(steps, step, &clean);
        steps.advance(step, &Tensor::clone)?;
        if steps.writes(step).iter().any(|name| asked.contains(name)) {
            follow.observe(&run.executed(steps, step, operator, &clean));
        }
    }
    let (mut measured, _) = follow.finish();
    // An output value may be rounded once more than the value that the next operator reads.
    for measured in &mut measured {
        measured.exactness = measured.exactness.max(Exactness::CorrectlyRounded);
        // Only a device that stores every value reads the same values as it shows.
        measured.excess = measured.excess.take().filter(|found| found.declared);
    }
    Ok(measured)
}

/// The results of the run.
struct Run<'a> {
    /// The values requested as outputs.
    asked: &'a BTreeSet<String>,
    /// The outputs that arrived, the feeds, and the values that the reference computes from them.
    given: BTreeMap<String, Tensor>,
    backend: String,
}

impl Run<'_> {
    /// Computes a step's values that were not requested (indices and shapes) from the run's own values. The clean
    /// stream's values would not fit these. If the step cannot be computed from them, the clean values stay in place.
    fn complete(&mut self, steps: &NodeSteps, step: usize, clean: &[Option<Tensor>]) {
        let writes = steps.writes(step);
        if writes.iter().all(|name| self.asked.contains(name)) {
            return;
        }
        let value = |(name, clean): (&String, &Option<Tensor>)| {
            clean.as_ref().map(|clean| self.given.get(name).unwrap_or(clean).clone())
        };
        let inputs: Vec<Option<Tensor>> = steps.reads(step).iter().zip(clean).map(value).collect();
        if let Ok(outputs) = steps.compute(step, &inputs, &Tensor::clone) {
            let unasked =
                writes.iter().zip(outputs).filter(|(name, _)| !self.asked.contains(*name));
            self.given.extend(unasked.map(|(name, output)| (name.clone(), output)));
        }
    }

    /// A step as the run shows it.
    fn executed(
        &self,
        steps: &NodeSteps,
        step: usize,
        operator: Operator,
        clean: &[Option<Tensor>],
    ) -> Executed {
        let input = |(name, clean): (&String, &Option<Tensor>)| match (self.given.get(name), clean)
        {
            (Some(given), _) => Operand::Value(given.clone()),
            // The reference's value is no substitute, because the comparison needs the same inputs.
            (None, Some(_)) if self.asked.contains(name) => {
                Operand::Unreadable(format!("the target gave no output {name}"))
            }
            (None, Some(clean)) => Operand::Value(clean.clone()),
            (None, None) => Operand::Constant,
        };
        let output = |name: &String| match self.given.get(name) {
            Some(given) => Ok(given.clone()),
            // A requested output that did not arrive was not compared, so it does not agree.
            None if self.asked.contains(name) => Err(format!("the target gave no output {name}")),
            None => steps.value(name).cloned().ok_or_else(|| "no node reads it".to_owned()),
        };
        Executed {
            index: step,
            operator,
            backend: self.backend.clone(),
            inputs: steps.reads(step).iter().zip(clean).map(input).collect(),
            outputs: steps.writes(step).iter().map(output).collect(),
            moves: None,
        }
    }
}
