//! The walk's candidate and reference inside one worker: MNN's backend under test, and MNN's CPU
//! stepping operator by operator beside it. Tensors are compared here and dropped; only
//! measurements leave.

use super::session::{Op, Refusal, Session, Tap, TensorRef};
use crate::engine::{Backend, MnnTarget, Output, Precision};
use crate::tensor::{Digest, Tensor};
use crate::walk::{
    Block, Clean, Executed, Follow, Operand, Operator, Reference, Unchecked, round_to_f16,
};
use std::collections::BTreeMap;

/// The reference the walk computes with: MNN's CPU in 32 bits, on the same list of operators.
pub(super) fn reference_target() -> MnnTarget {
    MnnTarget {
        backend: Backend::Cpu,
        precision: Precision::High,
        threads: None,
        memory: None,
        tune: None,
    }
}

/// Numbers operators of one name.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, usize>);

impl Names {
    fn operator(&mut self, op: &Op) -> Operator {
        let seen = self.0.entry(op.name.clone()).or_default();
        let occurrence = *seen;
        *seen += 1;
        Operator { name: op.name.clone(), occurrence, op_type: op.kind.clone() }
    }
}

/// The candidate's tap: shows every operator to the walk, and says before each where it is.
pub(super) struct CandidateTap<'a, 'r> {
    /// The walk.
    pub(super) follow: Follow<'r>,
    /// Told of each operator before it runs.
    pub(super) announce: &'a mut dyn FnMut(usize, &Operator),
    names: Names,
    index: usize,
    current: Option<(Operator, Vec<Operand>, Vec<usize>)>,
}

impl<'a, 'r> CandidateTap<'a, 'r> {
    pub(super) fn new(follow: Follow<'r>, announce: &'a mut dyn FnMut(usize, &Operator)) -> Self {
        CandidateTap { follow, announce, names: Names::default(), index: 0, current: None }
    }
}

impl Tap for CandidateTap<'_, '_> {
    fn before(&mut self, op: &Op, inputs: &[TensorRef<'_>]) -> bool {
        let operator = self.names.operator(op);
        (self.announce)(self.index, &operator);
        let identities = inputs.iter().map(TensorRef::identity).collect();
        self.current = Some((operator, inputs.iter().map(operand).collect(), identities));
        true
    }

    fn after(&mut self, _: &Op, outputs: &[TensorRef<'_>]) -> bool {
        let Some((operator, inputs, identities)) = self.current.take() else { return true };
        let moves = match outputs {
            [output] if operator.op_type == "Raster" => blocks(output, &identities),
            _ => None,
        };
        let executed = Executed {
            index: self.index,
            operator,
            backend: outputs.first().map_or("unknown", TensorRef::backend).to_owned(),
            inputs,
            outputs: outputs.iter().map(TensorRef::read).collect(),
            moves,
        };
        self.index += 1;
        self.follow.observe(&executed);
        true
    }
}

fn operand(input: &TensorRef<'_>) -> Operand {
    if input.is_constant() {
        return Operand::Constant;
    }
    input.read().map_or_else(Operand::Unreadable, Operand::Value)
}

/// What a Raster copies; `None` where its blocks do not name their inputs.
fn blocks(output: &TensorRef<'_>, inputs: &[usize]) -> Option<Vec<Block>> {
    let regions = output.regions(inputs);
    (!regions.is_empty()).then(|| regions.into_iter().collect::<Option<Vec<Block>>>()).flatten()
}

/// MNN's CPU as the walk's reference.
pub(super) struct MnnReference {
    follow: Stepper,
    half: Stepper,
    clean: Stepper,
    cursor: usize,
}

/// A CPU session and the numbers of its operators.
struct Stepper {
    session: Session,
    numbers: BTreeMap<(String, usize), usize>,
}

impl MnnReference {
    /// Three sessions: on the candidate's inputs, the same with 16-bit weights, and on its own.
    pub(super) fn new(follow: Session, half: Session, clean: Session) -> Result<Self, Refusal> {
        Ok(MnnReference {
            follow: Stepper::new(follow)?,
            half: Stepper::new(half)?,
            clean: Stepper::new(clean)?,
            cursor: 0,
        })
    }

    /// The clean stream's own session, for its final outputs.
    pub(super) fn clean(&self) -> &Session {
        &self.clean.session
    }

    /// Ends the clean stream: whatever the candidate has no operator for still has to run.
    pub(super) fn complete(&mut self) -> Result<(), Refusal> {
        let all = self.clean.session.commands();
        for number in self.cursor..all {
            self.clean.session.step(number, &mut Silent)?;
        }
        self.cursor = all;
        Ok(())
    }

    /// Sets the clean stream back to its start.
    pub(super) fn restart(&mut self) {
        self.cursor = 0;
    }
}

impl Reference for MnnReference {
    fn recompute(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked> {
        self.follow.compute(operator, inputs)
    }

    fn recompute_half(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked> {
        self.half.compute(operator, inputs)
    }

    fn advance(&mut self, operator: &Operator) -> Result<Clean, Unchecked> {
        let number = self.clean.number(operator)?;
        if number < self.cursor {
            return Err("the reference runs it in another order".to_owned());
        }
        for before in self.cursor..number {
            self.clean.session.step(before, &mut Silent)?;
        }
        let mut tap = ReadTap::default();
        self.clean.session.step(number, &mut tap)?;
        self.cursor = number + 1;
        Ok(Clean { inputs: tap.inputs, outputs: tap.outputs? })
    }
}

impl Stepper {
    fn new(mut session: Session) -> Result<Self, Refusal> {
        let mut list = ListTap::default();
        for number in 0..session.commands() {
            list.number = number;
            session.step(number, &mut list)?;
        }
        Ok(Stepper { session, numbers: list.numbers })
    }

    fn number(&self, operator: &Operator) -> Result<usize, Unchecked> {
        let key = (operator.name.clone(), operator.occurrence);
        self.numbers
            .get(&key)
            .copied()
            .ok_or_else(|| "the reference has no such operator".to_owned())
    }

    fn compute(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked> {
        let number = self.number(operator)?;
        let mut tap = WriteTap { inputs, failed: None, outputs: Ok(Vec::new()) };
        self.session.step(number, &mut tap)?;
        match tap.failed {
            Some(reason) => Err(reason),
            None => tap.outputs,
        }
    }
}

/// Runs an operator without looking.
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
struct ReadTap {
    inputs: Vec<Option<Tensor>>,
    outputs: Result<Vec<Tensor>, Refusal>,
}

impl Default for ReadTap {
    fn default() -> Self {
        ReadTap { inputs: Vec::new(), outputs: Ok(Vec::new()) }
    }
}

impl Tap for ReadTap {
    fn before(&mut self, _: &Op, inputs: &[TensorRef<'_>]) -> bool {
        self.inputs = inputs.iter().map(|input| input.read().ok()).collect();
        true
    }
    fn after(&mut self, _: &Op, outputs: &[TensorRef<'_>]) -> bool {
        self.outputs = outputs.iter().map(TensorRef::read).collect();
        true
    }
}

/// Gives one operator the candidate's inputs and reads what it makes of them.
struct WriteTap<'a> {
    inputs: &'a [Operand],
    failed: Option<String>,
    outputs: Result<Vec<Tensor>, Refusal>,
}

impl WriteTap<'_> {
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

/// Rounds every value to 16 bits as it comes: an honest 16-bit backend from end to end.
pub(super) struct HalfTap;

impl Tap for HalfTap {
    fn before(&mut self, _: &Op, _: &[TensorRef<'_>]) -> bool {
        true
    }
    fn after(&mut self, _: &Op, outputs: &[TensorRef<'_>]) -> bool {
        for output in outputs {
            // A value that cannot be read or written stays as it is: the floor is then lower.
            if let Ok(tensor @ Tensor::F32(_)) = output.read() {
                let _ = output.write(&round_to_f16(&tensor));
            }
        }
        true
    }
}

/// The digest of every operator's outputs, to find the first that differs between two runs.
#[derive(Default)]
pub(super) struct DigestTap {
    names: Names,
    /// Operators and digests, in the order of execution.
    pub(super) digests: Vec<(Operator, Option<Digest>)>,
}

impl Tap for DigestTap {
    fn before(&mut self, op: &Op, _: &[TensorRef<'_>]) -> bool {
        let operator = self.names.operator(op);
        self.digests.push((operator, None));
        true
    }
    fn after(&mut self, _: &Op, outputs: &[TensorRef<'_>]) -> bool {
        let bytes: Vec<Vec<u8>> =
            outputs.iter().filter_map(|output| Some(output.read().ok()?.to_bytes())).collect();
        if let Some((_, digest)) = self.digests.last_mut() {
            *digest = Some(Digest::of(bytes.iter().map(Vec::as_slice)));
        }
        true
    }
}

/// The outputs of a session, by name.
pub(super) fn same_outputs(a: &[Output], b: &[Output]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.tensor.to_bytes() == b.tensor.to_bytes())
}
