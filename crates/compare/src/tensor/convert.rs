//! The same values in a different element type.

use super::value::narrowed;
use super::{Dtype, Tensor};
use ndarray::{ArrayD, IxDyn};

/// 2^53. Up to this value, an `f64` represents every whole number.
const WHOLE: f64 = 9_007_199_254_740_992.0;

impl Tensor {
    /// The tensor in a different element type, if that type has every one of its values. Otherwise, the first value
    /// that the type lacks. NaN and infinities are values that all floating-point types have.
    pub fn exactly(&self, wanted: Dtype) -> Result<Tensor, f64> {
        if self.dtype() == wanted {
            return Ok(self.clone());
        }
        let values = self.numbers(1);
        let is_wide = matches!(self.dtype(), Dtype::I64 | Dtype::U64);
        let is_same = |&value: &f64| {
            let back = made(&[1], vec![value], wanted).numbers(1);
            let same = back.first().is_some_and(|back| {
                back.to_bits() == value.to_bits() || (back.is_nan() && value.is_nan())
            });
            same && !(is_wide && value.abs() > WHOLE)
        };
        match values.iter().find(|value| !is_same(value)) {
            Some(value) => Err(*value),
            None => Ok(made(self.shape(), values, wanted)),
        }
    }
}

/// Values as an element type. A value that the type lacks becomes a near value.
fn made(shape: &[usize], values: Vec<f64>, wanted: Dtype) -> Tensor {
    let array =
        ArrayD::from_shape_vec(IxDyn(shape), values).expect("there is a value for each element");
    match wanted {
        Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::Bf16 => narrowed(Tensor::F64(array), wanted),
        Dtype::I8 => Tensor::I8(array.mapv(|value| value as i8)),
        Dtype::I16 => Tensor::I16(array.mapv(|value| value as i16)),
        Dtype::I32 => Tensor::I32(array.mapv(|value| value as i32)),
        Dtype::I64 => Tensor::I64(array.mapv(|value| value as i64)),
        Dtype::U8 => Tensor::U8(array.mapv(|value| value as u8)),
        Dtype::U16 => Tensor::U16(array.mapv(|value| value as u16)),
        Dtype::U32 => Tensor::U32(array.mapv(|value| value as u32)),
        Dtype::U64 => Tensor::U64(array.mapv(|value| value as u64)),
        Dtype::Bool => Tensor::Bool(array.mapv(|value| value != 0.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    #[test]
    fn only_what_the_type_has_is_taken() {
        let longs = |values: &[i64]| {
            Tensor::I64(ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec()).unwrap())
        };
        assert_eq!(longs(&[1, -2]).exactly(Dtype::I32).unwrap().numbers(1), [1.0, -2.0]);
        assert_eq!(longs(&[1, 3_000_000_000]).exactly(Dtype::I32), Err(3e9));
        assert_eq!(longs(&[0, 2]).exactly(Dtype::Bool), Err(2.0));
        assert_eq!(longs(&[i64::MAX]).exactly(Dtype::U64), Err(i64::MAX as f64));
        let floats = Tensor::from_f32(&[3], vec![0.5, f32::NAN, f32::INFINITY]).unwrap();
        assert!(floats.exactly(Dtype::F16).is_ok());
        assert_eq!(floats.exactly(Dtype::I8), Err(0.5));
        let tenth = Tensor::F64(ArrayD::from_elem(IxDyn(&[1]), 0.1));
        assert_eq!(tenth.exactly(Dtype::F32), Err(0.1));
        assert_eq!(Tensor::from_f32(&[1], vec![-0.0]).unwrap().exactly(Dtype::I32), Err(-0.0));
        assert_eq!(
            Tensor::F16(ArrayD::from_elem(IxDyn(&[1]), f16::ONE)).exactly(Dtype::Bf16).unwrap(),
            Tensor::Bf16(ArrayD::from_elem(IxDyn(&[1]), bf16::ONE))
        );
    }
}
