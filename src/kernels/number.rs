//! The elements of a tensor as numbers: integers exactly, floating-point ones as `f64`.
//!
//! An integer of any width fits an `i128`. So one loop computes all integer types, and the result
//! wraps on return to its own type. The low bits of the result are right even if an `i128` overflows.

use super::call::{Call, Reals, Refused};
use crate::tensor::{Dtype, Tensor};
use ndarray::{ArrayD, IxDyn};

/// The elements of a tensor of integers or of `bool`, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wholes {
    /// The extent of each axis.
    pub(super) shape: Vec<usize>,
    /// The elements; `bool` is 0 or 1.
    pub(super) values: Vec<i128>,
    /// The original type, to which the elements return.
    pub(super) dtype: Dtype,
}

/// The elements of a tensor of any type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Numbers {
    /// Floating-point elements.
    Reals(Reals),
    /// Integers, or `bool`.
    Wholes(Wholes),
}

impl Numbers {
    /// The elements of a required input.
    pub(super) fn of(call: &Call<'_>, place: usize) -> Result<Self, Refused> {
        let tensor = call.needed(place)?;
        Ok(match Wholes::of(tensor) {
            Some(wholes) => Numbers::Wholes(wholes),
            None => Numbers::Reals(Reals::of(tensor)),
        })
    }
}

impl Wholes {
    /// The elements of a tensor of integers or of `bool`; `None` for floating-point ones.
    pub(super) fn of(tensor: &Tensor) -> Option<Self> {
        let values = match tensor {
            Tensor::I8(array) => widened(array),
            Tensor::I16(array) => widened(array),
            Tensor::I32(array) => widened(array),
            Tensor::I64(array) => widened(array),
            Tensor::U8(array) => widened(array),
            Tensor::U16(array) => widened(array),
            Tensor::U32(array) => widened(array),
            Tensor::U64(array) => widened(array),
            Tensor::Bool(array) => array.iter().map(|&value| i128::from(value)).collect(),
            Tensor::F32(_) | Tensor::F16(_) | Tensor::Bf16(_) | Tensor::F64(_) => return None,
        };
        Some(Wholes { shape: tensor.shape().to_vec(), values, dtype: tensor.dtype() })
    }

    /// The tensor of these elements in their own type. Elements that do not fit wrap.
    pub(super) fn into_tensor(self) -> Result<Tensor, Refused> {
        let Wholes { shape, values, dtype } = self;
        match dtype {
            Dtype::I8 => narrowed(&shape, &values, |value| value as i8),
            Dtype::I16 => narrowed(&shape, &values, |value| value as i16),
            Dtype::I32 => narrowed(&shape, &values, |value| value as i32),
            Dtype::I64 => narrowed(&shape, &values, |value| value as i64),
            Dtype::U8 => narrowed(&shape, &values, |value| value as u8),
            Dtype::U16 => narrowed(&shape, &values, |value| value as u16),
            Dtype::U32 => narrowed(&shape, &values, |value| value as u32),
            Dtype::U64 => narrowed(&shape, &values, |value| value as u64),
            Dtype::Bool => narrowed(&shape, &values, |value| value != 0),
            other => Err(format!("{other} is no type of integers")),
        }
    }
}

fn widened<T: Copy + Into<i128>>(array: &ArrayD<T>) -> Vec<i128> {
    array.iter().map(|&value| value.into()).collect()
}

fn narrowed<T>(shape: &[usize], values: &[i128], to: fn(i128) -> T) -> Result<Tensor, Refused>
where
    Tensor: From<ArrayD<T>>,
{
    tensor_of(shape, values.iter().map(|&value| to(value)).collect())
}

/// The smallest and the largest value of a type of integers; `None` for floating-point types.
pub(super) fn limits(dtype: Dtype) -> Option<(i128, i128)> {
    Some(match dtype {
        Dtype::I8 => (i8::MIN.into(), i8::MAX.into()),
        Dtype::I16 => (i16::MIN.into(), i16::MAX.into()),
        Dtype::I32 => (i32::MIN.into(), i32::MAX.into()),
        Dtype::I64 => (i64::MIN.into(), i64::MAX.into()),
        Dtype::U8 => (0, u8::MAX.into()),
        Dtype::U16 => (0, u16::MAX.into()),
        Dtype::U32 => (0, u32::MAX.into()),
        Dtype::U64 => (0, u64::MAX.into()),
        Dtype::Bool => (0, 1),
        Dtype::F32 | Dtype::F16 | Dtype::Bf16 | Dtype::F64 => return None,
    })
}

/// The tensor of elements in row-major order.
pub(super) fn tensor_of<T>(shape: &[usize], values: Vec<T>) -> Result<Tensor, Refused>
where
    Tensor: From<ArrayD<T>>,
{
    let array = ArrayD::from_shape_vec(IxDyn(shape), values);
    array.map(Tensor::from).map_err(|error| error.to_string())
}

/// The elements of an input that must be floating-point.
pub(super) fn floats(call: &Call<'_>, place: usize) -> Result<Reals, Refused> {
    let tensor = call.needed(place)?;
    if tensor.dtype().is_float() {
        Ok(Reals::of(tensor))
    } else {
        Err(format!("input {place} is {}, not floating-point", tensor.dtype()))
    }
}

/// Whether a 0-or-1 attribute is set. Any other value is refused.
pub(super) fn flag(call: &Call<'_>, name: &str, default: bool) -> Result<bool, Refused> {
    match call.int(name) {
        None => Ok(default),
        Some(value @ (0 | 1)) => Ok(value == 1),
        Some(other) => Err(format!("{name} is {other}, neither 0 nor 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_in_their_own_type() {
        let tensors = [
            tensor_of(&[2], vec![i64::MIN, i64::MAX]).unwrap(),
            tensor_of(&[2], vec![u64::MIN, u64::MAX]).unwrap(),
            tensor_of(&[2], vec![i8::MIN, i8::MAX]).unwrap(),
            tensor_of(&[2], vec![false, true]).unwrap(),
            tensor_of(&[0, 3], Vec::<u16>::new()).unwrap(),
        ];
        for tensor in tensors {
            assert_eq!(Wholes::of(&tensor).unwrap().into_tensor().unwrap(), tensor);
        }
        assert_eq!(Wholes::of(&tensor_of(&[1], vec![1.0_f32]).unwrap()), None);
    }

    #[test]
    fn what_does_not_fit_wraps() {
        let of = |values: Vec<i128>, dtype| Wholes { shape: vec![values.len()], values, dtype };
        let wrapped = of(vec![200, -129, 1 << 70], Dtype::I8).into_tensor().unwrap();
        assert_eq!(wrapped, tensor_of(&[3], vec![-56_i8, 127, 0]).unwrap());
        assert!(of(vec![1], Dtype::F32).into_tensor().is_err());
    }

    #[test]
    fn limits_are_those_of_the_type() {
        assert_eq!(limits(Dtype::U16), Some((0, 65535)));
        assert_eq!(limits(Dtype::I8), Some((-128, 127)));
        assert_eq!(limits(Dtype::Bf16), None);
    }
}
