//! Runs of MNN's backend with chosen operators computed elsewhere and written back.

use super::follow::{MnnCandidate, blocks, operand};
use super::session::{Op, Refusal, RunTap, TensorRef, type_number};
use super::stepper::Stepper;
use super::taps::Names;
use super::{read_outputs, write_feeds};
use crate::engine::Output;
use crate::tensor::Tensor;
use crate::walk::{Announce, Operand, Operator, Overridable, Overrides, Unchecked};

impl Overridable for MnnCandidate<'_> {
    fn run_overridden(
        &mut self,
        announce: &mut Announce<'_>,
        overrides: &mut Overrides<'_>,
    ) -> Result<Vec<Output>, Refusal> {
        write_feeds(&self.session, self.feeds)?;
        let (names, pending) = (Names::default(), Pending::Nothing);
        let mut tap = OverrideTap { announce, overrides, names, index: 0, pending };
        self.session.run_tapped(&mut tap)?;
        read_outputs(&self.session)
    }

    fn type_number(&self, op_type: &str) -> Option<i32> {
        type_number(op_type)
    }
}

/// The same operators in a separate session, on any inputs.
pub(super) struct Elsewhere(Stepper);

impl Elsewhere {
    /// Takes a session whose shapes fit the feeds.
    pub(super) fn new(session: super::session::MnnSession) -> Result<Self, Refusal> {
        Stepper::new(session).map(Elsewhere)
    }

    /// An operator's outputs on these inputs.
    pub(super) fn compute(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked> {
        self.0.compute(operator, inputs)
    }
}

/// Skips the operators that are overridden, and writes the outputs computed elsewhere.
struct OverrideTap<'a, 'c, 'h, 'r> {
    announce: &'a mut Announce<'c>,
    overrides: &'h mut Overrides<'r>,
    names: Names,
    index: usize,
    pending: Pending,
}

/// An operator that was skipped.
enum Pending {
    /// No operator was skipped.
    Nothing,
    /// The skipped operator and its outputs.
    Computed(Operator, Vec<Tensor>),
    /// A skipped Raster, whose output names the blocks that it moves.
    Moves(Operator, Vec<Operand>, Vec<usize>),
}

impl RunTap for OverrideTap<'_, '_, '_, '_> {
    fn before(&mut self, op: &Op, inputs: &[TensorRef<'_>]) -> bool {
        let operator = self.names.operator(op);
        (self.announce)(self.index, &operator);
        let wanted = self.overrides.wants(self.index);
        self.index += 1;
        if !wanted {
            return true;
        }
        let operands: Vec<Operand> = inputs.iter().map(operand).collect();
        let identities = inputs.iter().map(TensorRef::identity);
        if operator.op_type == "Raster" {
            self.pending = Pending::Moves(operator, operands, identities.collect());
            return false;
        }
        let Some(outputs) = self.overrides.outputs(&operator, &operands) else { return true };
        count_reads(self.overrides, identities, &operands);
        self.pending = Pending::Computed(operator, outputs);
        false
    }

    fn after(&mut self, _: &Op, outputs: &[TensorRef<'_>]) -> bool {
        let (operator, computed) = match std::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => return true,
            Pending::Computed(operator, computed) => (operator, computed),
            Pending::Moves(operator, inputs, identities) => {
                let moved = self.moved(&operator, &inputs, &identities, outputs);
                (operator, moved.into_iter().collect())
            }
        };
        if computed.len() != outputs.len() {
            let (here, there) = (computed.len(), outputs.len());
            self.overrides.fail(&operator.name, &format!("it gave {here} outputs, not {there}"));
            return true;
        }
        for (output, tensor) in outputs.iter().zip(&computed) {
            if let Err(reason) = output.write(tensor) {
                self.overrides.fail(&operator.name, &reason);
            }
        }
        let identities = outputs.iter().map(|output| output.identity().to_string());
        self.overrides.count(std::iter::empty(), identities.zip(&computed));
        true
    }
}

/// Counts only values, because both sides have the weights.
fn count_reads(
    overrides: &mut Overrides<'_>,
    identities: impl Iterator<Item = usize>,
    operands: &[Operand],
) {
    let reads = identities.zip(operands).filter_map(|(identity, operand)| match operand {
        Operand::Value(tensor) => Some((identity.to_string(), tensor)),
        _ => None,
    });
    overrides.count(reads, std::iter::empty());
}

impl OverrideTap<'_, '_, '_, '_> {
    fn moved(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
        identities: &[usize],
        outputs: &[TensorRef<'_>],
    ) -> Option<Tensor> {
        let [output] = outputs else { return None };
        let Some(blocks) = blocks(output, identities) else {
            self.overrides.fail(&operator.name, "its blocks do not name their inputs");
            return None;
        };
        count_reads(self.overrides, identities.iter().copied(), inputs);
        self.overrides.override_moves(operator, inputs, &blocks, &output.shape())
    }
}
