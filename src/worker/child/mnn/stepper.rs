//! MNN's CPU, one operator at a time: in the order of the network, or on any inputs.

use super::lockstep::Lockstep;
use super::session::{Api, Op, Refusal, Session, Tap, TensorRef};
use super::{read_outputs, write_feeds};
use crate::engine::Output;
use crate::tensor::Tensor;
use crate::walk::{Operand, Operator, Unchecked, round_to_f16};
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

/// A network that is stepped operator by operator.
pub(super) enum Stepper {
    /// A session, which has a list of commands.
    Commands(Commands),
    /// A module, which chooses the next operator as it runs.
    Lockstep(Lockstep),
}

impl Stepper {
    /// Numbers the operators of a network, which already contains its feeds.
    pub(super) fn new(session: Session) -> Result<Self, Refusal> {
        Ok(match session.api() {
            Api::Session => Stepper::Commands(Commands::new(session)?),
            Api::Module => Stepper::Lockstep(Lockstep::new(session)?),
        })
    }

    /// Goes back to the start, with these feeds.
    pub(super) fn restart(&mut self, feeds: &[Output]) -> Result<(), Refusal> {
        match self {
            Stepper::Commands(commands) => {
                commands.cursor = 0;
                write_feeds(&commands.session, feeds)
            }
            Stepper::Lockstep(lockstep) => write_feeds(lockstep.rest()?, feeds),
        }
    }

    /// Runs all remaining operators and returns the outputs.
    pub(super) fn complete(&mut self) -> Result<Vec<Output>, Refusal> {
        match self {
            Stepper::Commands(commands) => {
                commands.go_to(commands.session.commands())?;
                read_outputs(&commands.session)
            }
            Stepper::Lockstep(lockstep) => read_outputs(lockstep.rest()?),
        }
    }

    /// The outputs if every value is rounded to 16 bits when it is computed.
    pub(super) fn half_outputs(&mut self) -> Result<Vec<Output>, Refusal> {
        let session = match self {
            Stepper::Commands(commands) => &mut commands.session,
            Stepper::Lockstep(lockstep) => lockstep.rest()?,
        };
        session.run_tapped(&mut HalfTap)?;
        read_outputs(session)
    }

    /// Continues in order up to this operator, and reads it.
    pub(super) fn advance(&mut self, operator: &Operator) -> Result<ReadTap, Unchecked> {
        match self {
            Stepper::Commands(commands) => commands.advance(operator),
            Stepper::Lockstep(lockstep) => lockstep.at(operator, None),
        }
    }

    /// An operator's outputs on these inputs.
    pub(super) fn compute(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked> {
        match self {
            Stepper::Commands(commands) => commands.compute(operator, inputs),
            Stepper::Lockstep(lockstep) => lockstep.at(operator, Some(inputs))?.outputs,
        }
    }
}

/// A CPU session and the numbers of its operators.
pub(super) struct Commands {
    session: Session,
    numbers: BTreeMap<(String, usize), usize>,
    /// If the session is stepped in order, all operators before this one have run.
    cursor: usize,
}

impl Commands {
    /// Numbers the operators of a session.
    fn new(mut session: Session) -> Result<Self, Refusal> {
        let mut list = ListTap::default();
        for number in 0..session.commands() {
            list.number = number;
            session.step(number, &mut list)?;
        }
        Ok(Commands { session, numbers: list.numbers, cursor: 0 })
    }

    fn number(&self, operator: &Operator) -> Result<usize, Unchecked> {
        let key = (operator.name.clone(), operator.occurrence);
        self.numbers
            .get(&key)
            .copied()
            .ok_or_else(|| "the reference has no such operator".to_owned())
    }

    /// Runs all operators before this one.
    fn go_to(&mut self, number: usize) -> Result<(), Refusal> {
        for before in self.cursor..number {
            self.session.step(before, &mut Silent)?;
        }
        self.cursor = self.cursor.max(number);
        Ok(())
    }

    /// Continues in order up to this operator, and reads it.
    fn advance(&mut self, operator: &Operator) -> Result<ReadTap, Unchecked> {
        let number = self.number(operator)?;
        if number < self.cursor {
            return Err("the reference runs it in a different order".to_owned());
        }
        self.go_to(number)?;
        let mut tap = ReadTap::default();
        self.session.step(number, &mut tap)?;
        self.cursor = number + 1;
        Ok(tap)
    }

    /// An operator's outputs on these inputs.
    fn compute(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked> {
        let number = self.number(operator)?;
        let mut tap = WriteTap::new(inputs);
        self.session.step(number, &mut tap)?;
        match tap.failed {
            Some(reason) => Err(reason),
            None => tap.outputs,
        }
    }
}

/// Runs an operator without reading it.
struct Silent;

impl Tap for Silent {
    fn before(&mut self, _: &Op, _: &[TensorRef<'_>]) -> bool {
        true
    }
    fn after(&mut self, _: &Op, _: &[TensorRef<'_>]) -> bool {
        true
    }
}

/// Numbers the operators and runs none of them.
#[derive(Default)]
struct ListTap {
    names: Names,
    number: usize,
    numbers: BTreeMap<(String, usize), usize>,
}

impl Tap for ListTap {
    fn before(&mut self, op: &Op, _: &[TensorRef<'_>]) -> bool {
        let operator = self.names.operator(op);
        self.numbers.insert((operator.name, operator.occurrence), self.number);
        false
    }
    fn after(&mut self, _: &Op, _: &[TensorRef<'_>]) -> bool {
        true
    }
}

/// Reads one operator's inputs and outputs.
pub(super) struct ReadTap {
    pub(super) inputs: Vec<Option<Tensor>>,
    /// Which of the inputs are constants.
    pub(super) constants: Vec<bool>,
    pub(super) outputs: Result<Vec<Tensor>, Refusal>,
}

impl Default for ReadTap {
    fn default() -> Self {
        ReadTap { inputs: Vec::new(), constants: Vec::new(), outputs: Ok(Vec::new()) }
    }
}

impl Tap for ReadTap {
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
    outputs: Result<Vec<Tensor>, Refusal>,
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

impl WriteTap<'_> {
    /// Whether every input still contains the written value: two inputs may share memory.
    pub(super) fn holds(&self, inputs: &[TensorRef<'_>]) -> bool {
        inputs.iter().zip(self.inputs).all(|(input, operand)| match operand {
            Operand::Value(tensor) if !input.is_constant() => {
                input.read().is_ok_and(|read| read.to_bytes() == tensor.to_bytes())
            }
            _ => true,
        })
    }
}

fn fits(input: &TensorRef<'_>, tensor: &Tensor) -> bool {
    input.shape() == tensor.shape() && input.dtype() == Some(tensor.dtype())
}

impl Tap for WriteTap<'_> {
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

/// Rounds every value to 16 bits when it is computed, like an honest 16-bit backend from end to end.
struct HalfTap;

impl Tap for HalfTap {
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
