//! The walk's candidate and reference inside one worker: MNN's backend under test, and MNN's CPU
//! stepping operator by operator beside it. Tensors are compared here and dropped; only
//! measurements leave.

use super::beside::Beside;
use super::session::{Op, Refusal, Session, Tap, TensorRef};
use super::{read_outputs, write_feeds};
use crate::bounds::{Arithmetic, Excess};
use crate::engine::{Backend, MnnTarget, Output, Precision};
use crate::tensor::Tensor;
use crate::walk::{
    Announce, Block, Candidate, Clean, Executed, Operand, Operator, Reference, Unchecked,
    round_to_f16,
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
        weights: None,
    }
}

/// Numbers operators of one name.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, usize>);

impl Names {
    /// The operator, numbered among those of its name.
    pub(super) fn operator(&mut self, op: &Op) -> Operator {
        let seen = self.0.entry(op.name.clone()).or_default();
        let occurrence = *seen;
        *seen += 1;
        Operator { name: op.name.clone(), occurrence, op_type: op.kind.clone() }
    }
}

/// MNN's backend under test.
pub(super) struct MnnCandidate<'f> {
    pub(super) session: Session,
    pub(super) feeds: &'f [Output],
    open: &'f dyn Fn() -> Result<Session, Refusal>,
}

impl<'f> MnnCandidate<'f> {
    /// A session whose shapes fit the feeds, and how to open another like it.
    pub(super) fn new(
        session: Session,
        feeds: &'f [Output],
        open: &'f dyn Fn() -> Result<Session, Refusal>,
    ) -> Self {
        MnnCandidate { session, feeds, open }
    }
}

impl Candidate for MnnCandidate<'_> {
    fn reopen(&mut self) -> Result<(), Refusal> {
        self.session = (self.open)()?;
        Ok(())
    }

    fn run(&mut self, _: &mut Announce<'_>) -> Result<Vec<Output>, Refusal> {
        write_feeds(&self.session, self.feeds)?;
        self.session.run()?;
        read_outputs(&self.session)
    }

    fn run_tapped(
        &mut self,
        announce: &mut Announce<'_>,
        observe: &mut dyn FnMut(&Executed),
    ) -> Result<Vec<Output>, Refusal> {
        write_feeds(&self.session, self.feeds)?;
        let mut tap =
            CandidateTap { announce, observe, names: Names::default(), index: 0, current: None };
        self.session.run_tapped(&mut tap)?;
        read_outputs(&self.session)
    }
}

/// Shows every operator to the walk, and says before each where it is.
struct CandidateTap<'a, 'c> {
    announce: &'a mut Announce<'c>,
    observe: &'a mut dyn FnMut(&Executed),
    names: Names,
    index: usize,
    current: Option<(Operator, Vec<Operand>, Vec<usize>)>,
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
        (self.observe)(&Executed {
            index: self.index,
            operator,
            backend: outputs.first().map_or("unknown", TensorRef::backend).to_owned(),
            inputs,
            outputs: outputs.iter().map(TensorRef::read).collect(),
            moves,
        });
        self.index += 1;
        true
    }
}

/// An operator's input as the walk has it.
pub(super) fn operand(input: &TensorRef<'_>) -> Operand {
    if input.is_constant() {
        return Operand::Constant;
    }
    input.read().map_or_else(Operand::Unreadable, Operand::Value)
}

/// What a Raster copies; `None` where its blocks do not name their inputs.
pub(super) fn blocks(output: &TensorRef<'_>, inputs: &[usize]) -> Option<Vec<Block>> {
    let regions = output.regions(inputs);
    (!regions.is_empty()).then(|| regions.into_iter().collect::<Option<Vec<Block>>>()).flatten()
}

/// MNN's CPU as the walk's reference.
pub(super) struct MnnReference<'f> {
    follow: Stepper,
    half: Stepper,
    clean: Stepper,
    full: Option<Full>,
    feeds: &'f [Output],
    beside: Beside,
    arithmetic: Arithmetic,
}

/// The network with the weights of the ONNX file, where the one under test has others: on the candidate's
/// inputs, and on its own.
pub(super) struct Full {
    follow: Stepper,
    clean: Stepper,
}

impl Full {
    /// Two sessions of it.
    pub(super) fn new(follow: Session, clean: Session) -> Result<Self, Refusal> {
        Ok(Full { follow: Stepper::new(follow)?, clean: Stepper::new(clean)? })
    }
}

/// A CPU session and the numbers of its operators.
pub(super) struct Stepper {
    session: Session,
    numbers: BTreeMap<(String, usize), usize>,
    /// The operators before this one have run, where it is stepped in order.
    cursor: usize,
}

impl<'f> MnnReference<'f> {
    /// Three sessions: on the candidate's inputs, the same with 16-bit weights, and on its own.
    pub(super) fn new(
        follow: Session,
        half: Session,
        clean: Session,
        full: Option<Full>,
        feeds: &'f [Output],
        beside: Beside,
        arithmetic: Arithmetic,
    ) -> Result<Self, Refusal> {
        let (follow, half, clean) =
            (Stepper::new(follow)?, Stepper::new(half)?, Stepper::new(clean)?);
        Ok(MnnReference { follow, half, clean, full, feeds, beside, arithmetic })
    }
}

impl Reference for MnnReference<'_> {
    fn restart(&mut self) -> Result<(), Refusal> {
        self.clean.cursor = 0;
        self.beside.restart();
        if let Some(full) = &mut self.full {
            full.clean.cursor = 0;
            write_feeds(&full.clean.session, self.feeds)?;
        }
        write_feeds(&self.clean.session, self.feeds)
    }

    /// Whatever the candidate has no operator for still has to run.
    fn complete(&mut self) -> Result<Vec<Output>, Refusal> {
        self.clean.go_to(self.clean.session.commands())?;
        read_outputs(&self.clean.session)
    }

    fn half_outputs(&mut self) -> Result<Vec<Output>, Refusal> {
        self.half.session.run_tapped(&mut HalfTap)?;
        read_outputs(&self.half.session)
    }

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

    fn recompute_full(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Option<Result<Vec<Tensor>, Unchecked>> {
        self.full.as_mut().map(|full| full.follow.compute(operator, inputs))
    }

    fn arbitrate(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
        clean: &Clean,
        outputs: &[&Tensor],
    ) -> Option<Vec<Tensor>> {
        self.beside.arbitrate(&operator.name, inputs, clean, outputs)
    }

    fn weigh(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
        clean: Option<&Clean>,
        _: &[Tensor],
        outputs: &[&Tensor],
    ) -> Option<Excess> {
        self.beside.weigh(&operator.name, inputs, clean?, outputs, &self.arithmetic)
    }

    fn advance(&mut self, operator: &Operator) -> Result<Clean, Unchecked> {
        let tap = self.clean.advance(operator)?;
        let outputs = tap.outputs?;
        let conversion = outputs.first().and_then(|clean| self.beside.gauge(&operator.name, clean));
        let full =
            self.full.as_mut().and_then(|full| full.clean.advance(operator).ok()?.outputs.ok());
        let mut clean = Clean {
            inputs: tap.inputs,
            outputs,
            conversion,
            kernel: None,
            full: full.unwrap_or_default(),
        };
        if conversion.is_some_and(|gauge| !gauge.within_f32) {
            clean.kernel = self.beside.kernel(&operator.name, &clean, &tap.constants);
        }
        Ok(clean)
    }
}

impl Stepper {
    /// Numbers the operators of a session.
    pub(super) fn new(mut session: Session) -> Result<Self, Refusal> {
        let mut list = ListTap::default();
        for number in 0..session.commands() {
            list.number = number;
            session.step(number, &mut list)?;
        }
        Ok(Stepper { session, numbers: list.numbers, cursor: 0 })
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

    /// Goes on in order up to this operator, and reads it.
    fn advance(&mut self, operator: &Operator) -> Result<ReadTap, Unchecked> {
        let number = self.number(operator)?;
        if number < self.cursor {
            return Err("the reference runs it in another order".to_owned());
        }
        self.go_to(number)?;
        let mut tap = ReadTap::default();
        self.session.step(number, &mut tap)?;
        self.cursor = number + 1;
        Ok(tap)
    }

    /// An operator's outputs on these inputs.
    pub(super) fn compute(
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
    /// Which of the inputs are constants.
    constants: Vec<bool>,
    outputs: Result<Vec<Tensor>, Refusal>,
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
struct HalfTap;

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
