//! Whether rounding to a storage format explains the differences.
//!
//! A backend that stores `f16` must turn 4047 into 4048, or into 4046 if it cuts digits off. That is the cost of the
//! format, not a bug. The six hypotheses are every format with either rounding. Each hypothesis is counted over the
//! differing elements, and the hypothesis that matches the candidate most often wins.

use crate::tensor::{Format, Rounding, round};
use serde::{Deserialize, Serialize};

/// The rounding that best explains the differing elements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// The storage format.
    pub format: Format,
    /// How values were rounded to the format.
    pub rounding: Rounding,
    /// The share of differing elements whose candidate is exactly the rounded reference: 0.5 to 1.
    pub share: f64,
}

/// A format and a rounding that may explain a difference.
pub(super) type Hypothesis = (Format, Rounding);

/// The hypotheses to try. Of equally good hypotheses, the first wins.
pub(super) const HYPOTHESES: [Hypothesis; 6] = [
    (Format::F16, Rounding::NearestEven),
    (Format::F16, Rounding::TowardZero),
    (Format::Bf16, Rounding::NearestEven),
    (Format::Bf16, Rounding::TowardZero),
    (Format::Tf32, Rounding::NearestEven),
    (Format::Tf32, Rounding::TowardZero),
];

/// For each of [`HYPOTHESES`], the number of differing elements that it explains.
pub(super) type Explained = [u64; HYPOTHESES.len()];

/// Counts one pair that differs.
pub(super) fn observe(explained: &mut Explained, reference: f64, candidate: f64) {
    // A value of any of these formats is an f32 with 13 trailing zero bits. Most candidates have fewer.
    if candidate.is_finite() && !is_short(candidate) {
        return;
    }
    for (count, (format, rounding)) in explained.iter_mut().zip(HYPOTHESES) {
        // A value beyond the format's largest value is lost, not rounded.
        let is_held = round(reference, format, Rounding::NearestEven).is_finite();
        *count += u64::from(is_held && round(reference, format, rounding) == candidate);
    }
}

fn is_short(value: f64) -> bool {
    f64::from(value as f32) == value && (value as f32).to_bits() & 0x1fff == 0
}

/// The hypothesis that explains the most differing elements, if it explains at least half of them.
pub(super) fn best(explained: &Explained, mismatched: u64) -> Option<Explanation> {
    // Reversed, because `max_by_key` takes the last of equal maxima.
    let best = HYPOTHESES.iter().zip(explained).rev().max_by_key(|(_, count)| **count);
    let (&(format, rounding), &count) = best?;
    let share = count as f64 / mismatched as f64;
    (mismatched > 0 && share >= 0.5).then_some(Explanation { format, rounding, share })
}
