//! Whether rounding to a storage format explains what differs.
//!
//! A backend that stores `f16` must turn 4047 into 4048, or 4046 if it cuts digits off: that is what
//! the format costs, not a bug. Six hypotheses, every format with either rounding, are counted over
//! the elements that differ; the one that names the candidate most often wins.

use crate::tensor::{Format, Rounding, round};
use serde::{Deserialize, Serialize};

/// The rounding that best explains the elements that differ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The storage format.
    pub format: Format,
    /// How values were brought to it.
    pub rounding: Rounding,
    /// The share of differing elements whose candidate is exactly the rounded reference: 0.5 to 1.
    pub share: f64,
}

/// A format and a rounding that may explain a difference.
pub(super) type Hypothesis = (Format, Rounding);

/// What is tried. Of equally good explanations the first wins.
pub(super) const HYPOTHESES: [Hypothesis; 6] = [
    (Format::F16, Rounding::NearestEven),
    (Format::F16, Rounding::TowardZero),
    (Format::Bf16, Rounding::NearestEven),
    (Format::Bf16, Rounding::TowardZero),
    (Format::Tf32, Rounding::NearestEven),
    (Format::Tf32, Rounding::TowardZero),
];

/// Counts, for each of [`HYPOTHESES`], the differing elements it explains.
pub(super) type Explained = [u64; HYPOTHESES.len()];

/// Counts one pair that differs.
pub(super) fn observe(explained: &mut Explained, reference: f64, candidate: f64) {
    // Every one of these formats is an f32 with 13 zero bits at its end: most candidates are none.
    if candidate.is_finite() && !is_short(candidate) {
        return;
    }
    for (count, (format, rounding)) in explained.iter_mut().zip(HYPOTHESES) {
        // What is beyond the largest value is lost and not rounded.
        let is_held = round(reference, format, Rounding::NearestEven).is_finite();
        *count += u64::from(is_held && round(reference, format, rounding) == candidate);
    }
}

fn is_short(value: f64) -> bool {
    f64::from(value as f32) == value && (value as f32).to_bits() & 0x1fff == 0
}

/// The hypothesis that explains most of the elements that differ, if it explains half of them.
pub(super) fn best(explained: &Explained, mismatched: u64) -> Option<Explanation> {
    // Reversed, since of equal maxima `max_by_key` takes the last.
    let best = HYPOTHESES.iter().zip(explained).rev().max_by_key(|(_, count)| **count);
    let (&(format, rounding), &count) = best?;
    let share = count as f64 / mismatched as f64;
    (mismatched > 0 && share >= 0.5).then_some(Explanation { format, rounding, share })
}
