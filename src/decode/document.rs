//! What decoding found, as saved.

use super::error::{DECODE_SCHEMA, DecodeError};
use super::figures::TokenFigures;
use crate::engine::{Outcome, RanOn};
use crate::matrix::CellSource;
use crate::tensor::Digest;
use crate::verdict::{Kind, exit_code};
use serde::{Deserialize, Serialize};

/// What decoding found for each target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decode {
    /// [`DECODE_SCHEMA`].
    pub schema: String,
    /// The version of offby that wrote the file.
    pub made_by: String,
    /// The network.
    pub model: DecoderFacts,
    /// The reference, as `--reference` names it.
    pub reference: String,
    /// Why the reference is not the target that the user asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_note: Option<String>,
    /// The tokens of the prompt.
    pub prompt: Vec<i64>,
    /// The tokens that the reference continues with. Every target was fed these.
    pub tokens: Vec<i64>,
    /// The inputs and outputs that go from one step to the next.
    pub states: Vec<StateFacts>,
    /// The rows of every map: states by layer, and the scores last.
    pub rows: Vec<RowFacts>,
    /// Whether the user ended the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The targets, in the order given.
    pub targets: Vec<DecodeLane>,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecoderFacts {
    /// Its file.
    pub path: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The number of nodes in its graph.
    pub nodes: usize,
    /// The number of words.
    pub vocabulary: usize,
}

/// A state: an output that is an input of the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFacts {
    /// The input.
    pub input: String,
    /// The output.
    pub output: String,
    /// The axis that grows, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<usize>,
}

/// A row of a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFacts {
    /// The layer; absent for the scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// `key`, `value`, `state` or `logits`.
    pub role: String,
    /// The output.
    pub output: String,
}

/// One target over all steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecodeLane {
    /// The target as `--on` names it.
    pub target: String,
    /// Whether the target is a simulated device with planted faults.
    pub simulated: bool,
    /// What really ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_on: Option<RanOn>,
    /// The storage format that the target declares, if it is narrower than the network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    /// The relative error from which on a row of the map is drawn as wrong.
    pub limit: f64,
    /// The steps, in order.
    pub steps: Vec<DecodeStep>,
    /// The first step that is wrong, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// The words that the target chooses by itself, with `--free`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<Vec<i64>>,
    /// The kind of the verdict.
    pub kind: Kind,
    /// The verdict in a sentence.
    pub sentence: String,
}

/// One step of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecodeStep {
    /// The number of tokens before the step.
    pub past: usize,
    /// The tokens that were fed.
    pub fed: Vec<i64>,
    /// How the run ended.
    pub outcome: Outcome,
    /// The reason, if it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the state before the step is the reference's, because the target has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lent: bool,
    /// The verdict on the step alone: the reference was fed the target's own state.
    pub kind: Kind,
    /// That verdict in a sentence.
    pub sentence: String,
    /// The scores for the next token against the reference's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenFigures>,
    /// The relative L2 error that the step introduced, for each row of the map.
    pub introduced: Vec<RelativeError>,
    /// The relative L2 error against the reference's own run, for each row of the map.
    pub accumulated: Vec<RelativeError>,
}

/// A relative L2 error; infinite if the values cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RelativeError(#[serde(with = "crate::compare::number")] pub f64);

/// Where a target parts from the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The step, from 0.
    pub step: usize,
    /// The number of tokens before the step.
    pub past: usize,
    /// The layer of the first wrong state, or of the first operator to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// The operators that introduce the error, if the step was walked.
    pub sources: Vec<CellSource>,
    /// What the pattern over layers, positions and steps says.
    pub signs: Vec<String>,
    /// The verdict of the walk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walked: Option<String>,
}

impl Decode {
    /// The exit code: 0 if all targets agree, 1 if one is wrong, 3 if a step was not compared.
    pub fn exit_code(&self) -> u8 {
        exit_code(self.targets.iter().map(|lane| lane.kind))
    }
}

impl DecodeLane {
    /// The first step whose token differs from the reference's.
    pub fn first_flip(&self) -> Option<usize> {
        self.steps.iter().position(|step| step.token.is_some_and(|token| token.flip.is_some()))
    }

    /// The tokens, one for each step that was compared.
    pub fn tokens(&self) -> impl Iterator<Item = &TokenFigures> {
        self.steps.iter().filter_map(|step| step.token.as_ref())
    }
}

/// The part of a file that is read first.
#[derive(Deserialize)]
struct DecodeHead {
    #[serde(default)]
    schema: String,
}

/// Reads a saved result from `text`, the content of `file`.
///
/// # Errors
/// If the text is no JSON, has a different schema, or lacks a field that the schema demands.
pub fn read_decode(file: &str, text: &str) -> Result<Decode, DecodeError> {
    let json = |source| DecodeError::Json { file: file.to_owned(), source };
    let DecodeHead { schema } = serde_json::from_str(text).map_err(json)?;
    if schema != DECODE_SCHEMA {
        return Err(DecodeError::Schema { file: file.to_owned(), schema });
    }
    serde_json::from_str(text).map_err(json)
}
