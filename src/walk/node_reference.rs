//! tract as a reference, at the level of ONNX nodes.

use super::contract::{Anatomy, Clean, Operand, Operator, OperatorReference, Unchecked};
use super::rounding_floor::round_to_f16;
use crate::bounds::{Arithmetic, Excess};
use crate::engine::{NodeSteps, Output};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The operators of a network that is stepped node by node, in their order.
pub fn operators(steps: &NodeSteps) -> Vec<Operator> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    (0..steps.len())
        .map(|step| {
            let (name, op_type) = steps.node(step);
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            Operator { name, occurrence: *count - 1, op_type }
        })
        .collect()
}

/// The anatomy of a step's node on these inputs. `Some(None)` is the node's constant, `None` an unknown input.
pub(super) fn anatomy(
    steps: &NodeSteps,
    step: usize,
    inputs: impl Iterator<Item = Option<Option<Tensor>>>,
) -> Anatomy {
    let (attributes, opset) = steps.attributes(step);
    let constant = |name: &String| steps.constant(name).map(Cow::into_owned);
    let value = |(name, input): (&String, Option<Option<Tensor>>)| match input {
        Some(None) => constant(name),
        Some(value) => value,
        None => None,
    };
    let inputs = steps.reads(step).iter().zip(inputs).map(value).collect();
    Anatomy { inputs, attributes, opset, is_known: true }
}

/// tract, node by node.
pub struct NodeReference<'f> {
    steps: NodeSteps,
    feeds: &'f [Feed],
    numbers: BTreeMap<Operator, usize>,
    cursor: usize,
    arithmetic: Arithmetic,
}

impl<'f> NodeReference<'f> {
    /// The reference of a model and its feeds, for a candidate of this arithmetic.
    ///
    /// # Errors
    /// Returns the reason if tract refuses the model.
    pub fn new(model: &Model, feeds: &'f [Feed], arithmetic: Arithmetic) -> Result<Self, String> {
        NodeReference::of(NodeSteps::new(model)?, feeds, arithmetic)
    }

    /// The reference of a network that is stepped node by node.
    ///
    /// # Errors
    /// Names the feed if one is missing.
    pub fn of(steps: NodeSteps, feeds: &'f [Feed], arithmetic: Arithmetic) -> Result<Self, String> {
        let numbers = operators(&steps).into_iter().zip(0..).collect();
        let mut reference = NodeReference { steps, feeds, numbers, cursor: 0, arithmetic };
        reference.restart()?;
        Ok(reference)
    }

    fn number(&self, operator: &Operator) -> Result<usize, Unchecked> {
        let number = self.numbers.get(operator).copied();
        number.ok_or_else(|| "the reference has no such node".into())
    }

    fn on(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
        weights: &dyn Fn(&Tensor) -> Tensor,
    ) -> Result<Vec<Tensor>, Unchecked> {
        let number = self.number(operator)?;
        self.steps.compute(number, &values(inputs)?, weights)
    }

    /// Computes the stream up to a step, and changes each value when it is computed.
    fn run_to(&mut self, end: usize, change: &dyn Fn(&Tensor) -> Tensor) -> Result<(), String> {
        for step in self.cursor..end {
            self.steps.advance(step, change)?;
        }
        self.cursor = self.cursor.max(end);
        Ok(())
    }
}

impl OperatorReference for NodeReference<'_> {
    fn restart(&mut self) -> Result<(), String> {
        self.cursor = 0;
        self.steps.start(self.feeds)
    }

    fn complete(&mut self) -> Result<Vec<Output>, String> {
        self.run_to(self.steps.len(), &Tensor::clone)?;
        self.steps.outputs()
    }

    fn half_outputs(&mut self) -> Result<Vec<Output>, String> {
        self.restart()?;
        self.run_to(self.steps.len(), &round_to_f16)?;
        self.steps.outputs()
    }

    fn recompute(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked> {
        self.on(operator, inputs, &Tensor::clone)
    }

    fn recompute_half(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked> {
        self.on(operator, inputs, &round_to_f16)
    }

    fn weigh(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
        _: Option<&Clean>,
        near: &[Tensor],
        outputs: &[&Tensor],
    ) -> Option<Excess> {
        let number = self.number(operator).ok()?;
        self.steps.weigh(number, &values(inputs).ok()?, near, outputs, &self.arithmetic)
    }

    fn anatomy(&mut self, operator: &Operator, inputs: &[Operand]) -> Anatomy {
        let Ok(number) = self.number(operator) else { return Anatomy::default() };
        let values = inputs.iter().map(|input| match input {
            Operand::Value(tensor) => Some(Some(tensor.clone())),
            Operand::Constant => Some(None),
            Operand::Unreadable(_) => None,
        });
        anatomy(&self.steps, number, values)
    }

    fn advance(&mut self, operator: &Operator) -> Result<Clean, Unchecked> {
        let number = self.number(operator)?;
        self.run_to(number, &Tensor::clone)?;
        let inputs = self.steps.inputs(number)?;
        let outputs = self.steps.compute(number, &inputs, &Tensor::clone)?;
        self.steps.store(number, &outputs);
        self.steps.forget(number);
        self.cursor = number + 1;
        Ok(Clean { inputs, outputs, ..Clean::default() })
    }
}

/// The values among an operator's inputs; `None` for a constant.
fn values(inputs: &[Operand]) -> Result<Vec<Option<Tensor>>, Unchecked> {
    let value = |input: &Operand| match input {
        Operand::Value(tensor) => Ok(Some(tensor.clone())),
        Operand::Constant => Ok(None),
        Operand::Unreadable(reason) => Err(reason.clone()),
    };
    inputs.iter().map(value).collect()
}
