//! What an honest backend with this storage format would introduce.

use super::contract::Operand;
use super::gauge::Gauge;
use crate::tensor::Tensor;
use half::f16;
use serde::{Deserialize, Serialize};

/// The format a candidate keeps its intermediate values in: measured, not assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// 32-bit.
    F32,
    /// 16-bit.
    F16,
}

impl Storage {
    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Storage::F32 => "f32",
            Storage::F16 => "f16",
        }
    }

    /// The largest finite value.
    pub fn max(self) -> f64 {
        match self {
            Storage::F32 => f64::from(f32::MAX),
            Storage::F16 => 65504.0,
        }
    }
}

/// Share of outputs that must be exact 16-bit values to call the storage 16-bit.
const HALF_SHARE: f64 = 0.9;

/// Counts whose outputs are exactly 16-bit values.
#[derive(Debug, Clone, Copy, Default)]
pub struct StorageCensus {
    half: usize,
    all: usize,
}

impl StorageCensus {
    /// Counts one output; tensors that could be exact in any format tell nothing.
    pub fn observe(&mut self, output: &Tensor) {
        let Tensor::F32(array) = output else { return };
        if array.iter().all(|&value| value.fract() == 0.0 && value.abs() <= 2048.0) {
            return;
        }
        self.all += 1;
        self.half += usize::from(array.iter().all(|&value| is_half(value)));
    }

    /// The format of most outputs.
    pub fn storage(&self) -> Storage {
        let half = self.all > 0 && self.half as f64 >= HALF_SHARE * self.all as f64;
        if half { Storage::F16 } else { Storage::F32 }
    }
}

fn is_half(value: f32) -> bool {
    value.is_nan() || f16::from_f32(value).to_f32() == value
}

/// Every element rounded to `f16`, toward zero as Vulkan's image stores do: of the two roundings
/// the one that costs more. Other element types stay as they are.
pub fn round_to_f16(tensor: &Tensor) -> Tensor {
    match tensor {
        Tensor::F32(array) => Tensor::F32(array.mapv(toward_zero)),
        other => other.clone(),
    }
}

fn toward_zero(value: f32) -> f32 {
    if !value.is_finite() {
        return value;
    }
    let nearest = f16::from_f32(value);
    let rounded = nearest.to_f32();
    if rounded.abs() <= value.abs() {
        return rounded;
    }
    // One step toward zero: the neighbour in the order of magnitudes.
    f16::from_bits(nearest.to_bits() - 1).to_f32()
}

/// The inputs as a 16-bit backend has them.
pub(super) fn round_operands(inputs: &[Operand]) -> Vec<Operand> {
    let round = |operand: &Operand| match operand {
        Operand::Value(tensor) => Operand::Value(round_to_f16(tensor)),
        other => other.clone(),
    };
    inputs.iter().map(round).collect()
}

/// Half an ulp of `f16` relative to its value: no storage in it is better than this.
const F16_ROUNDING: f64 = 1.0 / 4096.0;
/// The ratio of the epsilons of `f32` and `f16`, 2⁻¹³, times 16 for sums in another order and
/// for fast functions, which real fp32 backends use.
const F32_OF_F16: f64 = 16.0 / 8192.0;

/// The floor of an operator in the format, from its error when executed with 16-bit inputs,
/// weights and outputs. Rounding errors are first order in epsilon, so that the `f32` floor is the
/// same error on a smaller scale: an operator that cancels has a high floor in both.
pub(super) fn floor(storage: Storage, half: Option<Gauge>) -> f64 {
    let half =
        half.filter(|gauge| gauge.disagreeing == 0).map_or(F16_ROUNDING, |gauge| gauge.rel_l2);
    let half = half.max(F16_ROUNDING);
    match storage {
        Storage::F16 => half,
        Storage::F32 => half.min(1.0) * F32_OF_F16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toward_zero_never_grows() {
        for (value, expected) in
            [(4047.0, 4046.0), (-4047.0, -4046.0), (1.0, 1.0), (70000.0, 65504.0), (1e-9, 0.0)]
        {
            assert_eq!(toward_zero(value), expected, "{value}");
        }
        assert!(toward_zero(f32::NAN).is_nan());
    }

    #[test]
    fn whole_numbers_tell_nothing_of_the_storage() {
        let mut census = StorageCensus::default();
        census.observe(&Tensor::from_f32(&[2], vec![1.0, 2.0]).unwrap());
        assert_eq!(census.storage(), Storage::F32);
        census.observe(&Tensor::from_f32(&[2], vec![0.5, 0.099_975_586]).unwrap());
        assert_eq!(census.storage(), Storage::F16);
        census.observe(&Tensor::from_f32(&[2], vec![0.5, 0.1]).unwrap());
        assert_eq!(census.storage(), Storage::F32);
    }
}
