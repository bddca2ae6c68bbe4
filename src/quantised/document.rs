//! What the search in a quantised network found, as saved.

use super::score::{QuantisedGoal, Score};
use crate::engine::RanOn;
use serde::{Deserialize, Serialize};

/// The schema that this version writes.
pub const QUANTISED_SCHEMA: &str = "offby.quantised/1";

/// Which layers of a quantised network cost its accuracy, and which must stay in float.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantisedDocument {
    /// [`QUANTISED_SCHEMA`].
    pub schema: String,
    /// The version of offby that wrote the file.
    pub made_by: String,
    /// The float network's file.
    pub float: String,
    /// The quantised network's file.
    pub quantised: String,
    /// The target that ran every network.
    pub target: String,
    /// What really ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_on: Option<RanOn>,
    /// The inputs: a data set, or the input specs.
    pub data: String,
    /// The number of inputs.
    pub inputs: usize,
    /// What the outputs must reach.
    pub goal: QuantisedGoal,
    /// The layers, in the network's order.
    pub layers: Vec<LayerReport>,
    /// Quantised nodes that cannot stay in float.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmovable: Vec<Unmovable>,
    /// The layers that must stay in float; absent if the goal is missed with all of them in float.
    pub kept: Option<Vec<String>>,
    /// Leaving out any group of up to this many of them misses the goal. If the number equals theirs, no smaller part
    /// is enough.
    pub proven: usize,
    /// Accuracy against time: the float network first, then the quantised one with ever more layers in float.
    pub front: Vec<FrontPoint>,
    /// The number of networks that were run.
    pub networks: usize,
    /// Why the ranges of activations are unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_ranges: Option<String>,
    /// Whether the user ended the search.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The result in a sentence.
    pub sentence: String,
}

/// A layer, and what quantising it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    /// The node's name.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// The score if only this layer is quantised.
    pub only_quantised: Option<Score>,
    /// The score if only this layer stays in float.
    pub only_float: Option<Score>,
    /// The ranges of the quantised values that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<ActivationRange>,
}

/// The range of a quantised value, against what its integers can hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivationRange {
    /// The value in the float network.
    pub value: String,
    /// The size of a step.
    pub scale: f64,
    /// The smallest and the largest number that can be stored.
    pub stored: (f64, f64),
    /// The smallest and the largest number over all inputs.
    pub measured: (f64, f64),
    /// The share of elements outside of what can be stored, by more than half a step.
    pub saturated: f64,
    /// The share of elements that are not 0, and round to 0.
    #[serde(default)]
    pub to_zero: f64,
}

/// A quantised node that cannot stay in float.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmovable {
    /// The node's name.
    pub node: String,
    /// The reason.
    pub reason: String,
}

/// One network on the way from quantised to float.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrontPoint {
    /// The number of layers in float; absent for the float network itself.
    pub kept: Option<usize>,
    /// Whether this is the set that was found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_found: bool,
    /// Its distance from the float network.
    pub score: Score,
    /// Median seconds of one run.
    pub seconds: Option<f64>,
}

impl QuantisedDocument {
    /// The exit code: 0 if the goal can be reached.
    pub fn exit_code(&self) -> u8 {
        match self.interrupted {
            true => crate::verdict::INCONCLUSIVE,
            false => u8::from(self.kept.is_none()),
        }
    }
}
