//! The result of a walk: the measurements of every operator, and the conclusions from them.

use super::error_summary::ErrorSummary;
use super::handover::Handover;
use super::measured::{MeasuredOp, is_zero};
use super::nonfinite::{Lost, NonfiniteFinding};
use super::role::Role;
use super::sampling::SampledWalk;
use super::search::Answer;
use super::strategy::Strategy;
use crate::bounds::Excess;
use crate::compare::{ErrorProfile, Explanation, Pattern};
use crate::graph::Exported;
use crate::graph::ValueName;
use crate::tensor::Format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One tapped run: every operator, and the storage format that its values show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// Every executed operator.
    pub measured: Vec<MeasuredOp>,
    /// The format the candidate stores.
    pub storage: Format,
    /// The clean stream against itself with 16-bit inputs, weights and outputs throughout. This is the floor of the
    /// final outputs.
    pub final_half: Option<ErrorSummary>,
}

/// Whether the finding can be trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trust {
    /// Runs of the candidate, tapped and untapped.
    pub candidate_runs: usize,
    /// Whether the tapped run's final bytes differ from the untapped runs'.
    pub disturbed_by_taps: bool,
    /// Untapped runs.
    pub repeats: usize,
    /// Whether all untapped runs returned the same bytes.
    pub identical: bool,
    /// If they did not, the first operator whose bytes differ between two tapped runs.
    pub first_unstable: Option<String>,
    /// How many tapped runs showed the sources, and how many there were.
    pub reproduced: (usize, usize),
}

impl Trust {
    /// The trust in one tapped run without any untapped run.
    pub fn of_one_run() -> Self {
        Trust {
            candidate_runs: 1,
            disturbed_by_taps: false,
            repeats: 0,
            identical: true,
            first_unstable: None,
            reproduced: (1, 1),
        }
    }
}

/// An operator that was not compared, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UncheckedOp {
    /// The operator's name.
    pub name: String,
    /// The engine's name for the operator type.
    pub op_type: String,
    /// The reason.
    pub reason: String,
}

impl WalkReport {
    /// Every operator that introduces error, with its ONNX node if that is known.
    pub fn accused(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.sources.iter().map(|source| {
            let op = self.ops.iter().find(|op| op.name == *source);
            (source.as_str(), op.and_then(|op| op.onnx_node.as_deref()))
        })
    }
}

/// One truncation of the network, and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// The last node that the truncation keeps, by its position in the order of evaluation.
    pub at: usize,
    /// That node's label.
    pub node: String,
    /// The values that were the truncation's outputs.
    pub values: Vec<ValueName>,
    /// The truncation's answer.
    pub answer: Answer,
    /// The reason why the answer is unknown, or how the run ended.
    pub reason: Option<String>,
    /// Relative L2 error of the worst output.
    pub cumulative: Option<f64>,
    /// Elements that are NaN or infinite on one side only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disagreeing: u64,
    /// Integers and booleans that differ from the reference's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inexact: u64,
    /// The error that an honest backend with the target's storage would have there.
    pub floor: Option<f64>,
    /// Whether the answer was taken from the journal of an earlier command.
    #[serde(default)]
    pub resumed: bool,
}

/// The result of trying a search's finding again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Confirmation {
    /// One run with every value up to the finding as an output showed operators that introduce error. They are the
    /// finding, or earlier operators whose error is absorbed.
    InPlace,
    /// The node diverges alone, on the reference's values.
    Alone,
    /// The node agrees alone. The truncated network diverged again.
    OnlyInContext,
    /// The node agrees alone, and no truncation diverges. Only the whole network does.
    LostWhenTruncated,
    /// The truncated network agreed when it was run again.
    LostOnRepetition,
    /// The node could not be run alone.
    NotRun {
        /// The reason.
        reason: String,
    },
}

/// One operator in the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct OpReport {
    /// The operator's position in the order of execution.
    pub index: usize,
    /// The operator's name.
    pub name: String,
    /// The engine's name for the operator type.
    pub op_type: String,
    /// The backend that ran it.
    pub backend: String,
    /// The nodes that were compared as one, if a dump shows only the values around them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub piece: Vec<String>,
    /// The values to dump next. Usually they leave at most half of the nodes of a piece that introduces error. In a chain
    /// of nodes one value is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decided_by: Vec<String>,
    /// The operators that wrote its inputs, by their place in this list, if that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<usize>,
    /// The operator's ONNX node, or the span between its nearest named neighbours.
    pub onnx_node: Option<String>,
    /// The module and source line that became the node, if the exporter wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported: Option<Exported>,
    /// Relative L2 error against the clean stream.
    pub cumulative: Option<f64>,
    /// Elements that are NaN or infinite on one side only, or not alike, against the clean stream.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disagreeing: u64,
    /// Relative L2 error of the worst input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<f64>,
    /// Relative L2 error of the clean stream against tract, if the value exists in the ONNX file.
    pub conversion: Option<f64>,
    /// Relative L2 error from the stored weights, if they differ from the original network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightReport>,
    /// Relative L2 error against the reference on the candidate's own inputs.
    pub introduced: Option<f64>,
    /// The elements compared with their bounds, on the same inputs, if bounds are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<Excess>,
    /// Relative L2 error of the engine's own CPU on its own inputs of this operator, if there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<f64>,
    /// Elements that are NaN or infinite on one side only, on the same inputs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub introduced_disagreeing: u64,
    /// Relative L2 distance of the engine's own CPU, if only that CPU is wrong here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<f64>,
    /// Whether `introduced` is the distance from the engine's own CPU, and that CPU's value is wrong. The reference
    /// cannot compute this operator by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_witness: bool,
    /// Relative L2 error that an honest backend with this storage would introduce.
    pub floor: f64,
    /// `introduced` / `floor`.
    pub ratio: Option<f64>,
    /// The operator's role.
    pub role: Role,
    /// Non-finite elements that the operator caused.
    pub nonfinite: Option<NonfiniteFinding>,
    /// Elements that are non-finite in the reference, on the same inputs, and different here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// Non-finite elements that the operator rightly computes from its finite inputs. The inputs are to blame. The
    /// clean stream has numbers there, or is itself the stream under the walk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<NonfiniteFinding>,
    /// Zeros whose sign differs from the reference's, on the same inputs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub zero_signs: u64,
    /// An input that differs from the value that its operator wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// Integers and booleans that differ from the reference's, on the same inputs, if the operator has no floats.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wrong_integers: u64,
    /// The largest difference of those integers. Of quantised values it is a number of steps of their scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integers_apart: Option<f64>,
    /// Whether an operator that would move elements leaves these in order. Such elements cannot show a wrong move.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blind: bool,
    /// The operator that turns those zeros into opposite infinities, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divided_by: Option<String>,
    /// The rounding that explains every introduced difference.
    pub explained_by: Option<Explanation>,
    /// The largest magnitude in the outputs.
    pub absmax: f64,
    /// `absmax` over the largest finite value of the storage format.
    pub headroom_used: f64,
    /// Patterns of the difference.
    pub diagnosis: Vec<Pattern>,
    /// The error profile of the introduced error, for the first sources only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "portrait")]
    pub error_profile: Option<Box<ErrorProfile>>,
}

impl OpReport {
    /// Elements that are non-finite on one side only, on the same inputs. Older reports count only the elements that
    /// the operator caused.
    pub fn disagreeing_here(&self) -> u64 {
        let found = self.nonfinite.as_ref().map_or(0, |found| found.nan + found.inf);
        self.introduced_disagreeing.max(found)
    }
}

/// Error of one operator's value from the stored weights, in relative L2. The backend's error is its `cumulative`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WeightReport {
    /// From the operator's own weights.
    pub introduced: Option<f64>,
    /// From all weights up to here.
    pub cumulative: Option<f64>,
    /// From weights and backend together, at most the sum of the two.
    pub together: Option<f64>,
}

/// An operator that is right on its inputs, and computes NaN or infinities that are numbers in the reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Untimely {
    /// The operator.
    pub op: String,
    /// The earlier operator at which the inputs lost their value, if that is known.
    pub from: Option<String>,
}

/// A feed that the candidate stores with different values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedFeed {
    /// The first operator that reads the feed.
    pub operator: String,
    /// The stored value's error against the feed, in relative L2.
    pub error: f64,
    /// Whether rounding to the storage format does not explain the error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unexplained: bool,
}

/// A value that cannot be the reference's, in any layout that offby knows: its shape is wrong, or its element type
/// cannot hold the values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Misshapen {
    /// The node that writes the value.
    pub node: String,
    /// The node's type.
    pub op_type: String,
    /// The value's element type and shape.
    pub found: String,
    /// The reference's element type and shape.
    pub right: String,
}

/// The walk in the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct WalkReport {
    /// How the operators were compared.
    pub strategy: Strategy,
    /// Why the operators were searched from outside, if they were to be asked for their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched_because: Option<String>,
    /// Runs of the candidate, tapped and untapped.
    pub candidate_runs: usize,
    /// How samples chose the values that were compared, if the values were sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<SampledWalk>,
    /// Operators that the candidate executed.
    pub ops_total: usize,
    /// Operators with a known introduced error.
    pub ops_compared: usize,
    /// Values of a dump whose shape cannot be the reference's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misshapen: Vec<Misshapen>,
    /// Values of a dump that were read with their channels last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels_last: Vec<String>,
    /// Whether the engine gives other outputs if all values are asked for: its fused operators were split.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub splits_fusions: bool,
    /// Operators whose introduced error is unknown.
    pub ops_unchecked: Vec<UncheckedOp>,
    /// Share of floating-point operators that were compared.
    pub float_share: f64,
    /// Share of operators that are traced to an ONNX node.
    pub mapped_share: f64,
    /// Whether the taps changed the result.
    pub disturbed_by_taps: bool,
    /// The storage format that the candidate's values show.
    pub storage: Format,
    /// The clean stream's final error with that storage throughout.
    pub final_floor: Option<f64>,
    /// Every operator.
    pub ops: Vec<OpReport>,
    /// Operators whose value is compared with tract's.
    pub ops_beside_tract: usize,
    /// The first operator at which the reference itself exceeds the tolerance of `f32` against tract. The conversion
    /// changed the network there, independent of the backend.
    pub first_converted: Option<String>,
    /// The first operator whose value exceeds the storage's tolerance.
    pub first_divergent: Option<String>,
    /// The first operator with NaN or infinities that are numbers in the reference.
    pub first_nonfinite: Option<NonfiniteFinding>,
    /// The first operator that rightly computes NaN or infinities from wrong inputs, and the origin of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untimely: Option<Untimely>,
    /// Every operator that introduces error, in the order of execution.
    pub sources: Vec<String>,
    /// The evidence for and against the finding.
    pub trust: Trust,
    /// The truncations in their order of execution, for the strategy `cut` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
    /// The result of trying a search's finding again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
    /// The error from storing the feed, if it exists before any operator runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_feed: Option<ChangedFeed>,
    /// Nodes inside the bodies of `If`, `Loop` and `Scan`, by the type of the node that contains them. They are not
    /// among the operators.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bodies: BTreeMap<String, usize>,
    /// Whether the user ended the walk early.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}
