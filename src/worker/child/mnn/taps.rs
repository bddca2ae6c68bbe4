//! Taps that read and write the tensors of one operator.

use super::session::{Op, Refusal, RunTap, TensorRef};
use crate::tensor::Tensor;
use crate::walk::{Operand, Operator, round_to_f16};
use std::collections::BTreeMap;

/// Numbers the operators that share a name.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, usize>);

impl Names {
    /// The operator, numbered among the operators with the same name.
    pub(super) fn operator(&mut self, op: &Op) -> Operator {
        let seen = self.0.entry(op.name.clone()).or_default();
        let occurrence = *seen;
        *seen += 1;
        Operator { name: op.name.clone(), occurrence, op_type: op.kind.clone() }
    }
}

/// Reads one operator's inputs and outputs.
pub(super) struct ReadTap {
    pub(super) inputs: Vec<Option<Tensor>>,
    /// Which of the inputs are constants.
    pub(super) constants: Vec<bool>,
    pub(super) outputs: Result<Vec<Tensor>, Refusal>,
}

impl RunTap for ReadTap {
    fn before(&mut self, _: &Op, inputs: &[TensorRef<'_>]) -> bool {
        self.inputs = inputs.iter().map(|input| input.read().ok()).collect();
        self.constants = inputs.iter().map(TensorRef::is_constant).collect();
        true
    }
    fn after(&mut self, _: &Op, outputs: &[TensorRef<'_>]) -> bool {
        self.outputs = outputs.iter().map(TensorRef::read).collect();
        true
    }
}

/// Writes the candidate's inputs to one operator and reads its outputs.
pub(super) struct WriteTap<'a> {
    inputs: &'a [Operand],
    pub(super) failed: Option<String>,
    pub(super) outputs: Result<Vec<Tensor>, Refusal>,
}

impl WriteTap<'_> {
    /// Whether every input still contains the written value: two inputs may share memory.
    pub(super) fn holds(&self, inputs: &[TensorRef<'_>]) -> bool {
        inputs.iter().zip(self.inputs).all(|(input, operand)| match operand {
            Operand::Value(tensor) if !input.is_constant() => {
                input.read().is_ok_and(|read| read.bytes() == tensor.bytes())
            }
            _ => true,
        })
    }
}

impl RunTap for WriteTap<'_> {
    fn before(&mut self, _: &Op, inputs: &[TensorRef<'_>]) -> bool {
        self.failed = self.write(inputs).err();
        self.failed.is_none()
    }
    fn after(&mut self, _: &Op, outputs: &[TensorRef<'_>]) -> bool {
        if self.failed.is_none() {
            self.outputs = outputs.iter().map(TensorRef::read).collect();
        }
        true
    }
}

impl Default for ReadTap {
    fn default() -> Self {
        ReadTap { inputs: Vec::new(), constants: Vec::new(), outputs: Ok(Vec::new()) }
    }
}

impl<'a> WriteTap<'a> {
    /// A tap that writes these inputs.
    pub(super) fn new(inputs: &'a [Operand]) -> Self {
        WriteTap { inputs, failed: None, outputs: Ok(Vec::new()) }
    }

    fn write(&self, inputs: &[TensorRef<'_>]) -> Result<(), String> {
        if inputs.len() != self.inputs.len() {
            return Err(format!(
                "the reference's operator has {} inputs, not {}",
                inputs.len(),
                self.inputs.len()
            ));
        }
        for (input, operand) in inputs.iter().zip(self.inputs) {
            match operand {
                _ if input.is_constant() => {}
                Operand::Value(tensor) if fits(input, tensor) => input.write(tensor)?,
                Operand::Value(tensor) => {
                    return Err(format!(
                        "an input has shape {:?} in the reference, not {:?}",
                        input.shape(),
                        tensor.shape()
                    ));
                }
                Operand::Constant => {
                    return Err("an input is a constant on one side only".to_owned());
                }
                Operand::Unreadable(reason) => return Err(reason.clone()),
            }
        }
        Ok(())
    }
}

fn fits(input: &TensorRef<'_>, tensor: &Tensor) -> bool {
    input.shape() == tensor.shape() && input.dtype() == Some(tensor.dtype())
}

/// Rounds every value to 16 bits when it is computed, like an honest 16-bit backend from end to end.
pub(super) struct HalfTap;

impl RunTap for HalfTap {
    fn before(&mut self, _: &Op, _: &[TensorRef<'_>]) -> bool {
        true
    }
    fn after(&mut self, _: &Op, outputs: &[TensorRef<'_>]) -> bool {
        for output in outputs {
            // A value that cannot be read or written stays unchanged. The floor is then lower.
            if let Ok(tensor @ Tensor::F32(_)) = output.read() {
                let _ = output.write(&round_to_f16(&tensor));
            }
        }
        true
    }
}
