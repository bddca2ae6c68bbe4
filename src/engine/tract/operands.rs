//! The operands of one node.

use crate::tensor::Tensor;
use std::collections::BTreeSet;

/// The operands of a node: fed values, and constants of its model.
#[derive(Debug, Default)]
pub(super) struct Operands<'s> {
    pub(super) names: BTreeSet<&'s str>,
    pub(super) fed: Vec<(&'s str, Tensor)>,
    pub(super) kept: Vec<(&'s str, Tensor)>,
}
