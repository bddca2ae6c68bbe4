//! The errors of a cut.

use super::{ModelError, ValueName};
use std::fmt;
use thiserror::Error;

/// A cut that cannot be made.
#[derive(Debug, Error)]
pub enum CutError {
    /// No value and no node has that name.
    #[error("cut at `{name}`: the model has no value and no node of that name")]
    Unknown {
        /// The given name.
        name: String,
        /// The most similar name.
        closest: Option<String>,
        /// The model's outputs.
        outputs: Vec<ValueName>,
    },
    /// The value exists, but only inside a branch or a loop's body.
    #[error("cut at `{name}`: that value exists only inside a subgraph of node `{node}`")]
    InSubgraph {
        /// The given name.
        name: String,
        /// The node that holds the subgraph.
        node: String,
    },
    /// Several nodes have the name.
    #[error("cut at `{name}`: {} nodes have that name", values.len())]
    Ambiguous {
        /// The given name.
        name: String,
        /// The first output of each node.
        values: Vec<ValueName>,
    },
    /// The cut names no output.
    #[error("cut the model: no value is named to become an output")]
    NoOutput,
    /// A value is named twice.
    #[error("cut at `{name}`: it is named twice")]
    Twice {
        /// The value.
        name: ValueName,
    },
    /// An output needs no node.
    #[error("cut to `{name}`: it needs no node, {what}")]
    NothingToCompute {
        /// The requested output.
        name: ValueName,
        /// Why no node is needed.
        what: &'static str,
    },
    /// A new input that no output needs.
    #[error("cut from `{name}`: {why}")]
    UnusedBoundary {
        /// The new input.
        name: ValueName,
        /// Why no output needs the input.
        why: Unused,
    },
    /// The file with a tensor's bytes is missing or too short.
    #[error("put the model into one piece: of tensor `{tensor}`, {reason}")]
    ExternalData {
        /// The tensor whose bytes are missing.
        tensor: String,
        /// The problem.
        reason: String,
    },
    /// The cut model exceeds the 2 GB limit of protobuf messages.
    #[error(
        "put the model into one piece: {bytes} bytes are more than the 2 GB an ONNX file can have"
    )]
    TooLarge {
        /// The size of the cut model in bytes.
        bytes: u64,
    },
    /// The remaining parts are not a usable model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Why no output needs a new input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unused {
    /// The input is computed from an output.
    After {
        /// The output.
        to: ValueName,
    },
    /// No output depends on the input.
    Unrelated,
    /// Every path from the input to the outputs passes other new inputs or constants.
    Covered {
        /// The other new inputs and constants.
        others: Vec<ValueName>,
    },
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unused::After { to } => write!(f, "it comes after `{to}`, where the cut ends"),
            Unused::Unrelated => f.write_str("no output of the cut depends on it"),
            Unused::Covered { others } => {
                write!(f, "no output needs it in addition to {}", quoted(others))
            }
        }
    }
}

impl CutError {
    /// The advice for the user.
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
                "put the data file into the model's folder; both were written together".to_owned()
            }
            CutError::TooLarge { .. } => "cut a smaller part, with `--from VALUE`".to_owned(),
            CutError::Model(error) => return error.hint(),
        })
    }
}

/// The names as a list in a sentence; a long list is shortened.
fn quoted(names: &[ValueName]) -> String {
    const MOST: usize = 8;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > MOST { ", ..." } else { "" };
    shown.join(", ") + more
}

impl From<CutError> for std::io::Error {
    fn from(error: CutError) -> Self {
        std::io::Error::other(error.to_string())
    }
}
