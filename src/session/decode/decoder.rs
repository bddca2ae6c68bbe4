//! A decoder with its engines, and what decoding found.

use crate::decode::{DecodeLane, Interface};
use crate::engine::Target;
use crate::graph::{Model, ValueName};
use crate::session::{Registry, Settings};
use crate::tensor::Tensor;
use std::time::Duration;

/// A decoder with its engines.
pub struct Decoder<'a> {
    /// The network, with the shapes that its file declares.
    pub model: &'a Model,
    /// Its inputs and outputs.
    pub interface: &'a Interface,
    /// The engines.
    pub registry: &'a Registry,
    /// The reference.
    pub reference: Target,
    /// The longest that one step may take.
    pub deadline: Duration,
    /// The user's settings.
    pub settings: Settings,
    /// Whether the wrong step is walked.
    pub walks: bool,
    /// Whether each target also continues by its own tokens.
    pub free: bool,
}

/// What decoding found.
pub struct Decoded {
    /// The reference's tokens after the prompt.
    pub tokens: Vec<i64>,
    /// The reference that ran, and why it is not the one that the user asked for.
    pub reference: (Target, Option<String>),
    /// The targets, in the order given.
    pub lanes: Vec<DecodeLane>,
    /// For each target, the feeds of its wrong step, if it has one.
    pub parted: Vec<Option<Vec<(ValueName, Tensor)>>>,
}
