//! tract as a walk's reference: every ONNX node on the candidate's inputs, and a stream of its own.

use crate::engine::{NodeSteps, Output};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use crate::walk::{Clean, Operand, Operator, Reference, Unchecked, round_to_f16};
use std::collections::BTreeMap;

/// tract as the walk's reference, at the level of ONNX nodes.
pub(super) struct TractReference<'f> {
    steps: NodeSteps,
    feeds: &'f [Feed],
    numbers: BTreeMap<String, usize>,
    cursor: usize,
}

impl<'f> TractReference<'f> {
    /// A stream that has computed nothing yet.
    pub(super) fn new(model: &Model, feeds: &'f [Feed]) -> Result<Self, String> {
        Ok(TractReference {
            steps: NodeSteps::new(model)?,
            feeds,
            numbers: BTreeMap::new(),
            cursor: 0,
        })
    }

    fn number(&mut self, operator: &Operator) -> Result<usize, Unchecked> {
        if self.numbers.is_empty() {
            self.numbers =
                (0..self.steps.len()).map(|step| (self.steps.node(step).0, step)).collect();
        }
        self.numbers
            .get(&operator.name)
            .copied()
            .ok_or_else(|| "the reference has no such node".into())
    }

    fn on(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
        weights: &dyn Fn(&Tensor) -> Tensor,
    ) -> Result<Vec<Tensor>, Unchecked> {
        let number = self.number(operator)?;
        let value = |input: &Operand| match input {
            Operand::Value(tensor) => Ok(Some(tensor.clone())),
            Operand::Constant => Ok(None),
            Operand::Unreadable(reason) => Err(reason.clone()),
        };
        let inputs = inputs.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        self.steps.compute(number, &inputs, weights)
    }

    /// Computes the stream up to a step, each value changed as it comes.
    fn run_to(&mut self, end: usize, change: &dyn Fn(&Tensor) -> Tensor) -> Result<(), String> {
        for step in self.cursor..end {
            let inputs = self.steps.inputs(step)?;
            let outputs = self.steps.compute(step, &inputs, change)?;
            let outputs: Vec<Tensor> = outputs.iter().map(change).collect();
            self.steps.store(step, &outputs);
            self.steps.forget(step);
        }
        self.cursor = self.cursor.max(end);
        Ok(())
    }
}

impl Reference for TractReference<'_> {
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

    fn advance(&mut self, operator: &Operator) -> Result<Clean, Unchecked> {
        let number = self.number(operator)?;
        self.run_to(number, &Tensor::clone)?;
        let inputs = self.steps.inputs(number)?;
        let outputs = self.steps.compute(number, &inputs, &Tensor::clone)?;
        self.steps.store(number, &outputs);
        self.steps.forget(number);
        self.cursor = number + 1;
        Ok(Clean { inputs, outputs, conversion: None })
    }
}
