//! Whether rounding to a storage format explains what differs.
//!
//! A backend that stores `f16` must turn 4047 into 4048, or 4046 if it cuts digits off: that is what
//! the format costs, not a bug. Six hypotheses, every format with either rounding, are counted over
//! the elements that differ; the one that names the candidate most often wins.

use serde::{Deserialize, Serialize};

/// A storage format narrower than `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// IEEE 754 binary16: 11 bits of significand, 65504 at most.
    F16,
    /// The upper half of a binary32: 8 bits of significand, the range of `f32`.
    Bf16,
    /// NVIDIA's TensorFloat-32: the significand of `f16`, the range of `f32`.
    Tf32,
}

impl Format {
    /// The name used in reports and in the table of tolerances.
    pub fn name(self) -> &'static str {
        match self {
            Format::F16 => "f16",
            Format::Bf16 => "bf16",
            Format::Tf32 => "tf32",
        }
    }
}

/// What becomes of the digits that do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// To the nearest value, ties to the even one; beyond the largest one, infinity.
    NearestEven,
    /// Cut off; beyond the largest value, the largest value.
    TowardZero,
}

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

impl Format {
    /// Bits of the fraction, exponent of the smallest normal value, and the largest value.
    fn limits(self) -> (i32, i32, f64) {
        match self {
            Format::F16 => (10, -14, 65504.0),
            Format::Bf16 => (7, -126, (2.0 - power_of_two(-7)) * power_of_two(127)),
            Format::Tf32 => (10, -126, (2.0 - power_of_two(-10)) * power_of_two(127)),
        }
    }
}

/// 2 to a power that is a normal `f64`.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + i64::from(exponent)).cast_unsigned()) << 52)
}

/// The value rounded to a format, by the definition: a whole number of the format's steps at that size.
pub(super) fn round(value: f64, format: Format, rounding: Rounding) -> f64 {
    let (fraction, smallest, largest) = format.limits();
    if !value.is_finite() {
        return value;
    }
    let biased = ((value.to_bits() >> 52) & 0x7ff) as i32;
    let step = power_of_two((biased - 1023).max(smallest) - fraction);
    let steps = value / step;
    match rounding {
        Rounding::NearestEven => {
            let rounded = steps.round_ties_even() * step;
            if rounded.abs() > largest { f64::INFINITY.copysign(value) } else { rounded }
        }
        Rounding::TowardZero => (steps.trunc() * step).clamp(-largest, largest),
    }
}

/// Counts, for each of [`HYPOTHESES`], the differing elements it explains.
pub(super) type Explained = [u64; HYPOTHESES.len()];

/// Counts one pair that differs.
pub(super) fn observe(explained: &mut Explained, reference: f64, candidate: f64) {
    // Every one of these formats is an f32 with 13 zero bits at its end: most candidates are none.
    if candidate.is_finite() && !is_short(candidate) {
        return;
    }
    for (count, (format, rounding)) in explained.iter_mut().zip(HYPOTHESES) {
        *count += u64::from(round(reference, format, rounding) == candidate);
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

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nearest_is_what_the_half_crate_does(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(!value.is_nan());
            let wide = f64::from(value);
            let nearest = |format| round(wide, format, Rounding::NearestEven);
            prop_assert_eq!(nearest(Format::F16), f16::from_f32(value).to_f64());
            prop_assert_eq!(nearest(Format::Bf16), bf16::from_f32(value).to_f64());
        }

        #[test]
        fn toward_zero_is_the_largest_value_not_beyond(bits: u16) {
            let value = f16::from_bits(bits & 0x7fff);
            prop_assume!(value.is_finite() && value < f16::MAX);
            let above = f16::from_bits(value.to_bits() + 1).to_f64();
            for share in [0.0, 0.25, 0.5, 0.999] {
                let between = value.to_f64() + share * (above - value.to_f64());
                for sign in [1.0, -1.0] {
                    let cut = round(sign * between, Format::F16, Rounding::TowardZero);
                    prop_assert_eq!(cut, sign * value.to_f64());
                }
            }
        }
    }

    #[test]
    fn beyond_the_largest_value() {
        let both = |value| {
            [Rounding::NearestEven, Rounding::TowardZero].map(|r| round(value, Format::F16, r))
        };
        assert_eq!(both(70000.0), [f64::INFINITY, 65504.0]);
        assert_eq!(both(-65519.0), [-65504.0, -65504.0]);
        assert_eq!(both(65520.0), [f64::INFINITY, 65504.0]);
        assert_eq!(both(f64::NEG_INFINITY), [f64::NEG_INFINITY; 2]);
    }

    #[test]
    fn the_step_is_that_of_the_format() {
        assert_eq!(round(4047.0, Format::F16, Rounding::NearestEven), 4048.0);
        assert_eq!(round(4047.0, Format::F16, Rounding::TowardZero), 4046.0);
        assert_eq!(round(4047.0, Format::Bf16, Rounding::TowardZero), 4032.0);
        assert_eq!(round(1e6, Format::Tf32, Rounding::TowardZero), 999936.0);
    }
}
