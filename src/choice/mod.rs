//! Outputs that are choices: the class with the highest score, the kept boxes.
//!
//! A different index alone proves no error: if rounding brings two scores together, either may come first. So a
//! choice is judged by the values behind it, as the reference computed them. A target's choice is right if it
//! fits some values within its storage's error of the reference's. The target's own values do not count: they
//! would explain every choice.

mod boxes;
mod chooser;
mod fed;
mod ranks;
mod scores;
mod source;

#[cfg(test)]
mod tests;

pub use chooser::Chooser;
pub use fed::Fed;
pub use source::ReferenceSource;

use crate::compare::{
    Agreement, Comparison, Incomparable, Judgement, JudgementRule, Judging, Tolerance,
};
use crate::tensor::{Format, Tensor};
use chooser::How;
use scores::{ChoiceTally, Scores};
use serde::{Deserialize, Serialize};

/// Choices that differ from the reference's, and how near they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Choice {
    /// The node that chose.
    pub node: String,
    /// Its operator: `ArgMax`, `ArgMin`, `TopK`, `NonMaxSuppression`.
    pub op_type: String,
    /// How many indices differ. For boxes: how many only one side kept, or how many are at different places.
    pub changed: u64,
    /// Choices that rounding does not explain.
    pub beyond: u64,
    /// For the choice that is furthest from being explained: how far apart the reference has the confused
    /// values. A box may be kept or dropped by its score, or by its intersection over union with a second box.
    /// `None` if the distance cannot be measured: the index names no element, is repeated or is one too many.
    /// Or the element has no score, or was left out without a reason.
    pub margin: Option<f64>,
    /// How far apart these values may be.
    pub floor: Option<f64>,
}

/// Judges a target's choices. `fed` holds the chooser's inputs, `None` for an omitted input. Returns `None` if
/// the values or the outputs do not fit the choice: then no judgement is possible.
pub fn look(
    chooser: &Chooser,
    fed: &[Option<Fed>],
    [reference, candidate]: [&Tensor; 2],
    judging: impl Fn(&Tensor) -> Judging,
) -> Option<Choice> {
    if reference.dtype().is_float() != candidate.dtype().is_float() {
        return None;
    }
    let scores = |place: usize| {
        let fed = fed.get(place)?.as_ref()?;
        Some(Scores::of(fed, &allowed(fed, &judging(&fed.tensor))))
    };
    let tally = match chooser.how {
        How::Ranks(ranking) => {
            if reference.shape() != candidate.shape() {
                return None;
            }
            ranks::look(&scores(0)?, ranking, [&reference.numbers(1), &candidate.numbers(1)])?
        }
        How::Boxes { is_centred } => {
            let number = |place: usize| scores(place).and_then(|one| one.values.first().copied());
            let limits = boxes::BoxLimits {
                most: number(2).unwrap_or(0.0),
                overlap: number(3).unwrap_or(0.0),
                score: number(4),
            };
            let boxes = boxes::Boxes { corners: scores(0)?, scores: scores(1)?, is_centred };
            boxes::look(&boxes, &limits, [reference, candidate])?
        }
    };
    Some(Choice::of(chooser, &tally))
}

/// Whether an output may be a different choice: its elements or its shape differ.
pub fn may_be_choice(compared: &Result<Comparison, Incomparable>) -> bool {
    match compared {
        Ok(comparison) => comparison.mismatched > 0,
        Err(reason) => matches!(reason, Incomparable::Shape { .. }),
    }
}

/// How far a target's storage may move a value: a value that nodes did not compute is only stored.
fn allowed(fed: &Fed, judging: &Judging) -> Tolerance {
    const FORMATS: [Format; 3] = [Format::F16, Format::Bf16, Format::Tf32];
    let storage = judging.declared_storage();
    let format = storage.and_then(|row| FORMATS.into_iter().find(|f| f.name() == row.name));
    match (fed.is_computed, format) {
        (true, _) => judging.widest(),
        // Twice half a unit in the last place, because some devices truncate digits.
        (false, Some(format)) => Tolerance::user(0.0, 2.0 * format.epsilon()),
        (false, None) => Tolerance::EXACT,
    }
}

impl Choice {
    fn of(chooser: &Chooser, tally: &ChoiceTally) -> Self {
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        Choice {
            node: chooser.node.clone(),
            op_type: chooser.op_type.clone(),
            changed: tally.changed,
            beyond: tally.beyond,
            margin: finite(tally.worst.margin),
            floor: finite(tally.worst.floor),
        }
    }

    /// The judgement that follows from the counts.
    pub fn judgement(&self) -> Judgement {
        let (agreement, words) = match (self.changed, self.beyond) {
            (0, 0) => (Agreement::Agrees, self.in_another_order()),
            (_, 0) => (Agreement::Explained, self.explained()),
            _ => (Agreement::Diverges, self.unexplained()),
        };
        Judgement { agreement, rule: JudgementRule::Choice, words, needed: None }
    }

    fn in_another_order(&self) -> String {
        let Choice { node, op_type, .. } = self;
        format!("{op_type} `{node}` made the same choices in another order, which ONNX leaves open")
    }

    fn explained(&self) -> String {
        format!(
            "{} `{}` chose otherwise between values that rounding may bring together{}",
            self.op_type,
            self.node,
            self.distance()
        )
    }

    fn unexplained(&self) -> String {
        let Choice { node, op_type, beyond, .. } = self;
        let choices = if *beyond == 1 { "choice" } else { "choices" };
        format!(
            "{op_type} `{node}` made {beyond} {choices} that rounding does not explain{}",
            self.distance()
        )
    }

    /// The distance of the choice that is furthest from being explained.
    fn distance(&self) -> String {
        match (self.margin, self.floor) {
            (Some(0.0), _) => {
                ": the values are equal, and of equal values ONNX takes the one with the lower index first".to_owned()
            }
            (Some(margin), Some(floor)) => {
                format!(": up to {margin:.2e} apart, where {floor:.2e} is allowed")
            }
            _ => {
                ": what is no element, is there twice or one too many, has no score, or is left out without a reason".to_owned()
            }
        }
    }
}
