//! Elements at their places in a tensor of any type.

use crate::tensor::{Dtype, Element as _, Number, Tensor};
use crate::with_array;
use std::borrow::Cow;
use std::ops::Range;

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
