//! An input of an operator that chooses.

use crate::tensor::Tensor;

/// A value behind a choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Fed {
    /// The reference's tensor.
    pub tensor: Tensor,
    /// Whether nodes computed the value. Other values are the same on both sides, unless storing rounds them.
    pub is_computed: bool,
}
