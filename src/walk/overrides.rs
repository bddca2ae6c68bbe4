//! Output overrides: a run of the candidate with chosen operators computed elsewhere. They run on the candidate's own inputs,
//! and their outputs are written back. All else stays unchanged.

use super::contract::Announce;
use super::contract::{Block, Candidate, Operand, Operator, Unchecked};
use super::movement;
use crate::engine::Output;
use crate::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A candidate whose chosen operators can be computed elsewhere.
pub trait Overridable: Candidate {
    /// Runs, and skips the operators that `overrides` wants. The outputs computed there are written instead. No other values
    /// are read.
    ///
    /// # Errors
    /// Returns the reason if the candidate refused to run.
    fn run_overridden(
        &mut self,
        announce: &mut Announce<'_>,
        overrides: &mut Overrides<'_>,
    ) -> Result<Vec<Output>, String>;

    /// An operator type's number in the engine's own sources, if these number the types.
    fn type_number(&self, op_type: &str) -> Option<i32> {
        let _ = op_type;
        None
    }
}

/// The transfers between the device and the CPU in one such run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transfers {
    /// The number of tensors.
    pub tensors: usize,
    /// The number of bytes.
    pub bytes: u64,
}

/// Computes an operator on any inputs: on the CPU, or on the same device with more precision.
pub type Compute<'a> = dyn FnMut(&Operator, &[Operand]) -> Result<Vec<Tensor>, Unchecked> + 'a;

/// Computes the chosen operators of one run.
pub struct Overrides<'r> {
    compute: &'r mut Compute<'r>,
    chosen: &'r BTreeSet<usize>,
    /// Overridden values that the device has not computed. Between two overridden operators no tensor travels.
    given: BTreeSet<String>,
    transfers: Transfers,
    failed: Option<String>,
}

impl<'r> Overrides<'r> {
    /// Overrides the operators at these positions in the order of execution.
    pub(super) fn new(compute: &'r mut Compute<'r>, chosen: &'r BTreeSet<usize>) -> Self {
        Overrides {
            compute,
            chosen,
            given: BTreeSet::new(),
            transfers: Transfers::default(),
            failed: None,
        }
    }

    /// Whether the operator at this position is overridden.
    pub fn wants(&self, index: usize) -> bool {
        self.chosen.contains(&index)
    }

    /// The operator's outputs on these inputs. `None` if they cannot be computed there and the device must.
    pub fn outputs(&mut self, operator: &Operator, inputs: &[Operand]) -> Option<Vec<Tensor>> {
        match (self.compute)(operator, inputs) {
            Ok(outputs) => Some(outputs),
            Err(reason) => {
                self.fail(&operator.name, &reason);
                None
            }
        }
    }

    /// The output, in this shape, of an operator that moves these blocks of its inputs.
    pub fn override_moves(
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

    /// Counts the values that an operator computed here reads from the device, and records the values it writes. Any
    /// names that the engine has for values may identify them.
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

    /// Records an operator that could not be computed here, or whose output could not be written.
    pub fn fail(&mut self, operator: &str, reason: &str) {
        self.failed.get_or_insert_with(|| format!("{operator}: {reason}"));
    }

    fn carry(&mut self, tensor: &Tensor) {
        self.transfers.tensors += 1;
        self.transfers.bytes += (tensor.len() * tensor.dtype().size()) as u64;
    }

    /// The transfers, or the reason why an operator was not computed here.
    pub(super) fn finish(self) -> Result<Transfers, String> {
        self.failed.map_or(Ok(self.transfers), Err)
    }
}
