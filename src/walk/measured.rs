//! The measurements of one operator.

use super::contract::KernelError;
use super::error_summary::ErrorSummary;
use super::exactness::Exactness;
use super::handover::Handover;
use super::nonfinite::{Lost, NonfiniteFinding};
use crate::bounds::Excess;
use crate::compare::{ErrorProfile, Pattern};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The measurements of one operator, in the order of execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeasuredOp {
    /// The operator's position in the order of execution.
    pub index: usize,
    /// The operator's name. If the engine repeats it, `#2`, `#3`... make it unique.
    pub name: String,
    /// The engine's name for the operator type.
    pub op_type: String,
    /// The backend that ran it.
    pub backend: String,
    /// The operators that wrote its inputs, by their place among the measured operators, if that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<usize>,
    /// Error of the candidate's value against the clean stream's. Absent if the stream lacks the value.
    pub cumulative: Option<ErrorSummary>,
    /// The same error for the worst of the operator's inputs.
    pub inherited: Option<ErrorSummary>,
    /// Error of the clean stream itself against tract, if the value exists in the ONNX file.
    pub conversion: Option<ErrorSummary>,
    /// Error against the reference computing this operator on the candidate's own inputs.
    pub introduced: Option<ErrorSummary>,
    /// The elements compared with their bounds on the candidate's own inputs, if bounds are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<Excess>,
    /// Whether the error is no more than the declared 16-bit arithmetic costs. Matters if the values are stored in 32
    /// bits: tensor cores round only the operands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mixed: bool,
    /// Error from the stored weights, if they differ from the original network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightCost>,
    /// Error that the reference itself makes with 16-bit inputs, weights and outputs.
    pub half: Option<ErrorSummary>,
    /// The witness's own error here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelError>,
    /// How far the witness is from the candidate, if only the witness is wrong. On the same inputs, the session's
    /// reference agrees with the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<ErrorSummary>,
    /// Whether `introduced` is the distance from the witness, and the witness's value is wrong. The session's reference
    /// cannot compute the operator on these inputs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_witness: bool,
    /// The largest magnitude in the outputs.
    pub absmax: f64,
    /// Non-finite elements that the operator itself caused, and the cause.
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
    /// Patterns of the difference, if the operator introduces one.
    pub patterns: Vec<Pattern>,
    /// The error profile of the introduced error, if the error seemed larger than rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "portrait")]
    pub error_profile: Option<Box<ErrorProfile>>,
    /// The reason, if the operator was not compared.
    pub unchecked: Option<String>,
    /// Whether an operator that would move elements leaves these in order. Such elements cannot show a wrong move.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blind: bool,
    /// Whether any output is floating-point.
    pub float: bool,
    /// How far honest implementations of the operator may differ.
    #[serde(rename = "freedom")]
    pub exactness: Exactness,
}

/// Error from weights that differ from the original network's, apart from the backend's error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WeightCost {
    /// Error from the operator's own weights: the reference with the stored weights against the reference with the
    /// original weights. Both run on the candidate's inputs.
    pub introduced: Option<ErrorSummary>,
    /// Error from all weights up to here: the clean stream against the original network's.
    pub cumulative: Option<ErrorSummary>,
    /// Error of the candidate's value against the original network's, from weights and backend together.
    pub together: Option<ErrorSummary>,
}

impl MeasuredOp {
    /// Withdraws what was measured of the operator's own error.
    pub(super) fn withdraw(&mut self, why: &str) {
        self.unchecked = Some(why.to_owned());
        (self.introduced, self.excess) = (None, None);
        (self.nonfinite, self.lost, self.error_profile) = (None, None, None);
        self.patterns.clear();
    }
}

pub(super) fn is_zero(count: &u64) -> bool {
    *count == 0
}
