//! The walk's candidate and reference inside one worker. The candidate is MNN's backend under test. The reference is
//! MNN's CPU, stepped with the candidate operator by operator. Tensors are compared here and dropped. Only
//! measurements leave the worker.

use super::beside::Beside;
use super::session::{Api, MnnSession, Op, Refusal, RunTap, TensorRef};
use super::stepper::Stepper;
use super::taps::Names;
use super::{read_outputs, write_feeds};
use crate::bounds::{Arithmetic, Excess};
use crate::engine::{Backend, MnnTarget, Output, Precision};
use crate::tensor::Tensor;
use crate::walk::{
    Announce, Block, Candidate, Clean, Executed, Operand, Operator, OperatorReference, Unchecked,
};

/// The walk's reference: MNN's CPU in 32 bits, on the same list of operators.
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

/// MNN's backend under test.
pub(super) struct MnnCandidate<'f> {
    pub(super) session: MnnSession,
    pub(super) feeds: &'f [Output],
    open: &'f dyn Fn() -> Result<MnnSession, Refusal>,
}

impl<'f> MnnCandidate<'f> {
    /// A candidate from a session whose shapes fit the feeds. `open` opens a second session of the same kind.
    pub(super) fn new(
        session: MnnSession,
        feeds: &'f [Output],
        open: &'f dyn Fn() -> Result<MnnSession, Refusal>,
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
        observe: &mut dyn FnMut(Executed),
    ) -> Result<Vec<Output>, Refusal> {
        write_feeds(&self.session, self.feeds)?;
        // After a copy to a GPU, a module's inputs look like constants.
        let has_constants = self.session.api() == Api::Session;
        let (names, index, current) = (Names::default(), 0, None);
        let mut tap = CandidateTap { announce, observe, has_constants, names, index, current };
        self.session.run_tapped(&mut tap)?;
        read_outputs(&self.session)
    }
}

/// Shows every operator to the walk, and announces each operator first.
struct CandidateTap<'a, 'c> {
    announce: &'a mut Announce<'c>,
    observe: &'a mut dyn FnMut(Executed),
    /// Whether a tensor that is marked as a constant is a constant.
    has_constants: bool,
    names: Names,
    index: usize,
    current: Option<(Operator, Vec<Operand>, Vec<usize>)>,
}

impl RunTap for CandidateTap<'_, '_> {
    fn before(&mut self, op: &Op, inputs: &[TensorRef<'_>]) -> bool {
        let operator = self.names.operator(op);
        (self.announce)(self.index, &operator);
        let identities = inputs.iter().map(TensorRef::identity).collect();
        let operand = match self.has_constants {
            true => operand,
            false => value,
        };
        self.current = Some((operator, inputs.iter().map(operand).collect(), identities));
        true
    }

    fn after(&mut self, _: &Op, outputs: &[TensorRef<'_>]) -> bool {
        let Some((operator, inputs, identities)) = self.current.take() else { return true };
        let moves = match outputs {
            [output] if operator.op_type == "Raster" => blocks(output, &identities),
            _ => None,
        };
        (self.observe)(Executed {
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

/// An operator's input in the form of the walk.
pub(super) fn operand(input: &TensorRef<'_>) -> Operand {
    if input.is_constant() {
        return Operand::Constant;
    }
    value(input)
}

fn value(input: &TensorRef<'_>) -> Operand {
    input.read().map_or_else(Operand::Unreadable, Operand::Value)
}

/// The blocks that a Raster copies; `None` if the blocks do not name their inputs.
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

/// The network with the weights of the ONNX file, if the network under test has different weights. One stepper runs
/// on the candidate's inputs, the other on its own.
pub(super) struct Full {
    follow: Stepper,
    clean: Stepper,
}

impl Full {
    /// Takes two sessions of that network.
    pub(super) fn new(follow: MnnSession, clean: MnnSession) -> Result<Self, Refusal> {
        Ok(Full { follow: Stepper::new(follow)?, clean: Stepper::new(clean)? })
    }
}

impl<'f> MnnReference<'f> {
    /// Takes three sessions: one on the candidate's inputs, the same with 16-bit weights, and one on its own inputs.
    pub(super) fn new(
        follow: MnnSession,
        half: MnnSession,
        clean: MnnSession,
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

impl OperatorReference for MnnReference<'_> {
    fn restart(&mut self) -> Result<(), Refusal> {
        self.beside.restart();
        if let Some(full) = &mut self.full {
            full.clean.restart(self.feeds)?;
        }
        self.clean.restart(self.feeds)
    }

    fn complete(&mut self) -> Result<Vec<Output>, Refusal> {
        self.clean.complete()
    }

    fn half_outputs(&mut self) -> Result<Vec<Output>, Refusal> {
        self.half.half_outputs()
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
        let conversion =
            outputs.first().and_then(|clean| self.beside.error_summary(operator, clean));
        let full =
            self.full.as_mut().and_then(|full| full.clean.advance(operator).ok()?.outputs.ok());
        let mut clean = Clean {
            inputs: tap.inputs,
            outputs,
            conversion,
            kernel: None,
            full: full.unwrap_or_default(),
        };
        if conversion.is_some_and(|error_summary| !error_summary.within_f32) {
            clean.kernel = self.beside.kernel(&operator.name, &clean, &tap.constants);
        }
        Ok(clean)
    }
}
