//! How the operators of a target were compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a walk came to its measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Strategy {
    /// One run of the target, with each operator compared on the target's own inputs.
    Follow,
    /// Truncated networks, by bisection.
    Cut,
    /// Each node as a network of its own.
    Isolate,
    /// The reference alone, step by step.
    Reference,
    /// The tensors that another tool dumped.
    Dump,
}

impl Strategy {
    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Follow => "follow",
            Strategy::Cut => "cut",
            Strategy::Isolate => "isolate",
            Strategy::Reference => "reference",
            Strategy::Dump => "dump",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
