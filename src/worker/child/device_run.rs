//! A network on a simulated device: the reference's nodes, each passed through the device.

use crate::engine::{NodeSteps, Output};
use crate::graph::{Model, widened};
use crate::inputs::Feed;
use crate::sim::{Breakdown, NodeFacts, Simulator};
use crate::tensor::Tensor;

/// A network on a device. The caller runs it node by node, any number of times.
#[derive(Debug)]
pub struct DeviceRun {
    steps: NodeSteps,
    facts: Vec<NodeFacts>,
    /// The feeds as the device stores them.
    feeds: Vec<Feed>,
    simulator: Simulator,
}

/// Why a node returned no outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeStop {
    /// A planted fault ended the device.
    Broke(Breakdown),
    /// The reference cannot compute the node.
    Reference(String),
}

impl DeviceRun {
    /// A network that has not run yet.
    ///
    /// # Errors
    /// Fails if the reference refuses the network.
    pub fn new(model: &Model, feeds: &[Feed], simulator: Simulator) -> Result<Self, String> {
        let steps = NodeSteps::new(model)?;
        let fact = |step: usize| {
            let (label, op_type) = steps.node(step);
            let attributes = model.attributes(steps.place(step));
            NodeFacts { index: step, label, op_type, attributes }
        };
        let facts = (0..steps.len()).map(fact).collect();
        let mut run = DeviceRun { steps, facts, feeds: Vec::new(), simulator };
        run.feed(feeds)?;
        Ok(run)
    }

    /// Replaces the feeds by others of the same shapes.
    ///
    /// # Errors
    /// Fails if an input has no feed, or a feed of a different shape.
    pub fn feed(&mut self, feeds: &[Feed]) -> Result<(), String> {
        let shape = |feed: &Feed| feed.tensor.shape().to_vec();
        for before in &self.feeds {
            let next = feeds.iter().find(|next| next.name == before.name);
            if next.map(shape) != Some(shape(before)) {
                return Err(format!(
                    "input `{}` is not fed, or is fed with a different shape",
                    before.name
                ));
            }
        }
        let keep = |feed: &Feed| Feed {
            tensor: self.simulator.keep(&widened(&feed.tensor)),
            ..feed.clone()
        };
        self.feeds = feeds.iter().map(keep).collect();
        Ok(())
    }

    /// Begins a run, watched or not.
    ///
    /// # Errors
    /// Fails if an input has no feed.
    pub fn begin(&mut self, watched: bool) -> Result<(), String> {
        self.simulator.begin(watched);
        self.steps.start(&self.feeds)
    }

    /// The next node's inputs and outputs on the device; the caller passes every step in order.
    ///
    /// # Errors
    /// Fails if the node returns no outputs.
    pub fn advance(&mut self, step: usize) -> Result<Passed, NodeStop> {
        let inputs = self.steps.inputs(step).map_err(NodeStop::Reference)?;
        let outputs = self.pass(step, &inputs)?;
        self.steps.store(step, &outputs);
        self.steps.forget(step);
        Ok((inputs, outputs))
    }

    /// Continues after a node with outputs from the caller; the device stores them in its format.
    pub fn replace(&mut self, step: usize, outputs: &[Tensor]) {
        let kept: Vec<Tensor> = outputs.iter().map(|output| self.simulator.keep(output)).collect();
        self.steps.store(step, &kept);
        self.steps.forget(step);
    }

    /// Runs one node on the device, on any inputs; `None` means a constant.
    ///
    /// # Errors
    /// Fails if the node returns no outputs.
    pub fn pass(
        &mut self,
        step: usize,
        inputs: &[Option<Tensor>],
    ) -> Result<Vec<Tensor>, NodeStop> {
        let node = &self.facts[step];
        let weight = |tensor: &Tensor| self.simulator.keep_weight(node, tensor);
        let right = self.steps.compute(step, inputs, &weight).map_err(NodeStop::Reference)?;
        let constant = |name: &String| Some(weight(&*self.steps.constant(name)?));
        let reads = self.steps.reads(step).iter().zip(inputs);
        let all: Vec<Option<Tensor>> =
            reads.map(|(name, input)| input.clone().or_else(|| constant(name))).collect();
        self.simulator.pass(node, &all, right).map_err(NodeStop::Broke)
    }

    /// The network's outputs, once all steps are done.
    ///
    /// # Errors
    /// Fails if an output is missing.
    pub fn outputs(&self) -> Result<Vec<Output>, String> {
        self.steps.outputs()
    }

    /// The steps.
    pub fn steps(&self) -> &NodeSteps {
        &self.steps
    }

    /// The facts about each node.
    pub fn facts(&self) -> &[NodeFacts] {
        &self.facts
    }

    /// The device.
    pub fn simulator(&mut self) -> &mut Simulator {
        &mut self.simulator
    }
}

/// A node's inputs, `None` for a constant, and its outputs.
pub type Passed = (Vec<Option<Tensor>>, Vec<Tensor>);
