//! Everything that can be wrong with a cut.

use super::{ModelError, ValueName};
use std::fmt;
use thiserror::Error;

/// A cut that cannot be made.
#[derive(Debug, Error)]
pub enum CutError {
    /// Neither a value nor a node.
    #[error("cut at `{name}`: the model has no value and no node of that name")]
    Unknown {
        /// The name given.
        name: String,
        /// The most similar name.
        closest: Option<String>,
        /// The model's outputs.
        outputs: Vec<ValueName>,
    },
    /// The value exists, but only inside a branch or a loop's body.
    #[error("cut at `{name}`: that value exists only inside a subgraph of node `{node}`")]
    InSubgraph {
        /// The name given.
        name: String,
        /// The node that holds the subgraph.
        node: String,
    },
    /// Several nodes bear the name.
    #[error("cut at `{name}`: {} nodes have that name", values.len())]
    Ambiguous {
        /// The name given.
        name: String,
        /// The first output of each.
        values: Vec<ValueName>,
    },
    /// No output was asked for.
    #[error("cut the model: no value is named to become an output")]
    NoOutput,
    /// A value is named twice.
    #[error("cut at `{name}`: it is named twice")]
    Twice {
        /// The value.
        name: ValueName,
    },
    /// An output needs no node.
    #[error("cut to `{name}`: there is nothing to compute, {what}")]
    NothingToCompute {
        /// The output asked for.
        name: ValueName,
        /// Why no node is needed.
        what: &'static str,
    },
    /// A new input that no output needs.
    #[error("cut from `{name}`: {why}")]
    UnusedBoundary {
        /// The new input.
        name: ValueName,
        /// Why it is not needed.
        why: Unused,
    },
    /// A tensor's bytes lie in a file that is not there, or too short.
    #[error("put the model into one piece: of tensor `{tensor}`, {reason}")]
    ExternalData {
        /// The tensor whose bytes are missing.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// Protobuf messages end at 2 GB.
    #[error(
        "put the model into one piece: {bytes} bytes are more than the 2 GB an ONNX file can have"
    )]
    TooLarge {
        /// What the cut model would take.
        bytes: u64,
    },
    /// What is left is no model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Why no output needs a new input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unused {
    /// It is computed from an output.
    After {
        /// That output.
        to: ValueName,
    },
    /// No output depends on it.
    Unrelated,
    /// All ways from it to the outputs pass other new inputs or constants.
    Covered {
        /// Those.
        others: Vec<ValueName>,
    },
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unused::After { to } => write!(f, "it comes after `{to}`, where the cut ends"),
            Unused::Unrelated => f.write_str("no output of the cut depends on it"),
            Unused::Covered { others } => {
                write!(f, "no output needs it beside {}", quoted(others))
            }
        }
    }
}

impl CutError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            CutError::Unknown { closest: Some(closest), .. } => {
                format!("did you mean `{closest}`?")
            }
            CutError::Unknown { outputs, .. } => {
                format!("name a value or a node; the model's outputs are: {}", quoted(outputs))
            }
            CutError::InSubgraph { node, .. } => {
                format!("cut at an output or an input of `{node}`")
            }
            CutError::Ambiguous { values, .. } => {
                format!("name the value instead, one of: {}", quoted(values))
            }
            CutError::NoOutput => "name at least one value with `--to VALUE`".to_owned(),
            CutError::Twice { .. } => "name it once".to_owned(),
            CutError::NothingToCompute { .. } => "cut to a value that a node computes".to_owned(),
            CutError::UnusedBoundary { why: Unused::After { .. }, .. } => {
                "exchange `--from` and `--to`, or name an earlier value".to_owned()
            }
            CutError::UnusedBoundary { .. } => "leave that `--from` out".to_owned(),
            CutError::ExternalData { .. } => {
                "put the data file beside the model; it was written together with it".to_owned()
            }
            CutError::TooLarge { .. } => "cut a smaller part, with `--from VALUE`".to_owned(),
            CutError::Model(error) => return error.hint(),
        })
    }
}

/// Names as a sentence lists them; not all of very many.
fn quoted(names: &[ValueName]) -> String {
    const MOST: usize = 8;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > MOST { ", ..." } else { "" };
    shown.join(", ") + more
}
