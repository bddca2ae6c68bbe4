//! Finite values that break formats and kernels.

use super::element;
use crate::tensor::Dtype;

/// The hard values of a float type.
pub(super) fn reals(dtype: Dtype) -> Vec<f64> {
    const F16_MIN_SUBNORMAL: f64 = 1.0 / 16_777_216.0; // 2^-24
    const F16_MIN_NORMAL: f64 = 1.0 / 16_384.0; // 2^-14
    let smallest = match dtype {
        Dtype::F16 => F16_MIN_SUBNORMAL,
        Dtype::Bf16 => libm::ldexp(1.0, -133),
        Dtype::F64 => libm::ldexp(1.0, -1074),
        _ => libm::ldexp(1.0, -149),
    };
    let magnitudes = [
        0.0,
        1.0,
        smallest,
        F16_MIN_SUBNORMAL,
        F16_MIN_NORMAL - F16_MIN_SUBNORMAL, // the largest f16 subnormal
        F16_MIN_NORMAL,
        1e-6,   // a layer scale that f16 flushes or rounds badly
        7.624,  // ln(65504 / 32): a sum of 32 exponentials leaves f16
        11.1,   // about ln(65504): exp leaves f16
        88.7,   // about ln(3.4e38): exp leaves f32
        2048.0, // the last integer before f16 skips some
        2049.0,
        10_000.0, // its square leaves f16
        65_504.0, // the largest f16
        65_520.0, // the first value that rounds to infinity in f16
    ];
    let signed = magnitudes.iter().flat_map(|&magnitude| [magnitude, -magnitude]);
    signed.filter(|&value| element::fits(dtype, value)).collect()
}

/// The hard values of an integer type, or of booleans.
pub(super) fn wholes(dtype: Dtype) -> Vec<i128> {
    let (low, high) = element::bounds(dtype);
    let wanted =
        [0, 1, -1, 2, 127, 128, -128, 255, 256, 2049, 65_535, 1 << 24, (1 << 24) + 1, low, high];
    wanted.into_iter().filter(|value| (low..=high).contains(value)).collect()
}
