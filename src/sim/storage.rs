//! How a device stores values: format, rounding, and the treatment of very small and very large values.

use crate::tensor::{Format, Rounding, Tensor, round_f32};
use serde::{Deserialize, Serialize};

/// The rules for every value that a device stores: inputs, weights, and the outputs of every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageRules {
    /// The format.
    #[serde(default)]
    pub format: Format,
    /// The rounding of digits that do not fit.
    #[serde(default)]
    pub rounding: Rounding,
    /// The treatment of values below the smallest normal value.
    #[serde(default)]
    pub subnormals: Subnormals,
    /// The treatment of values beyond the largest value; by default the rounding decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
}

/// The treatment of values below the smallest normal value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subnormals {
    /// The values are kept, with fewer digits.
    #[default]
    Keep,
    /// The values become zero with their sign.
    Flush,
}

/// The treatment of finite values beyond the largest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// The values become infinity with their sign.
    Infinity,
    /// The values become the largest value with their sign.
    Saturate,
}

impl StorageRules {
    /// One value as the device stores it.
    pub fn keep(&self, value: f32) -> f32 {
        let rounded = round_f32(value, self.format, self.rounding);
        let subnormal = f64::from(rounded.abs()) < self.format.smallest_normal();
        if subnormal {
            return if self.subnormals == Subnormals::Flush {
                0.0f32.copysign(value)
            } else {
                rounded
            };
        }
        match self.overflow {
            None => rounded,
            Some(_) if f64::from(value.abs()) <= self.format.max() => rounded,
            Some(overflow) => self.beyond(value, overflow),
        }
    }

    /// Stores a value beyond the largest value; a value that rounds back to the largest never overflows.
    fn beyond(&self, value: f32, overflow: Overflow) -> f32 {
        let nearest = round_f32(value, self.format, Rounding::NearestEven);
        match overflow {
            Overflow::Infinity if nearest.is_infinite() && value.is_finite() => nearest,
            _ if !value.is_finite() => value,
            _ => (self.format.max() as f32).copysign(value),
        }
    }

    /// A tensor as the device stores it; element types other than `f32` stay unchanged.
    pub fn keep_tensor(&self, tensor: &Tensor) -> Tensor {
        match tensor {
            Tensor::F32(array) if *self != StorageRules::default() => {
                Tensor::F32(array.mapv(|value| self.keep(value)))
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};
    use proptest::prelude::*;

    const FORMATS: [Format; 4] = [Format::F32, Format::F16, Format::Bf16, Format::Tf32];

    fn rules(format: Format, rounding: Rounding) -> StorageRules {
        StorageRules { format, rounding, ..StorageRules::default() }
    }

    proptest! {
        #[test]
        fn without_more_words_it_is_what_the_half_crate_does(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(!value.is_nan());
            let keep = |format| rules(format, Rounding::NearestEven).keep(value);
            prop_assert_eq!(keep(Format::F16), f16::from_f32(value).to_f32());
            prop_assert_eq!(keep(Format::Bf16), bf16::from_f32(value).to_f32());
            prop_assert_eq!(keep(Format::F32), value);
        }

        #[test]
        fn flushing_leaves_no_subnormal_and_nothing_else_changes(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(!value.is_nan());
            for format in FORMATS {
                let keeping = rules(format, Rounding::NearestEven);
                let flushing = StorageRules { subnormals: Subnormals::Flush, ..keeping };
                let (kept, flushed) = (keeping.keep(value), flushing.keep(value));
                let normal = f64::from(kept.abs()) >= format.smallest_normal();
                prop_assert_eq!(flushed, if normal { kept } else { 0.0 });
                prop_assert_eq!(flushed.is_sign_negative(), value.is_sign_negative());
            }
        }

        #[test]
        fn overflow_goes_where_it_is_told(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            for format in FORMATS {
                for rounding in [Rounding::NearestEven, Rounding::TowardZero] {
                    let keep = |overflow| {
                        StorageRules { overflow, ..rules(format, rounding) }.keep(value)
                    };
                    let saturated = keep(Some(Overflow::Saturate));
                    prop_assert!(saturated.is_finite());
                    let infinite = keep(Some(Overflow::Infinity));
                    prop_assert!(infinite.is_infinite() || infinite == saturated);
                    let nearest = rules(format, Rounding::NearestEven).keep(value);
                    prop_assert_eq!(infinite.is_infinite(), nearest.is_infinite());
                }
            }
        }
    }

    #[test]
    fn nan_and_infinity_stay() {
        let rules = StorageRules {
            overflow: Some(Overflow::Saturate),
            ..rules(Format::F16, Rounding::TowardZero)
        };
        assert!(rules.keep(f32::NAN).is_nan());
        assert_eq!(rules.keep(f32::NEG_INFINITY), f32::NEG_INFINITY);
    }
}
