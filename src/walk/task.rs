//! What the strategies that work from outside need: a network, an engine's session, and ways to run
//! parts of the one on the other.

use super::contract::{Executed, Operand, Operator};
use super::floor::Storage;
use super::node_reference::NodeReference;
use crate::bounds::Arithmetic;
use crate::engine::{Execution, NodeSteps, Outcome, Request, Second, Session};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use std::time::Duration;

/// A network to search on one target, without taps.
pub struct Task<'a> {
    /// The network, its input shapes resolved.
    pub model: &'a Model,
    /// One tensor for each input.
    pub feeds: &'a [Feed],
    /// The target.
    pub session: Box<dyn Session + 'a>,
    /// The same engine on the CPU: where it differs, too, the conversion of the model is to blame.
    pub companion: Option<Box<dyn Session + 'a>>,
    /// Computes the nodes that tract refuses.
    pub second: Option<Second>,
    /// How the target computes and stores, as far as that is declared.
    pub arithmetic: Arithmetic,
    /// The longest a single run may take.
    pub deadline: Duration,
    /// Told what is about to be done.
    pub announce: &'a mut dyn FnMut(&str),
    /// Whether the user has ended the search: what is known by then is all.
    pub interrupted: fn() -> bool,
}

impl<'a> Task<'a> {
    /// Runs the whole network once.
    pub(super) fn run_whole(&mut self) -> Execution {
        (self.announce)("the whole network");
        self.run_part(self.model)
    }

    /// The format the target may store.
    pub(super) fn storage(&self) -> Storage {
        self.arithmetic.format
    }

    /// The network's nodes one at a time.
    pub(super) fn steps(&self) -> Result<NodeSteps, String> {
        NodeSteps::with_second(self.model, self.second.clone())
    }

    /// The reference at the level of nodes.
    pub(super) fn reference(&self) -> Result<NodeReference<'a>, String> {
        NodeReference::of(self.steps()?, self.feeds, self.arithmetic)
    }

    /// Runs a part of the network; its inputs are found among the whole's feeds.
    pub(super) fn run_part(&mut self, model: &Model) -> Execution {
        let (feeds, deadline) = (self.feeds, self.deadline);
        self.session.execute(&Request { model, feeds, repeats: 1, deadline })
    }
}

/// One node by itself, with what it is fed and what the reference makes of that.
pub(super) struct Alone {
    /// The model of nothing but this node.
    pub(super) model: Model,
    /// Its feeds.
    pub(super) feeds: Vec<Feed>,
    /// What the reference makes of them.
    pub(super) expected: Vec<Tensor>,
    step: usize,
    operator: Operator,
    inputs: Vec<Operand>,
    writes: Vec<String>,
}

impl Alone {
    /// The node of a step, on the stream's values before it.
    pub(super) fn of(steps: &NodeSteps, step: usize, operator: Operator) -> Result<Self, String> {
        let inputs = steps.inputs(step)?;
        let outputs = steps.compute(step, &inputs, &Tensor::clone)?;
        let (model, feeds) = steps.alone(step, &inputs, &outputs)?;
        let writes = steps.writes(step).to_vec();
        let operand = |input: Option<Tensor>| input.map_or(Operand::Constant, Operand::Value);
        let inputs = inputs.into_iter().map(operand).collect();
        Ok(Alone { model, feeds, expected: outputs, step, operator, inputs, writes })
    }

    /// The values it writes.
    pub(super) fn writes(&self) -> &[String] {
        &self.writes
    }

    /// Runs it on a session; `Err` says why there are no outputs.
    pub(super) fn run(
        &self,
        session: &mut dyn Session,
        deadline: Duration,
    ) -> Result<Executed, String> {
        let (model, feeds) = (&self.model, &self.feeds[..]);
        let execution = session.execute(&Request { model, feeds, repeats: 1, deadline });
        if execution.outcome != Outcome::Completed {
            let reason = execution.reason.unwrap_or_default();
            return Err(format!("{}: {reason}", execution.outcome));
        }
        let backend = execution.ran_on.map_or_else(String::new, |ran_on| {
            // A node that the backend handed to the CPU says nothing of the backend.
            let mut others = ran_on.operators.keys().filter(|&name| *name != ran_on.backend);
            let only_others = !ran_on.operators.contains_key(&ran_on.backend);
            others.next().filter(|_| only_others).cloned().unwrap_or(ran_on.backend)
        });
        // An engine may hold a value with more axes of length 1, or fewer; the whole run shows whether it gives
        // outputs so.
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

    /// The same, not run, and why.
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
