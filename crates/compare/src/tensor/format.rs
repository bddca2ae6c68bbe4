//! Storage formats of numbers, and the rounding of values to them.

use super::Tensor;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A format that a backend may store its values in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// IEEE 754 binary32: 24 bits of significand.
    #[default]
    F32,
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
            Format::F32 => "f32",
            Format::F16 => "f16",
            Format::Bf16 => "bf16",
            Format::Tf32 => "tf32",
        }
    }

    /// The largest finite value.
    pub fn max(self) -> f64 {
        self.limits().2
    }

    /// The smallest normal value.
    pub fn smallest_normal(self) -> f64 {
        power_of_two(self.limits().1)
    }

    /// The largest half ulp of a value, relative to that value: 2⁻¹¹ for `f16`, 2⁻⁸ for `bf16`.
    pub fn epsilon(self) -> f64 {
        power_of_two(-1 - self.limits().0)
    }

    /// The distance between neighbouring values at the size of `value`.
    pub fn step_at(self, value: f64) -> f64 {
        let (fraction, smallest, _) = self.limits();
        power_of_two((exponent(value)).max(smallest) - fraction)
    }

    /// Whether the format holds this value exactly.
    pub fn holds(self, value: f32) -> bool {
        value.is_nan() || round_f32(value, self, Rounding::TowardZero) == value
    }

    /// Whether rounding to this format can look like rounding to `other`: `tf32` looks like
    /// `f16` in the range of `f16`.
    pub fn rounds_like(self, other: Format) -> bool {
        self == other || (self, other) == (Format::Tf32, Format::F16)
    }

    /// Bits of the fraction, exponent of the smallest normal value, and the largest value.
    fn limits(self) -> (i32, i32, f64) {
        match self {
            Format::F32 => (23, -126, f64::from(f32::MAX)),
            Format::F16 => (10, -14, 65504.0),
            Format::Bf16 => (7, -126, (2.0 - power_of_two(-7)) * power_of_two(127)),
            Format::Tf32 => (10, -126, (2.0 - power_of_two(-10)) * power_of_two(127)),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How to drop the digits that do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// To the nearest value, ties to even. Beyond the largest value, the result is infinity.
    #[default]
    NearestEven,
    /// Cut off. Beyond the largest value, the result is the largest value.
    TowardZero,
}

/// 2 to a power that is a normal `f64`.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + i64::from(exponent)).cast_unsigned()) << 52)
}

/// The exponent of a finite value's leading digit; -1023 for zero and `f64`'s subnormals.
fn exponent(value: f64) -> i32 {
    ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023
}

/// The value rounded to a format, by the definition: a whole number of the format's steps at that size.
pub fn round(value: f64, format: Format, rounding: Rounding) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let (step, largest) = (format.step_at(value), format.max());
    let steps = value / step;
    match rounding {
        Rounding::NearestEven => {
            let rounded = steps.round_ties_even() * step;
            if rounded.abs() > largest { f64::INFINITY.copysign(value) } else { rounded }
        }
        Rounding::TowardZero => (steps.trunc() * step).clamp(-largest, largest),
    }
}

/// The same for an `f32`, but fast: a value that is normal in the format is rounded by its bits.
pub fn round_f32(value: f32, format: Format, rounding: Rounding) -> f32 {
    // `low` is the smallest normal value. `high` is too far from the largest value to round up to it.
    let (cut, low, high) = match format {
        Format::F32 => return value,
        Format::F16 => (13, 6.103_515_6e-5, 32768.0),
        Format::Bf16 => (16, f32::MIN_POSITIVE, 1.7e38),
        Format::Tf32 => (13, f32::MIN_POSITIVE, 1.7e38),
    };
    let magnitude = value.abs();
    if !(low..high).contains(&magnitude) {
        return if value == 0.0 { value } else { round(f64::from(value), format, rounding) as f32 };
    }
    let bits = value.to_bits();
    let rounded = match rounding {
        Rounding::NearestEven => bits + ((1 << (cut - 1)) - 1) + (bits >> cut & 1),
        Rounding::TowardZero => bits,
    };
    f32::from_bits(rounded >> cut << cut)
}

/// Every `f32` element rounded to a format; other element types stay as they are.
pub fn round_tensor(tensor: &Tensor, format: Format, rounding: Rounding) -> Tensor {
    match tensor {
        Tensor::F32(array) => Tensor::F32(array.mapv(|value| round_f32(value, format, rounding))),
        other => other.clone(),
    }
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
            prop_assert_eq!(nearest(Format::F32), wide);
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

        #[test]
        fn cutting_off_bits_is_bf16_and_tf32_toward_zero(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            for (format, mask) in [(Format::Bf16, 0xffff_0000), (Format::Tf32, 0xffff_e000_u32)] {
                let cut = round(f64::from(value), format, Rounding::TowardZero);
                prop_assert_eq!(cut, f64::from(f32::from_bits(bits & mask)));
            }
        }

        #[test]
        fn rounding_by_bits_is_rounding_by_the_definition(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(!value.is_nan());
            for format in [Format::F32, Format::F16, Format::Bf16, Format::Tf32] {
                for rounding in [Rounding::NearestEven, Rounding::TowardZero] {
                    // Most bit patterns are outside the range of f16.
                    for value in [value, f32::from_bits(bits % 0x1000_0000 + 0x3700_0000)] {
                        let defined = round(f64::from(value), format, rounding) as f32;
                        let quick = round_f32(value, format, rounding);
                        prop_assert_eq!(quick.to_bits(), defined.to_bits());
                    }
                }
            }
        }

        #[test]
        fn a_format_holds_what_it_rounds(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(!value.is_nan());
            for format in [Format::F32, Format::F16, Format::Bf16, Format::Tf32] {
                for rounding in [Rounding::NearestEven, Rounding::TowardZero] {
                    let rounded = round(f64::from(value), format, rounding);
                    prop_assert!(format.holds(rounded as f32));
                    prop_assert_eq!(round(rounded, format, rounding), rounded);
                    let loss = (rounded - f64::from(value)).abs();
                    prop_assert!(!value.is_finite() || !rounded.is_finite()
                        || f64::from(value.abs()) > format.max()
                        || loss < format.step_at(f64::from(value)));
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
        assert_eq!(Format::F16.epsilon(), 1.0 / 2048.0);
        assert_eq!(Format::Bf16.epsilon(), 1.0 / 256.0);
    }
}
