//! MNN's CPU, one operator at a time: in the order of the network, or on any inputs.

use super::lockstep::Lockstep;
use super::session::{Api, MnnSession, Op, Refusal, RunTap, TensorRef};
use super::taps::{HalfTap, Names, ReadTap, WriteTap};
use super::{read_outputs, write_feeds};
use crate::engine::Output;
use crate::tensor::Tensor;
use crate::walk::{Operand, Operator, Unchecked};
use std::collections::BTreeMap;

/// A network that is stepped operator by operator.
pub(super) enum Stepper {
    /// A session, which has a list of commands.
    Commands(Commands),
    /// A module, which chooses the next operator as it runs.
    Lockstep(Lockstep),
}

impl Stepper {
    /// Numbers the operators of a network, which already contains its feeds.
    pub(super) fn new(session: MnnSession) -> Result<Self, Refusal> {
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
    session: MnnSession,
    numbers: BTreeMap<(String, usize), usize>,
    /// If the session is stepped in order, all operators before this one have run.
    cursor: usize,
}

impl Commands {
    /// Numbers the operators of a session.
    fn new(mut session: MnnSession) -> Result<Self, Refusal> {
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

impl RunTap for Silent {
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

impl RunTap for ListTap {
    fn before(&mut self, op: &Op, _: &[TensorRef<'_>]) -> bool {
        let operator = self.names.operator(op);
        self.numbers.insert((operator.name, operator.occurrence), self.number);
        false
    }
    fn after(&mut self, _: &Op, _: &[TensorRef<'_>]) -> bool {
        true
    }
}
