//! The tensor itself: one of numpy's element types over an `ndarray`.

use super::element::Element as _;
use super::{Digest, Dtype, element_count};
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use std::borrow::Cow;
use std::ops::Range;
use thiserror::Error;

/// A tensor whose element type is known at run time. Its elements are in row-major order.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the variants are the element types of `Dtype`")]
pub enum Tensor {
    F32(ArrayD<f32>),
    F16(ArrayD<f16>),
    Bf16(ArrayD<bf16>),
    F64(ArrayD<f64>),
    I8(ArrayD<i8>),
    I16(ArrayD<i16>),
    I32(ArrayD<i32>),
    I64(ArrayD<i64>),
    U8(ArrayD<u8>),
    U16(ArrayD<u16>),
    U32(ArrayD<u32>),
    U64(ArrayD<u64>),
    Bool(ArrayD<bool>),
}

/// Evaluates one expression with the typed array inside a [`Tensor`], for any element type.
#[macro_export]
macro_rules! with_array {
    ($tensor:expr, $array:ident => $body:expr) => {
        match $tensor {
            $crate::tensor::Tensor::F32($array) => $body,
            $crate::tensor::Tensor::F16($array) => $body,
            $crate::tensor::Tensor::Bf16($array) => $body,
            $crate::tensor::Tensor::F64($array) => $body,
            $crate::tensor::Tensor::I8($array) => $body,
            $crate::tensor::Tensor::I16($array) => $body,
            $crate::tensor::Tensor::I32($array) => $body,
            $crate::tensor::Tensor::I64($array) => $body,
            $crate::tensor::Tensor::U8($array) => $body,
            $crate::tensor::Tensor::U16($array) => $body,
            $crate::tensor::Tensor::U32($array) => $body,
            $crate::tensor::Tensor::U64($array) => $body,
            $crate::tensor::Tensor::Bool($array) => $body,
        }
    };
}

/// Rounds `f64` elements to a different floating-point type, to nearest even. Other tensors stay as they are.
pub fn narrowed(tensor: Tensor, dtype: Dtype) -> Tensor {
    let Tensor::F64(array) = &tensor else { return tensor };
    match dtype {
        Dtype::F32 => Tensor::F32(array.mapv(|value| value as f32)),
        Dtype::F16 => Tensor::F16(array.mapv(f16::from_f64)),
        Dtype::Bf16 => Tensor::Bf16(array.mapv(bf16::from_f64)),
        _ => tensor,
    }
}

/// Bytes that do not form a tensor.
#[derive(Debug, Error)]
pub enum TensorError {
    /// The shape's element count does not fit the machine.
    #[error("build a tensor of shape {0:?}: its size overflows")]
    TooLarge(Vec<usize>),
    /// Byte count and shape disagree.
    #[error("build a {dtype} tensor of shape {shape:?}: {got} bytes given, {want} needed")]
    Length {
        /// Element type asked for.
        dtype: Dtype,
        /// Shape asked for.
        shape: Vec<usize>,
        /// Bytes given.
        got: usize,
        /// Bytes needed.
        want: usize,
    },
}

impl Tensor {
    /// The element type.
    pub fn dtype(&self) -> Dtype {
        match self {
            Tensor::F32(_) => Dtype::F32,
            Tensor::F16(_) => Dtype::F16,
            Tensor::Bf16(_) => Dtype::Bf16,
            Tensor::F64(_) => Dtype::F64,
            Tensor::I8(_) => Dtype::I8,
            Tensor::I16(_) => Dtype::I16,
            Tensor::I32(_) => Dtype::I32,
            Tensor::I64(_) => Dtype::I64,
            Tensor::U8(_) => Dtype::U8,
            Tensor::U16(_) => Dtype::U16,
            Tensor::U32(_) => Dtype::U32,
            Tensor::U64(_) => Dtype::U64,
            Tensor::Bool(_) => Dtype::Bool,
        }
    }

    /// The extent of each axis; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        with_array!(self, array => array.shape())
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        with_array!(self, array => array.len())
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every `stride`-th element as a number, in row-major order; integers beyond 2^53 are rounded.
    pub fn numbers(&self, stride: usize) -> Vec<f64> {
        with_array!(self, array => {
            array.iter().step_by(stride).map(|element| element.number().value()).collect()
        })
    }

    /// The elements at these flat positions as numbers; integers beyond 2^53 are rounded.
    ///
    /// # Panics
    /// If the tensor has no such positions.
    pub fn numbers_in(&self, positions: Range<usize>) -> Vec<f64> {
        with_array!(self, array => match array.as_slice() {
            Some(elements) => elements[positions].iter().map(|element| element.number().value()).collect(),
            None => {
                let elements = array.iter().skip(positions.start).take(positions.len());
                elements.map(|element| element.number().value()).collect()
            }
        })
    }

    /// The elements as little-endian bytes in row-major order. They are borrowed if the tensor has that order in
    /// memory.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        with_array!(self, array => match array.as_slice() {
            Some(elements) => Cow::Borrowed(bytemuck::cast_slice(elements)),
            None => {
                let elements: Vec<_> = array.iter().copied().collect();
                Cow::Owned(bytemuck::cast_slice(&elements).to_vec())
            }
        })
    }

    /// A copy of [`Tensor::bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes().into_owned()
    }

    /// A tensor from little-endian bytes in row-major order.
    ///
    /// # Errors
    /// If the byte count is not what `shape` and `dtype` need.
    pub fn from_bytes(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Result<Self, TensorError> {
        let want = element_count(shape)
            .and_then(|count| count.checked_mul(dtype.size()))
            .ok_or_else(|| TensorError::TooLarge(shape.to_vec()))?;
        if want != bytes.len() {
            let (shape, got) = (shape.to_vec(), bytes.len());
            return Err(TensorError::Length { dtype, shape, got, want });
        }
        Ok(match dtype {
            Dtype::F32 => Tensor::F32(parse::<f32>(shape, bytes)),
            Dtype::F16 => Tensor::F16(parse::<f16>(shape, bytes)),
            Dtype::Bf16 => Tensor::Bf16(parse::<bf16>(shape, bytes)),
            Dtype::F64 => Tensor::F64(parse::<f64>(shape, bytes)),
            Dtype::I8 => Tensor::I8(parse::<i8>(shape, bytes)),
            Dtype::I16 => Tensor::I16(parse::<i16>(shape, bytes)),
            Dtype::I32 => Tensor::I32(parse::<i32>(shape, bytes)),
            Dtype::I64 => Tensor::I64(parse::<i64>(shape, bytes)),
            Dtype::U8 => Tensor::U8(parse::<u8>(shape, bytes)),
            Dtype::U16 => Tensor::U16(parse::<u16>(shape, bytes)),
            Dtype::U32 => Tensor::U32(parse::<u32>(shape, bytes)),
            Dtype::U64 => Tensor::U64(parse::<u64>(shape, bytes)),
            Dtype::Bool => {
                Tensor::Bool(of_shape(shape, bytes.iter().map(|byte| *byte != 0).collect()))
            }
        })
    }

    /// A tensor of `f32` elements in row-major order.
    ///
    /// # Errors
    /// If `shape` needs a different number of `elements`.
    pub fn from_f32(shape: &[usize], elements: Vec<f32>) -> Result<Self, TensorError> {
        let got = elements.len() * Dtype::F32.size();
        ArrayD::from_shape_vec(IxDyn(shape), elements).map(Tensor::F32).map_err(|_| {
            let want = element_count(shape).unwrap_or(usize::MAX).saturating_mul(4);
            TensorError::Length { dtype: Dtype::F32, shape: shape.to_vec(), got, want }
        })
    }

    /// The same elements in the shape of `other`, if the two shapes differ, but only by axes of length 1.
    pub fn in_shape_of(&self, other: &Tensor) -> Option<Tensor> {
        let longer = |tensor: &Tensor| -> Vec<usize> {
            tensor.shape().iter().copied().filter(|&extent| extent != 1).collect()
        };
        if self.shape() == other.shape() || longer(self) != longer(other) {
            return None;
        }
        Tensor::from_bytes(self.dtype(), other.shape(), &self.bytes()).ok()
    }

    /// The digest of element type, shape and bytes.
    pub fn digest(&self) -> Digest {
        let head = format!("{} {:?} ", self.dtype(), self.shape());
        Digest::of([head.as_bytes(), &self.bytes()])
    }
}

macro_rules! from_array {
    ($($variant:ident($element:ty)),+ $(,)?) => {
        $(impl From<ArrayD<$element>> for Tensor {
            fn from(array: ArrayD<$element>) -> Self {
                Tensor::$variant(array)
            }
        })+
    };
}
from_array!(
    F32(f32),
    F16(f16),
    Bf16(bf16),
    F64(f64),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    Bool(bool),
);

fn parse<T: bytemuck::Pod>(shape: &[usize], bytes: &[u8]) -> ArrayD<T> {
    of_shape(shape, bytemuck::pod_collect_to_vec(bytes))
}

fn of_shape<T>(shape: &[usize], elements: Vec<T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(IxDyn(shape), elements).expect("the byte count was checked")
}

// Tensors are read from memory and written to it as they lie there.
#[cfg(target_endian = "big")]
compile_error!("offby needs a little-endian machine");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let tensor = Tensor::from_f32(&[2, 2], vec![1.0, -0.0, f32::INFINITY, 4.5]).unwrap();
        let back = Tensor::from_bytes(Dtype::F32, &[2, 2], &tensor.to_bytes()).unwrap();
        assert_eq!(tensor, back);
        assert_eq!(tensor.digest(), back.digest());
    }

    #[test]
    fn a_wrong_byte_count_is_refused() {
        assert!(Tensor::from_bytes(Dtype::I64, &[2], &[0; 15]).is_err());
        assert!(Tensor::from_bytes(Dtype::U8, &[usize::MAX, 2], &[]).is_err());
    }
}
