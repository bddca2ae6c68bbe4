//! Writes one number as the bytes of an element type.

use crate::tensor::Dtype;
use half::{bf16, f16};

/// Appends `value`, rounded to nearest even, to `bytes`. Returns false if a finite value became infinite.
///
/// Narrow formats round from f32 on every platform, because direct rounding from f64 differs between processors.
pub(super) fn push_real(bytes: &mut Vec<u8>, dtype: Dtype, value: f64) -> bool {
    let single = value as f32;
    let finite = match dtype {
        Dtype::F16 => {
            let half = f16::from_f32(single);
            bytes.extend(half.to_le_bytes());
            half.is_finite()
        }
        Dtype::Bf16 => {
            let half = bf16::from_f32(single);
            bytes.extend(half.to_le_bytes());
            half.is_finite()
        }
        Dtype::F64 => {
            bytes.extend(value.to_le_bytes());
            value.is_finite()
        }
        _ => {
            bytes.extend(single.to_le_bytes());
            single.is_finite()
        }
    };
    finite || !value.is_finite()
}

/// Whether `value` stays finite in `dtype`.
pub(super) fn fits(dtype: Dtype, value: f64) -> bool {
    push_real(&mut Vec::new(), dtype, value)
}

/// Appends the low bytes of a whole number within [`bounds`].
pub(super) fn push_whole(bytes: &mut Vec<u8>, dtype: Dtype, value: i128) {
    bytes.extend(value.to_le_bytes().into_iter().take(dtype.size()));
}

/// The smallest and the largest whole number of an integer type; 0 and 1 for booleans.
pub(super) fn bounds(dtype: Dtype) -> (i128, i128) {
    match dtype {
        Dtype::I8 => (i8::MIN.into(), i8::MAX.into()),
        Dtype::I16 => (i16::MIN.into(), i16::MAX.into()),
        Dtype::I32 => (i32::MIN.into(), i32::MAX.into()),
        Dtype::I64 => (i64::MIN.into(), i64::MAX.into()),
        Dtype::U8 => (0, u8::MAX.into()),
        Dtype::U16 => (0, u16::MAX.into()),
        Dtype::U32 => (0, u32::MAX.into()),
        Dtype::U64 => (0, u64::MAX.into()),
        Dtype::Bool | Dtype::F32 | Dtype::F16 | Dtype::Bf16 | Dtype::F64 => (0, 1),
    }
}
