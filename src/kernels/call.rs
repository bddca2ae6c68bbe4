//! One node to compute: its type, attributes and inputs.

use crate::graph::Attribute;
use crate::tensor::{Tensor, element_count};
use ndarray::{ArrayD, IxDyn};
use std::collections::BTreeMap;

/// The reason why a kernel refuses a node: an unknown form, or inputs that do not fit.
pub type Refused = String;

/// A node with its attributes and inputs.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The type of the operator, as ONNX names it.
    pub op_type: &'a str,
    /// The version of the default operator set that the network imports.
    pub opset: i64,
    /// The node's attributes, without attributes that hold graphs.
    pub attributes: &'a BTreeMap<String, Attribute>,
    /// The inputs, including constants; `None` is an omitted input.
    pub inputs: &'a [Option<Tensor>],
    /// The number of the node's outputs.
    pub outputs: usize,
}

/// The elements of a tensor as `f64`, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reals {
    /// The extent of each axis.
    pub(super) shape: Vec<usize>,
    /// The elements.
    pub(super) values: Vec<f64>,
}

impl Reals {
    /// Elements of a shape. The caller ensures that their count fits the shape.
    pub(super) fn new(shape: &[usize], values: Vec<f64>) -> Self {
        debug_assert_eq!(element_count(shape), Some(values.len()));
        Reals { shape: shape.to_vec(), values }
    }

    /// The elements of any numeric tensor.
    pub(super) fn of(tensor: &Tensor) -> Self {
        Reals { shape: tensor.shape().to_vec(), values: tensor.numbers(1) }
    }

    /// The tensor of these elements.
    pub(super) fn into_tensor(self) -> Result<Tensor, Refused> {
        let array = ArrayD::from_shape_vec(IxDyn(&self.shape), self.values);
        array.map(Tensor::F64).map_err(|error| error.to_string())
    }
}

impl<'a> Call<'a> {
    /// An input, if the node has it.
    pub(super) fn input(&self, place: usize) -> Option<&'a Tensor> {
        self.inputs.get(place)?.as_ref()
    }

    /// A required input.
    pub(super) fn needed(&self, place: usize) -> Result<&'a Tensor, Refused> {
        self.input(place).ok_or_else(|| format!("input {place} is missing"))
    }

    /// Whole numbers in an input, such as axes; `None` if the node omits the input.
    pub(super) fn longs(&self, place: usize) -> Option<Vec<i64>> {
        let tensor = self.input(place).filter(|tensor| !tensor.dtype().is_float())?;
        Some(match tensor {
            Tensor::I64(array) => array.iter().copied().collect(),
            other => other.numbers(1).into_iter().map(|number| number as i64).collect(),
        })
    }

    /// An attribute that is a whole number.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attributes.get(name)?.as_int()
    }

    /// An attribute that is a list of whole numbers.
    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attributes.get(name)?.as_ints()
    }

    /// An attribute that is a number.
    pub(super) fn float(&self, name: &str) -> Option<f64> {
        self.attributes.get(name)?.as_float().map(f64::from)
    }

    /// An attribute that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.attributes.get(name)?.as_text()
    }
}

/// An axis counted from the front. A negative axis counts from the back.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, Refused> {
    let counted = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(counted)
        .ok()
        .filter(|&counted| counted < rank.max(1))
        .ok_or_else(|| format!("axis {axis} is not one of {rank}"))
}

/// Computes one operator.
pub(crate) type Kernel = fn(&Call<'_>) -> Result<Vec<Tensor>, Refused>;
