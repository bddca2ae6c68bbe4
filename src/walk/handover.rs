//! Values that differ between writing and reading, because memory was used twice or never copied. In that case no
//! operator is wrong on the values it reads.

use super::blind::is_constant;
use super::contract::{Clean, Operand};
use super::error_summary::{ErrorSummary, error_summary};
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

/// The values that an operator reads and writes, as the clean stream has them, and how far the candidate's inputs are
/// from them.
pub(super) struct PassedValues {
    /// The inputs that are values.
    inputs: Vec<PassedInput>,
    outputs: Vec<Fingerprint>,
}

/// An input in the clean stream.
struct PassedInput {
    value: Fingerprint,
    /// The error of what the candidate read; `None` if that is no value, or cannot be compared.
    error: Option<ErrorSummary>,
}

impl PassedValues {
    /// The values of an operator that reads these inputs.
    pub(super) fn of(clean: &Clean, inputs: &[Operand]) -> Self {
        let error = |at: usize, right: &Tensor| match inputs.get(at) {
            Some(Operand::Value(read)) => error_summary(right, read),
            _ => None,
        };
        let value = |(at, right): (usize, &Option<Tensor>)| {
            let right = right.as_ref()?;
            Some(PassedInput { value: Fingerprint::of(right), error: error(at, right) })
        };
        let inputs = clean.inputs.iter().enumerate().filter_map(value).collect();
        PassedValues { inputs, outputs: clean.outputs.iter().map(Fingerprint::of).collect() }
    }

    /// The error that the inputs already had.
    pub(super) fn inherited(&self) -> Option<ErrorSummary> {
        self.inputs.iter().filter_map(|input| input.error).reduce(ErrorSummary::worse)
    }
}

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
    pub(super) fn reads(&mut self, at: usize, passed: &PassedValues) -> Vec<usize> {
        let writer = |input: &PassedInput| self.last.get(&input.value).copied();
        let mut reads: Vec<usize> = passed.inputs.iter().filter_map(writer).collect();
        reads.sort_unstable();
        reads.dedup();
        self.last.extend(passed.outputs.iter().map(|output| (*output, at)));
        reads
    }

    /// The operator's worst input that differs from all written values.
    pub(super) fn changed(&self, passed: &PassedValues) -> Option<Handover> {
        let changed = passed.inputs.iter().filter_map(|input| self.between(input));
        changed.reduce(|a, b| if b.read > a.read { b } else { a })
    }

    fn between(&self, input: &PassedInput) -> Option<Handover> {
        let read = input.error?.rel_l2;
        let writers = self.writers.get(&input.value).filter(|_| read > READ)?;
        let writer = writers.iter().max_by(|a, b| a.error.total_cmp(&b.error))?;
        let (from, written) = (writer.name.clone(), writer.error);
        (read > TIMES * written).then_some(Handover { from, written, read })
    }

    /// Operators whose outputs this operator reads correctly although they were wrong when read back. Then the reading
    /// back was wrong, and not the operator.
    pub(super) fn misread(&self, passed: &PassedValues) -> Vec<usize> {
        let misread = passed.inputs.iter().filter_map(|input| {
            let [Writer { at, error, is_common: false, .. }] = &self.writers.get(&input.value)?[..]
            else {
                return None;
            };
            let read = input.error?.rel_l2;
            (*error > READ && *error > TIMES * read).then_some(*at)
        });
        misread.collect()
    }

    /// Records the outputs that an operator wrote, with the error of each.
    pub(super) fn remember(
        &mut self,
        (name, at): (&str, usize),
        clean: &Clean,
        passed: &PassedValues,
        errors: &[Option<ErrorSummary>],
    ) {
        for ((right, value), error) in clean.outputs.iter().zip(&passed.outputs).zip(errors) {
            if let Some(error) = error {
                let is_read = passed.inputs.iter().any(|input| input.value == *value);
                let is_common = is_read || is_common(right);
                let (name, error) = (name.to_owned(), error.rel_l2);
                self.writers.entry(*value).or_default().push(Writer { name, at, error, is_common });
            }
        }
    }
}

/// Whether all elements are equal, or there is only one.
fn is_common(tensor: &Tensor) -> bool {
    tensor.len() < 2 || is_constant(tensor)
}
