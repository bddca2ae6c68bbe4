//! Distances in units in the last place.
//!
//! The floats of one format form a line in the order of their values, one step apart. For positive values, the bits
//! count the steps from zero. For negative values, they count downwards, and the two zeros are one point. The
//! distance of two values is the number of steps between them (Dawson, "Comparing floating point numbers"). Infinity
//! is one step beyond the largest finite value.

use crate::tensor::{Format, Rounding, round};
use half::f16;

/// The distance of two values after rounding both to `f32`, to nearest, ties to even.
pub(super) fn ulps_f32(reference: f64, candidate: f64) -> u64 {
    let place = |value: f64| place(u64::from((value as f32).to_bits()), 31);
    place(reference).abs_diff(place(candidate))
}

/// The distance of two values after rounding both to `f16`, to nearest, ties to even.
pub(super) fn ulps_f16(reference: f64, candidate: f64) -> u64 {
    let place = |value: f64| {
        let rounded = round(value, Format::F16, Rounding::NearestEven);
        place(u64::from(f16::from_f64(rounded).to_bits()), 15)
    };
    place(reference).abs_diff(place(candidate))
}

/// The position of the float with these bits on the line, given the index of its sign bit.
fn place(bits: u64, sign: u32) -> i64 {
    let steps = (bits & ((1 << sign) - 1)).cast_signed();
    if bits >> sign == 0 { steps } else { -steps }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finite_f32() -> impl Strategy<Value = f32> {
        any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |value| value.is_finite())
    }

    proptest! {
        #[test]
        fn neighbours_are_one_step_apart(value in finite_f32()) {
            prop_assume!(value != f32::MAX);
            prop_assert_eq!(ulps_f32(value.into(), value.next_up().into()), 1);
            let half = f16::from_f32(value);
            prop_assume!(half.is_finite() && half != f16::MAX);
            let above = if half.to_bits() & 0x7fff == 0 { f16::from_bits(1) }
                else if half.is_sign_positive() { f16::from_bits(half.to_bits() + 1) }
                else { f16::from_bits(half.to_bits() - 1) };
            prop_assert_eq!(ulps_f16(half.to_f64(), above.to_f64()), 1);
        }

        #[test]
        fn distance_is_symmetric_and_adds_up(a in finite_f32(), b in finite_f32(), c in finite_f32()) {
            for ulps in [ulps_f32, ulps_f16] {
                let mut line = [f64::from(a), f64::from(b), f64::from(c)];
                line.sort_by(f64::total_cmp);
                let [low, middle, high] = line;
                prop_assert_eq!(ulps(low, high), ulps(high, low));
                prop_assert_eq!(ulps(low, high), ulps(low, middle) + ulps(middle, high));
            }
        }
    }

    #[test]
    fn zeros_are_one_point_and_infinity_is_the_next_step() {
        assert_eq!(ulps_f32(-0.0, 0.0), 0);
        assert_eq!(ulps_f32(-1e-45, 1e-45), 2);
        assert_eq!(ulps_f16(65504.0, 70000.0), 1);
        assert_eq!(ulps_f16(4047.0, 4046.0), 1);
    }
}
