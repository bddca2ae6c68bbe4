//! `Cast`: converts elements to a different type.

use super::call::{Call, Reals, Refused};
use super::number::{Numbers, Wholes, limits, tensor_of};
use crate::tensor::{Dtype, Format, Rounding, Tensor, round};

/// From this number on, not every whole number is an `f64`.
const EXACT: u128 = 1 << 53;

/// Converts the elements to the type that the attribute `to` names.
///
/// Floating-point results are rounded to that type, but kept as `f64`.
pub(super) fn cast(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let to = call.int("to").ok_or("Cast does not say `to` what type")?;
    let dtype = dtype_of(to).ok_or_else(|| format!("Cast to ONNX type {to} is unknown"))?;
    let numbers = Numbers::of(call, 0)?;
    let made = match (numbers, dtype) {
        (Numbers::Reals(reals), Dtype::Bool) => {
            let values = reals.values.iter().map(|&value| value != 0.0).collect();
            tensor_of(&reals.shape, values)?
        }
        (Numbers::Wholes(wholes), Dtype::Bool) => {
            let values = wholes.values.iter().map(|&value| value != 0).collect();
            tensor_of(&wholes.shape, values)?
        }
        (Numbers::Reals(mut reals), to) if to.is_float() => {
            reals.values.iter_mut().for_each(|value| *value = rounded(*value, to));
            reals.into_tensor()?
        }
        (Numbers::Wholes(wholes), to) if to.is_float() => {
            let values = wholes.values.iter().map(|&value| rounded(near(value, to), to)).collect();
            Reals::new(&wholes.shape, values).into_tensor()?
        }
        (Numbers::Reals(reals), dtype) => {
            let values = reals.values.iter().map(|&value| truncated(value, dtype));
            let values = values.collect::<Result<_, _>>()?;
            Wholes { shape: reals.shape, values, dtype }.into_tensor()?
        }
        (Numbers::Wholes(wholes), dtype) => Wholes { dtype, ..wholes }.into_tensor()?,
    };
    Ok(vec![made])
}

/// The element type that a number of ONNX's `TensorProto.DataType` names.
pub(super) fn dtype_of(number: i64) -> Option<Dtype> {
    Some(match number {
        1 => Dtype::F32,
        2 => Dtype::U8,
        3 => Dtype::I8,
        4 => Dtype::U16,
        5 => Dtype::I16,
        6 => Dtype::I32,
        7 => Dtype::I64,
        9 => Dtype::Bool,
        10 => Dtype::F16,
        11 => Dtype::F64,
        12 => Dtype::U32,
        13 => Dtype::U64,
        16 => Dtype::Bf16,
        _ => return None,
    })
}

/// A value rounded to a floating-point type; an `f64` stays unchanged.
pub(super) fn rounded(value: f64, dtype: Dtype) -> f64 {
    let format = match dtype {
        Dtype::F32 => Format::F32,
        Dtype::F16 => Format::F16,
        Dtype::Bf16 => Format::Bf16,
        _ => return value,
    };
    round(value, format, Rounding::NearestEven)
}

/// An integer as `f64`. Rounding the `f64` to the type `to` equals rounding the integer.
fn near(value: i128, to: Dtype) -> f64 {
    let magnitude = value.unsigned_abs();
    if to == Dtype::F64 || magnitude < EXACT {
        return value as f64;
    }
    // Rounding twice can round wrongly. So the digits that no narrow type sees are cut off first.
    // One digit records whether any of them was not 0.
    let (kept, cut) = (magnitude >> 16 << 16, magnitude & 0xffff);
    let sticky = if cut == 0 { kept } else { kept | 0x1_0000 };
    (sticky as f64).copysign(if value < 0 { -1.0 } else { 1.0 })
}

fn truncated(value: f64, dtype: Dtype) -> Result<i128, Refused> {
    let (low, high) = limits(dtype).ok_or_else(|| format!("{dtype} has no whole numbers"))?;
    // The conversion saturates far beyond any type, so a value out of range stays out of range.
    let whole = value.trunc() as i128;
    if value.is_nan() || whole < low || whole > high {
        return Err(format!("undefined: {value} is not in the range of {dtype}"));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn run(input: Tensor, to: i64) -> Result<Tensor, Refused> {
        let attributes = BTreeMap::from([("to".to_owned(), Attribute::Int(to))]);
        let inputs = [Some(input)];
        let call = Call {
            op_type: "Cast",
            opset: 19,
            attributes: &attributes,
            inputs: &inputs,
            outputs: 1,
        };
        cast(&call).map(|mut made| made.remove(0))
    }

    fn vector<T: Clone>(values: &[T]) -> Tensor
    where
        Tensor: From<ndarray::ArrayD<T>>,
    {
        tensor_of(&[values.len()], values.to_vec()).unwrap()
    }

    #[test]
    fn reals_round_to_the_target() {
        let got = run(vector(&[1.0_f64 + 1e-12, 1e39, -0.0, f64::NAN]), 1).unwrap().numbers(1);
        assert!(got[..3] == [1.0, f64::INFINITY, 0.0] && got[3].is_nan());
        assert_eq!(
            run(vector(&[2049.0_f32, 65520.0]), 10).unwrap().numbers(1),
            [2048.0, f64::INFINITY]
        );
        assert_eq!(run(vector(&[257.0_f32]), 16).unwrap().numbers(1), [256.0]);
        assert_eq!(run(vector(&[0.1_f64]), 11).unwrap().numbers(1), [0.1]);
    }

    #[test]
    fn reals_truncate_to_integers() {
        assert_eq!(run(vector(&[-1.9_f32, 1.9]), 6), Ok(vector(&[-1_i32, 1])));
        assert_eq!(run(vector(&[-0.9_f32, 255.9]), 2), Ok(vector(&[0_u8, 255])));
        assert_eq!(run(vector(&[-(2_f64.powi(63))]), 7), Ok(vector(&[i64::MIN])));
        for (value, to) in
            [(256.0, 2), (-1.0, 2), (9.3e18, 7), (f64::NAN, 6), (f64::INFINITY, 13), (1e300, 13)]
        {
            assert!(run(vector(&[value]), to).unwrap_err().starts_with("undefined: "));
        }
    }

    #[test]
    fn integers_wrap_and_round_once() {
        assert_eq!(run(vector(&[200_i16, -1]), 3), Ok(vector(&[-56_i8, -1])));
        assert_eq!(run(vector(&[-1_i32]), 13), Ok(vector(&[u64::MAX])));
        // If rounded to f64 first, this number would be a tie and round to 2^62.
        let tie = (1_i64 << 62) + (1 << 54) + 1;
        let above = 2_f64.powi(62) + 2_f64.powi(55);
        assert_eq!(run(vector(&[tie, -tie]), 16).unwrap().numbers(1), [above, -above]);
        let mut value = 1_i64;
        for step in 0..20_000_i64 {
            value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step);
            let value = value >> (step % 60);
            let got = run(vector(&[value]), 1).unwrap().numbers(1)[0];
            assert_eq!(got, f64::from(value as f32));
            let got = run(vector(&[value as u64]), 1).unwrap().numbers(1)[0];
            assert_eq!(got, f64::from(value as u64 as f32));
        }
    }

    #[test]
    fn bools_are_zero_and_one() {
        assert_eq!(
            run(vector(&[0.0_f32, -0.0, 0.1, f32::NAN]), 9),
            Ok(vector(&[false, false, true, true]))
        );
        assert_eq!(run(vector(&[256_i32, 0]), 9), Ok(vector(&[true, false])));
        assert_eq!(run(vector(&[true, false]), 7), Ok(vector(&[1_i64, 0])));
        assert_eq!(run(vector(&[true]), 1).unwrap().numbers(1), [1.0]);
    }

    #[test]
    fn other_types_are_refused() {
        for to in [0, 8, 14, 15, 17, 23, -1, i64::MAX] {
            assert!(run(vector(&[1.0_f32]), to).is_err());
        }
    }
}
