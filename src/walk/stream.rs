//! The reference's values at any position of a network, computed forward once from a kept position.

use crate::engine::NodeSteps;
use crate::graph::ValueName;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// The change to every constant and every value when it is computed.
pub(super) type ValueChange = fn(&Tensor) -> Tensor;

/// A stream that can go back to a kept position.
pub(super) struct Stream {
    steps: NodeSteps,
    change: ValueChange,
    /// The number of completed steps.
    done: usize,
    kept: (usize, BTreeMap<String, Tensor>),
}

impl Stream {
    /// A stream at its start.
    pub(super) fn new(
        mut steps: NodeSteps,
        feeds: &[Feed],
        change: ValueChange,
    ) -> Result<Self, String> {
        steps.start(feeds)?;
        let kept = (0, steps.values().clone());
        Ok(Stream { steps, change, done: 0, kept })
    }

    /// Moves to the position after `count` steps.
    pub(super) fn go_to(&mut self, count: usize) -> Result<(), String> {
        if count < self.done {
            let (done, values) = &self.kept;
            self.done = *done;
            self.steps.resume(values.clone());
        }
        for step in self.done..count {
            self.steps.advance(step, &self.change)?;
            self.done = step + 1;
        }
        Ok(())
    }

    /// Keeps this position. The caller never asks for an earlier position again.
    pub(super) fn keep(&mut self) {
        self.kept = (self.done, self.steps.values().clone());
    }

    /// A value that is alive at this position, or that depends on no input.
    pub(super) fn value(&self, name: &ValueName) -> Result<Tensor, String> {
        let constant = || Some((self.change)(&*self.steps.constant(name.as_str())?));
        let value = self.steps.value(name.as_str()).cloned().or_else(constant);
        value.ok_or_else(|| format!("the reference has no value {name} there"))
    }
}
