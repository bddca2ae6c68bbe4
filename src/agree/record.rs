//! One line of a run over a data set: what one lane made of one input.

use super::classes::Classes;
use crate::compare::Agreement;
use crate::engine::{Outcome, RanOn};
use crate::tensor::Digest;
use serde::{Deserialize, Serialize};

/// What one lane made of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The input's number, from 0.
    pub input: usize,
    /// Its name: a file, or a row of one.
    pub id: String,
    /// The target; absent for the reference.
    pub target: Option<String>,
    /// How the run ended.
    pub outcome: Outcome,
    /// Why, where it gave nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The digest of all that was fed; of the reference's record only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What really ran; where the network was opened for this input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_on: Option<RanOn>,
    /// The class that is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<usize>,
    /// Whether the same input gave the same bytes each time; absent where it ran once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identical: Option<bool>,
    /// The outputs against the reference's; of a target that gave some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// The outputs against those that the data set expects, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Measured>,
}

#[cfg(test)]
impl Record {
    /// A target's run that came to its end, but was not measured.
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

/// All outputs of a lane for one input against what they are compared with. Of several outputs each
/// number is that of the worst.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What the tolerances say.
    pub agreement: Agreement,
    /// Why the outputs could not be compared, where they could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomparable: Option<String>,
    /// max |d| over pairs that are both finite.
    pub max_abs: f64,
    /// ‖d‖₂ / ‖r‖₂ over those pairs; 1 where the reference is all zero and the lane is not.
    pub rel_l2: f64,
    /// The cosine of the angle between the two.
    pub cosine: f64,
    /// Spearman's rank correlation; absent where there is no order.
    pub rank: Option<f64>,
    /// NaN in the lane's outputs.
    pub nan: u64,
    /// Elements that are not finite on one side only, or not alike.
    pub disagreeing: u64,
    /// The classes, where an output holds class scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
}
