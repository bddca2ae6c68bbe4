//! One line of a run over a data set: the result of one lane for one input.

use super::classes::Classes;
use crate::compare::Agreement;
use crate::engine::{Outcome, RanOn};
use crate::tensor::Digest;
use serde::{Deserialize, Serialize};

/// The result of one lane for one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The input's number, from 0.
    pub input: usize,
    /// Its name: a file, or a row of a file.
    pub id: String,
    /// The target; absent for the reference.
    pub target: Option<String>,
    /// How the run ended.
    pub outcome: Outcome,
    /// Why the run failed, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The digest of all fed tensors; only in the reference's record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The engine that really ran; only if the network was opened for this input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_on: Option<RanOn>,
    /// The right class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<usize>,
    /// Whether the same input produced the same bytes each time; absent if it ran once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identical: Option<bool>,
    /// The outputs against the reference's; only for a target with outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<MeasuredInput>,
    /// The outputs against the data set's expected ones, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<MeasuredInput>,
}

#[cfg(test)]
impl Record {
    /// A target's run that finished, but was not measured.
    pub(super) fn completed(input: usize) -> Self {
        Record {
            input,
            id: format!("input {input}"),
            target: Some("mnn:cpu".into()),
            outcome: Outcome::Completed,
            reason: None,
            digest: None,
            ran_on: None,
            label: None,
            identical: None,
            measured: None,
            expected: None,
        }
    }
}

/// All outputs of a lane for one input, compared with the reference's or the expected ones. With several
/// outputs, each number is the worst output's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredInput {
    /// The verdict by the tolerances.
    pub agreement: Agreement,
    /// Why the outputs could not be compared, if they could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomparable: Option<String>,
    /// max |d| over pairs that are both finite.
    pub max_abs: f64,
    /// ‖d‖₂ / ‖r‖₂ over those pairs; 1 if the reference is all zero and the lane is not.
    pub rel_l2: f64,
    /// The cosine of the angle between the lane's outputs and the others.
    pub cosine: f64,
    /// Spearman's rank correlation; absent if no order exists.
    pub rank: Option<f64>,
    /// The number of NaN elements in the lane's outputs.
    pub nan: u64,
    /// Elements that are non-finite on one side only, or differently on each side.
    pub disagreeing: u64,
    /// The classes, if an output holds class scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
}
