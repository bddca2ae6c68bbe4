//! Values that differ between writing and reading, because memory was used twice or never copied. In that case no
//! operator is wrong on the values it reads.

use super::blind::is_constant;
use super::contract::{Clean, Executed, Operand};
use super::error_summary::error_summary;
use super::fingerprint::Fingerprint;
use crate::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An input that differs from the written value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Handover {
    /// The operator that wrote the value.
    pub from: String,
    /// The value's relative L2 error when it was written.
    pub written: f64,
    /// The value's relative L2 error when it was read.
    pub read: f64,
}

/// A value has changed if its error when read exceeds `READ`, and also `TIMES` its error when written. `READ` is above
/// the cost of 16-bit storage: a copy between devices may round once, but no more.
const READ: f64 = 1e-2;
const TIMES: f64 = 100.0;

/// The values written so far, keyed by the clean value. The clean stream has each value at both ends.
#[derive(Debug, Default)]
pub(super) struct WrittenValues {
    writers: BTreeMap<Fingerprint, Vec<Writer>>,
    /// The last operator that wrote each value, also if the candidate's own value could not be read.
    last: BTreeMap<Fingerprint, usize>,
}

/// An operator that wrote a value.
#[derive(Debug)]
struct Writer {
    name: String,
    /// The operator's index among the measured operators.
    at: usize,
    error: f64,
    /// Whether the value identifies no writer: all elements are equal, or it is one of the operator's own inputs.
    is_common: bool,
}

impl WrittenValues {
    /// The operators that wrote this operator's inputs. Adds the operator as the last writer of its outputs.
    pub(super) fn reads(&mut self, at: usize, clean: &Clean) -> Vec<usize> {
        let inputs = clean.inputs.iter().flatten();
        let mut reads: Vec<usize> =
            inputs.filter_map(|input| self.last.get(&Fingerprint::of(input)).copied()).collect();
        reads.sort_unstable();
        reads.dedup();
        self.last.extend(clean.outputs.iter().map(|output| (Fingerprint::of(output), at)));
        reads
    }

    /// The operator's worst input that differs from all written values.
    pub(super) fn changed(&self, clean: &Clean, executed: &Executed) -> Option<Handover> {
        let pairs = clean.inputs.iter().zip(&executed.inputs);
        let changed = pairs.filter_map(|(clean, read)| match (clean, read) {
            (Some(clean), Operand::Value(read)) => self.between(clean, read),
            _ => None,
        });
        changed.reduce(|a, b| if b.read > a.read { b } else { a })
    }

    fn between(&self, clean: &Tensor, read: &Tensor) -> Option<Handover> {
        let error =
            |clean, found| error_summary(clean, found).map(|error_summary| error_summary.rel_l2);
        let read = error(clean, read).filter(|read| *read > READ)?;
        let writers = self.writers.get(&Fingerprint::of(clean))?;
        let writer = writers.iter().max_by(|a, b| a.error.total_cmp(&b.error))?;
        let (from, written) = (writer.name.clone(), writer.error);
        (read > TIMES * written).then_some(Handover { from, written, read })
    }

    /// Operators whose outputs this operator reads correctly although they were wrong when read back. Then the reading
    /// back was wrong, and not the operator.
    pub(super) fn misread(&self, clean: &Clean, executed: &Executed) -> Vec<usize> {
        let pairs = clean.inputs.iter().zip(&executed.inputs);
        let misread = pairs.filter_map(|(clean, read)| match (clean, read) {
            (Some(clean), Operand::Value(read)) => {
                let [Writer { at, error, is_common: false, .. }] =
                    &self.writers.get(&Fingerprint::of(clean))?[..]
                else {
                    return None;
                };
                let read = error_summary(clean, read)?.rel_l2;
                (*error > READ && *error > TIMES * read).then_some(*at)
            }
            _ => None,
        });
        misread.collect()
    }

    /// Records the outputs that an operator wrote.
    pub(super) fn remember(&mut self, name: &str, at: usize, clean: &Clean, outputs: &[&Tensor]) {
        let read: Vec<Fingerprint> = clean.inputs.iter().flatten().map(Fingerprint::of).collect();
        for (right, output) in clean.outputs.iter().zip(outputs) {
            if let Some(error_summary) = error_summary(right, output) {
                let value = Fingerprint::of(right);
                let is_common = read.contains(&value) || is_common(right);
                let (name, error) = (name.to_owned(), error_summary.rel_l2);
                self.writers.entry(value).or_default().push(Writer { name, at, error, is_common });
            }
        }
    }
}

/// Whether all elements are equal, or there is only one.
fn is_common(tensor: &Tensor) -> bool {
    tensor.len() < 2 || is_constant(tensor)
}
