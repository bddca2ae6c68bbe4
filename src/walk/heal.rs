//! Healing: a run of the candidate in which chosen operators are computed elsewhere, on the candidate's own
//! inputs, and their outputs written back. All else stays as it is.

use super::conduct::Announce;
use super::contract::{Block, Candidate, Operand, Operator, Unchecked};
use super::movement;
use crate::engine::Output;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A candidate of which chosen operators can be computed in its place.
pub trait Healable: Candidate {
    /// Runs; what the healer wants is skipped, and what it gives is written instead. Nothing else is read.
    ///
    /// # Errors
    /// Why it refused.
    fn run_healed(
        &mut self,
        announce: &mut Announce<'_>,
        healer: &mut Healer<'_>,
    ) -> Result<Vec<Output>, String>;

    /// The number that the engine's own sources give an operator type, where they number them.
    fn type_number(&self, op_type: &str) -> Option<i32> {
        let _ = op_type;
        None
    }
}

/// What travels between the device and the CPU in one healed run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfers {
    /// Tensors.
    pub tensors: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Computes an operator on any inputs: on the CPU, or on the same device with more precision.
pub type Compute<'a> = dyn FnMut(&Operator, &[Operand]) -> Result<Vec<Tensor>, Unchecked> + 'a;

/// Computes the chosen operators of one run.
pub struct Healer<'r> {
    compute: &'r mut Compute<'r>,
    chosen: &'r BTreeSet<usize>,
    /// Values it gave that the device has not computed: between two healed operators nothing travels.
    given: BTreeSet<String>,
    transfers: Transfers,
    failed: Option<String>,
}

impl<'r> Healer<'r> {
    /// A healer of the operators at these places in the order of execution.
    pub(super) fn new(compute: &'r mut Compute<'r>, chosen: &'r BTreeSet<usize>) -> Self {
        Healer {
            compute,
            chosen,
            given: BTreeSet::new(),
            transfers: Transfers::default(),
            failed: None,
        }
    }

    /// Whether the operator at this place is to be computed here.
    pub fn wants(&self, index: usize) -> bool {
        self.chosen.contains(&index)
    }

    /// The operator's outputs on these inputs; `None` where it cannot be computed, and the device must.
    pub fn heal(&mut self, operator: &Operator, inputs: &[Operand]) -> Option<Vec<Tensor>> {
        match (self.compute)(operator, inputs) {
            Ok(outputs) => Some(outputs),
            Err(reason) => {
                self.fail(&operator.name, &reason);
                None
            }
        }
    }

    /// The output of an operator that moves these blocks of its inputs, in this shape.
    pub fn heal_moves(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
        blocks: &[Block],
        shape: &[usize],
    ) -> Option<Tensor> {
        match movement::apply(blocks, inputs, shape) {
            Ok(moved) => Some(moved),
            Err(reason) => {
                self.fail(&operator.name, &reason);
                None
            }
        }
    }

    /// Counts what an operator computed here reads from the device, and takes note of what it writes; values
    /// are told apart by any names the engine has for them.
    pub fn count<'t>(
        &mut self,
        reads: impl Iterator<Item = (String, &'t Tensor)>,
        writes: impl Iterator<Item = (String, &'t Tensor)>,
    ) {
        for (name, tensor) in reads {
            if !self.given.contains(&name) {
                self.carry(tensor);
            }
        }
        for (name, tensor) in writes {
            self.given.insert(name);
            self.carry(tensor);
        }
    }

    /// An operator that could not be computed here, or whose output could not be written.
    pub fn fail(&mut self, operator: &str, reason: &str) {
        self.failed.get_or_insert_with(|| format!("{operator}: {reason}"));
    }

    fn carry(&mut self, tensor: &Tensor) {
        self.transfers.tensors += 1;
        self.transfers.bytes += (tensor.len() * tensor.dtype().size()) as u64;
    }

    /// What travelled, or why some operator was not computed here.
    pub(super) fn finish(self) -> Result<Transfers, String> {
        self.failed.map_or(Ok(self.transfers), Err)
    }
}
