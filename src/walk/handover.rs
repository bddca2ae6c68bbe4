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
pub(super) struct Written(BTreeMap<Digest, Vec<(String, f64)>>);

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
        let (from, written) = writers
            .iter()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(from, at)| (from.clone(), *at))?;
        (read > TIMES * written).then_some(Handover { from, written, read })
    }

    /// Remembers what an operator wrote.
    pub(super) fn remember(&mut self, name: &str, clean: &Clean, outputs: &[&Tensor]) {
        for (clean, output) in clean.outputs.iter().zip(outputs) {
            if let Some(gauge) = gauge(clean, output) {
                self.0.entry(digest(clean)).or_default().push((name.to_owned(), gauge.rel_l2));
            }
        }
    }
}

fn digest(tensor: &Tensor) -> Digest {
    Digest::of([tensor.to_bytes().as_slice()].into_iter())
}
