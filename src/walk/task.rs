//! The needs of the strategies without taps: a network, an engine's session, and ways to run the network's parts.

use super::contract::{Executed, Operand, Operator};
use super::node_reference::NodeReference;
use crate::bounds::Arithmetic;
use crate::engine::{EngineSession, Execution, NodeSteps, Outcome, Request, Second};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Format;
use crate::tensor::Tensor;
use std::time::Duration;

/// A network to search on one target, without taps.
pub struct SearchTask<'a> {
    /// The network with its input shapes resolved.
    pub model: &'a Model,
    /// One tensor for each input.
    pub feeds: &'a [Feed],
    /// The target.
    pub session: Box<dyn EngineSession + 'a>,
    /// The same engine on the CPU. If that also differs, the model's conversion is to blame.
    pub companion: Option<Box<dyn EngineSession + 'a>>,
    /// Computes the nodes that tract refuses.
    pub second: Option<Second>,
    /// How the target computes and stores, as far as this is declared.
    pub arithmetic: Arithmetic,
    /// The time limit of a single run.
    pub deadline: Duration,
    /// Receives a description of each step before it starts.
    pub announce: &'a mut dyn FnMut(&str),
    /// Whether the user has ended the search. The search then returns the findings so far.
    pub interrupted: Box<dyn Fn() -> bool>,
}

impl<'a> SearchTask<'a> {
    /// Runs the whole network once.
    pub(super) fn run_whole(&mut self) -> Execution {
        (self.announce)("the whole network");
        self.run_part(self.model)
    }

    /// The format the target may store.
    pub(super) fn storage(&self) -> Format {
        self.arithmetic.format
    }

    /// The network's nodes, one at a time.
    pub(super) fn steps(&self) -> Result<NodeSteps, String> {
        NodeSteps::with_second(self.model, self.second.clone())
    }

    /// The reference at the level of nodes.
    pub(super) fn reference(&self) -> Result<NodeReference<'a>, String> {
        NodeReference::of(self.steps()?, self.feeds, self.arithmetic)
    }

    /// Runs a part of the network. Its inputs are among the whole network's feeds.
    pub(super) fn run_part(&mut self, model: &Model) -> Execution {
        let (feeds, deadline) = (self.feeds, self.deadline);
        self.session.execute(&Request { model, feeds, repeats: 1, deadline })
    }
}

/// One node alone, with its feeds and the reference's outputs.
pub(super) struct Alone {
    /// The model of this node alone.
    pub(super) model: Model,
    /// The node's feeds.
    pub(super) feeds: Vec<Feed>,
    /// The reference's outputs on these feeds.
    pub(super) expected: Vec<Tensor>,
    step: usize,
    operator: Operator,
    inputs: Vec<Operand>,
    writes: Vec<String>,
}

impl Alone {
    /// The node of a step, on the stream's values before the step.
    pub(super) fn of(steps: &NodeSteps, step: usize, operator: Operator) -> Result<Self, String> {
        let inputs = steps.inputs(step)?;
        let outputs = steps.compute(step, &inputs, &Tensor::clone)?;
        let (model, feeds) = steps.alone(step, &inputs, &outputs)?;
        let writes = steps.writes(step).to_vec();
        let operand = |input: Option<Tensor>| input.map_or(Operand::Constant, Operand::Value);
        let inputs = inputs.into_iter().map(operand).collect();
        Ok(Alone { model, feeds, expected: outputs, step, operator, inputs, writes })
    }

    /// The values that the node writes.
    pub(super) fn writes(&self) -> &[String] {
        &self.writes
    }

    /// Runs the node on a session; `Err` says why there are no outputs.
    pub(super) fn run(
        &self,
        session: &mut dyn EngineSession,
        deadline: Duration,
    ) -> Result<Executed, String> {
        let (model, feeds) = (&self.model, &self.feeds[..]);
        let execution = session.execute(&Request { model, feeds, repeats: 1, deadline });
        if execution.outcome != Outcome::Completed {
            let reason = execution.reason.unwrap_or_default();
            return Err(format!("{}: {reason}", execution.outcome));
        }
        let backend = execution.ran_on.map_or_else(String::new, |ran_on| {
            // A node that the backend handed to the CPU is no evidence about the backend.
            let mut others = ran_on.operators.keys().filter(|&name| *name != ran_on.backend);
            let only_others = !ran_on.operators.contains_key(&ran_on.backend);
            others.next().filter(|_| only_others).cloned().unwrap_or(ran_on.backend)
        });
        // An engine may hold a value with more or fewer axes of length 1. The whole run shows whether the engine
        // returns outputs in that form.
        let output = |(name, expected): (&String, &Tensor)| {
            let found = execution.outputs.iter().find(|output| output.name.as_str() == name);
            found
                .map(|output| {
                    output.tensor.in_shape_of(expected).unwrap_or_else(|| output.tensor.clone())
                })
                .ok_or_else(|| format!("the target gave no output {name}"))
        };
        Ok(Executed {
            index: self.step,
            operator: self.operator.clone(),
            backend,
            inputs: self.inputs.clone(),
            outputs: self.writes.iter().zip(&self.expected).map(output).collect(),
            moves: None,
        })
    }

    /// The node as not run, with the reason.
    pub(super) fn not_run(&self, reason: &str) -> Executed {
        Executed {
            index: self.step,
            operator: self.operator.clone(),
            backend: String::new(),
            inputs: self.inputs.clone(),
            outputs: vec![Err(reason.to_owned())],
            moves: None,
        }
    }
}
