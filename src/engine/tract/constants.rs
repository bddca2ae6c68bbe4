//! The values of a network that depend on no input.
//!
//! Large initializers are read from the network, or from the file next to it, each time that a node needs them. So
//! there is no second copy of them, and a network of several gigabytes is never in memory as a whole.

use crate::graph::Model;
use crate::tensor::{Dtype, Tensor};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Initializers from this size on stay in the network. To read one takes less time than a node that uses it.
const LARGE: u64 = 1 << 16;

/// The values of a network that depend on no input.
#[derive(Clone)]
pub(super) struct Constants {
    loaded: BTreeMap<String, Tensor>,
    in_model: BTreeSet<String>,
    /// The constants that are stored as integers of 8 bits, and values that are computed from these.
    of_integers: BTreeSet<String>,
}

impl Constants {
    /// The initializers of a network.
    pub(super) fn of(model: &Model) -> Self {
        let in_model = model.large_initializers(LARGE);
        let is_short = |dtype: Dtype| matches!(dtype, Dtype::I8 | Dtype::U8);
        let mut constants = Constants {
            loaded: BTreeMap::new(),
            of_integers: in_model
                .iter()
                .filter(|(_, dtype)| is_short(**dtype))
                .map(|(name, _)| name.to_string())
                .collect(),
            in_model: in_model.keys().map(ToString::to_string).collect(),
        };
        for (name, tensor) in model.chosen_initializers(&|name| !in_model.contains_key(name)) {
            if is_short(tensor.dtype()) {
                constants.of_integers.insert(name.to_string());
            }
            constants.loaded.insert(name.to_string(), tensor);
        }
        constants
    }

    /// Whether a value is one of these.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.loaded.contains_key(name) || self.in_model.contains(name)
    }

    /// A value. The model reads it if it is not kept here; a file that is gone has no value.
    pub(super) fn get<'c>(&'c self, name: &str, model: &Model) -> Option<Cow<'c, Tensor>> {
        match self.loaded.get(name) {
            Some(tensor) => Some(Cow::Borrowed(tensor)),
            None if self.in_model.contains(name) => {
                Some(Cow::Owned(model.constant(&name.into()).ok()??))
            }
            None => None,
        }
    }

    /// Whether a value is stored as integers of 8 bits, or computed from such values.
    pub(super) fn is_of_integers(&self, name: &str) -> bool {
        self.of_integers.contains(name)
    }

    /// Adds values that were computed from constants of these names.
    pub(super) fn compute(&mut self, from: &[String], names: &[String], tensors: Vec<Tensor>) {
        if from.iter().any(|name| self.of_integers.contains(name)) {
            self.of_integers.extend(names.iter().cloned());
        }
        self.loaded.extend(names.iter().cloned().zip(tensors));
    }

    /// Replaces a value.
    pub(super) fn replace(&mut self, name: &str, tensor: Tensor) {
        self.in_model.remove(name);
        self.loaded.insert(name.to_owned(), tensor);
    }
}
