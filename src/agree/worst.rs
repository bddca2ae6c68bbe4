//! The worst inputs of a lane, in fixed room and independent of the order.

use super::classes::ClassOutcome;
use super::record::{MeasuredInput, Record};
use crate::compare::Agreement;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// How many of the worst inputs are kept.
pub const MOST_WORST: usize = 32;

/// One of the worst inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorstInput {
    /// The input's number, from 0.
    pub input: usize,
    /// The input's name.
    pub id: String,
    /// Why the input is bad.
    pub severity: Severity,
    /// ‖d‖₂ / ‖r‖₂ of its outputs.
    pub rel_l2: f64,
    /// max |d|.
    pub max_abs: f64,
    /// The right class, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<usize>,
    /// The reference's class and the lane's, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<(Option<usize>, Option<usize>)>,
}

/// Why an input is bad, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The input differs by no more than allowed.
    Within,
    /// The outputs are beyond the tolerance.
    Beyond,
    /// The class differs, and rounding may have chosen.
    Tie,
    /// The class differs, and rounding does not explain the change.
    Flipped,
    /// The lane has NaN or infinities where the reference has numbers.
    Nonfinite,
}

impl Severity {
    /// The words for a table.
    pub fn words(self) -> &'static str {
        match self {
            Severity::Within => "within tolerance",
            Severity::Beyond => "beyond tolerance",
            Severity::Tie => "class changed, explained",
            Severity::Flipped => "class changed",
            Severity::Nonfinite => "NaN or infinite",
        }
    }

    fn of(measured: &MeasuredInput) -> Self {
        match (&measured.classes, measured.agreement) {
            _ if measured.disagreeing > 0 => Severity::Nonfinite,
            (Some(classes), _) if classes.choice == ClassOutcome::Flipped => Severity::Flipped,
            (Some(classes), _) if classes.choice == ClassOutcome::Tie => Severity::Tie,
            (_, Agreement::Diverges) => Severity::Beyond,
            _ => Severity::Within,
        }
    }
}

impl WorstInput {
    /// The entry of a record; `None` if the record was not compared or does not differ.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let measured = record.measured.as_ref()?;
        let severity = Severity::of(measured);
        let differs = severity > Severity::Within || measured.max_abs > 0.0;
        let classes = measured.classes.as_ref();
        differs.then(|| WorstInput {
            input: record.input,
            id: record.id.clone(),
            severity,
            rel_l2: measured.rel_l2,
            max_abs: measured.max_abs,
            label: record.label,
            classes: classes.map(|c| (c.reference.first().copied(), c.target.first().copied())),
        })
    }

    /// Orders the worse input first; of equally bad inputs, the earlier first.
    fn order(&self, other: &WorstInput) -> Ordering {
        let worse = other.severity.cmp(&self.severity);
        worse.then(other.rel_l2.total_cmp(&self.rel_l2)).then(self.input.cmp(&other.input))
    }
}

/// Puts an entry into its place among the worst.
pub(super) fn insert(worst: &mut Vec<WorstInput>, entry: WorstInput) {
    let place = worst.partition_point(|known| known.order(&entry) == Ordering::Less);
    if place < MOST_WORST {
        worst.insert(place, entry);
        worst.truncate(MOST_WORST);
    }
}
