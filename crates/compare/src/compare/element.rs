//! Elements of any type as numbers, without loss.

use crate::tensor::{Dtype, Tensor};
use crate::with_array;
use half::{bf16, f16};
use std::borrow::Cow;
use std::ops::Range;

/// An element promoted without loss: every float type fits an `f64`, every integer type an `i128`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Float(f64),
    Integer(i128),
}

impl Number {
    /// The value. An integer beyond 2^53 is rounded to `f64`.
    pub(super) fn value(self) -> f64 {
        match self {
            Number::Float(value) => value,
            Number::Integer(value) => value as f64,
        }
    }
}

/// An element type of [`Tensor`].
pub(super) trait Element: Copy {
    fn number(self) -> Number;
    /// The element as stored, in the low bits.
    fn bits(self) -> u64;
}

macro_rules! float_element {
    ($($float:ty),*) => {$(
        impl Element for $float {
            fn number(self) -> Number {
                Number::Float(self.into())
            }
            fn bits(self) -> u64 {
                self.to_bits().into()
            }
        }
    )*};
}
float_element!(f32, f16, bf16, f64);

macro_rules! integer_element {
    ($($integer:ty as $stored:ty),*) => {$(
        impl Element for $integer {
            fn number(self) -> Number {
                Number::Integer(self.into())
            }
            fn bits(self) -> u64 {
                (self as $stored).into()
            }
        }
    )*};
}
integer_element!(
    i8 as u8, i16 as u16, i32 as u32, i64 as u64, u8 as u8, u16 as u16, u32 as u32, u64 as u64,
    bool as u8
);

/// The tensor with its elements in memory in row-major order. Only a tensor in a different order is copied.
pub(super) fn row_major(tensor: &Tensor) -> Cow<'_, Tensor> {
    if with_array!(tensor, array => array.is_standard_layout()) {
        return Cow::Borrowed(tensor);
    }
    let copy = Tensor::from_bytes(tensor.dtype(), tensor.shape(), &tensor.bytes());
    Cow::Owned(copy.expect("a tensor's own bytes make a tensor"))
}

fn row_major_slice<T>(array: &ndarray::ArrayD<T>) -> &[T] {
    array.as_slice().expect("row_major laid the elements out")
}

/// The elements of a row-major tensor at the given flat positions.
pub(super) fn numbers(tensor: &Tensor, flat: Range<usize>) -> Vec<Number> {
    with_array!(tensor, array => row_major_slice(array)[flat].iter().map(|element| element.number()).collect())
}

/// Every `stride`th element of a row-major tensor. An integer beyond 2^53 is rounded.
pub(super) fn strided(tensor: &Tensor, stride: usize) -> Vec<f64> {
    with_array!(tensor, array => {
        row_major_slice(array).iter().step_by(stride).map(|element| element.number().value()).collect()
    })
}

/// One element of a row-major tensor.
pub(super) fn number(tensor: &Tensor, flat: usize) -> Number {
    with_array!(tensor, array => row_major_slice(array)[flat].number())
}

/// One element of a row-major tensor, and its stored bits in hexadecimal.
pub(super) fn element(tensor: &Tensor, flat: usize) -> (Number, String) {
    let (number, bits) = with_array!(tensor, array => {
        let element = row_major_slice(array)[flat];
        (element.number(), element.bits())
    });
    (number, format!("{bits:#0width$x}", width = 2 + 2 * tensor.dtype().size()))
}

/// Whether every element of this type is exactly an `f32`.
pub(super) fn fits_single(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::Bf16)
}

/// The elements of a row-major tensor that [`fits_single`]. A full block of `f32` is borrowed, and all other
/// elements are copied into `scratch`.
pub(super) fn singles<'a, const N: usize>(
    tensor: &'a Tensor,
    flat: Range<usize>,
    scratch: &'a mut [f32; N],
) -> &'a [f32; N] {
    use half::slice::HalfFloatSliceExt as _;
    if let Tensor::F32(array) = tensor
        && let Ok(block) = row_major_slice(array)[flat.clone()].try_into()
    {
        return block;
    }
    let filled = flat.len();
    let (head, rest) = scratch.split_at_mut(filled);
    match tensor {
        Tensor::F32(array) => head.copy_from_slice(&row_major_slice(array)[flat]),
        Tensor::F16(array) => row_major_slice(array)[flat].convert_to_f32_slice(head),
        Tensor::Bf16(array) => row_major_slice(array)[flat].convert_to_f32_slice(head),
        _ => unreachable!("only single and half precision fit an f32"),
    }
    rest.fill(0.0);
    scratch
}
