//! One step, ready to run: the network with the step's shapes, and the feeds.

use super::decoder::Decoder;
use crate::engine::{Output, Request};
use crate::graph::{Model, ValueName};
use crate::inputs::{Feed, shapes_of};
use crate::session::Failure;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::time::Duration;

/// One step, ready to run.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) model: Model,
    pub(super) feeds: Vec<Feed>,
    pub(super) fed: Vec<i64>,
    pub(super) past: usize,
}

impl Moment {
    pub(super) fn request(&self, deadline: Duration) -> Request<'_> {
        Request { model: &self.model, feeds: &self.feeds, repeats: 1, deadline }
    }

    /// Whether two steps feed the same bytes.
    pub(super) fn is_same(&self, other: &Moment) -> bool {
        self.feeds.len() == other.feeds.len()
            && self.feeds.iter().zip(&other.feeds).all(|(a, b)| a.digest == b.digest)
    }

    /// The memory that the feeds take.
    pub(super) fn size(&self) -> usize {
        self.feeds.iter().map(|feed| feed.tensor.len() * feed.tensor.dtype().size()).sum()
    }

    pub(super) fn tensors(&self) -> Vec<(ValueName, Tensor)> {
        self.feeds.iter().map(|feed| (feed.name.clone(), feed.tensor.clone())).collect()
    }

    /// The same step with a different tensor for one input.
    pub(super) fn with(&self, name: &ValueName, tensor: Tensor) -> Moment {
        let mut changed = self.clone();
        for feed in changed.feeds.iter_mut().filter(|feed| feed.name == *name) {
            *feed = Feed::new(name.clone(), "given", tensor.clone());
        }
        changed
    }
}

impl Decoder<'_> {
    /// The step that feeds these tokens after `past` earlier ones.
    pub(super) fn moment(
        &self,
        fed: &[i64],
        past: usize,
        state: &[Tensor],
    ) -> Result<Moment, Failure> {
        let feeds = self.interface.feeds(self.model, fed, past, state);
        let mut model = self.model.clone();
        model.fix_shapes(&shapes_of(&feeds))?;
        Ok(Moment { model, feeds, fed: fed.to_vec(), past })
    }
}

/// The outputs of a run by their names.
pub(super) fn by_name(outputs: &[Output]) -> BTreeMap<ValueName, Tensor> {
    outputs.iter().map(|output| (output.name.clone(), output.tensor.clone())).collect()
}
