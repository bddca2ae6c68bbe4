//! Values that are others when they are read than when they were written: memory that was used twice, or never
//! copied. No operator is wrong on what it reads then.

use super::contract::{Clean, Executed, Operand};
use super::gauge::gauge;
use crate::tensor::{Digest, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An input that is not what was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// The operator that wrote it.
    pub from: String,
    /// Its relative L2 error when it was written.
    pub written: f64,
    /// The same when it was read.
    pub read: f64,
}

/// A read value is off by more than what a 16-bit storage costs, and by so many times what it was when it was
/// written: a copy between devices may round once, and no more.
const READ: f64 = 1e-2;
const TIMES: f64 = 100.0;

/// What was written so far, by the clean value: the clean stream has each value at both ends.
#[derive(Debug, Default)]
pub(super) struct Written(BTreeMap<Digest, Vec<Writer>>);

/// An operator that wrote a value.
#[derive(Debug)]
struct Writer {
    name: String,
    /// Its place among those that were measured.
    at: usize,
    error: f64,
    /// Whether the value tells nothing: all elements are equal, or it is one of the operator's own inputs.
    is_common: bool,
}

impl Written {
    /// The worst input of an operator that is not what any operator wrote.
    pub(super) fn changed(&self, clean: &Clean, executed: &Executed) -> Option<Handover> {
        let pairs = clean.inputs.iter().zip(&executed.inputs);
        let changed = pairs.filter_map(|(clean, read)| match (clean, read) {
            (Some(clean), Operand::Value(read)) => self.between(clean, read),
            _ => None,
        });
        changed.reduce(|a, b| if b.read > a.read { b } else { a })
    }

    fn between(&self, clean: &Tensor, read: &Tensor) -> Option<Handover> {
        let error = |clean, found| gauge(clean, found).map(|gauge| gauge.rel_l2);
        let read = error(clean, read).filter(|read| *read > READ)?;
        let writers = self.0.get(&digest(clean))?;
        let writer = writers.iter().max_by(|a, b| a.error.total_cmp(&b.error))?;
        let (from, written) = (writer.name.clone(), writer.error);
        (read > TIMES * written).then_some(Handover { from, written, read })
    }

    /// Operators whose outputs this one reads right, though they were wrong when they were read back: the reading
    /// was, and not the operator.
    pub(super) fn misread(&self, clean: &Clean, executed: &Executed) -> Vec<usize> {
        let pairs = clean.inputs.iter().zip(&executed.inputs);
        let misread = pairs.filter_map(|(clean, read)| match (clean, read) {
            (Some(clean), Operand::Value(read)) => {
                let [Writer { at, error, is_common: false, .. }] = &self.0.get(&digest(clean))?[..]
                else {
                    return None;
                };
                let read = gauge(clean, read)?.rel_l2;
                (*error > READ && *error > TIMES * read).then_some(*at)
            }
            _ => None,
        });
        misread.collect()
    }

    /// Remembers what an operator wrote.
    pub(super) fn remember(&mut self, name: &str, at: usize, clean: &Clean, outputs: &[&Tensor]) {
        let read: Vec<Digest> = clean.inputs.iter().flatten().map(digest).collect();
        for (right, output) in clean.outputs.iter().zip(outputs) {
            if let Some(gauge) = gauge(right, output) {
                let digest = digest(right);
                let is_common = read.contains(&digest) || is_constant(right);
                let (name, error) = (name.to_owned(), gauge.rel_l2);
                self.0.entry(digest).or_default().push(Writer { name, at, error, is_common });
            }
        }
    }
}

fn is_constant(tensor: &Tensor) -> bool {
    let numbers = tensor.numbers(1);
    numbers.iter().all(|number| Some(number) == numbers.first())
}

fn digest(tensor: &Tensor) -> Digest {
    Digest::of([tensor.to_bytes().as_slice()])
}
