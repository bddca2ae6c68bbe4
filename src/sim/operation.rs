//! A node and its inputs, as faults read them.

use crate::graph::Attribute;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// The facts about a node that faults need, apart from its tensors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeFacts {
    /// The node's position in the order of execution.
    pub index: usize,
    /// The node's name, or its first output's if the node has none.
    pub label: String,
    /// The node's ONNX op type.
    pub op_type: String,
    /// The node's attributes, without graphs.
    pub attributes: BTreeMap<String, Attribute>,
}

impl NodeFacts {
    /// An attribute that is a whole number.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attributes.get(name)?.as_int()
    }

    /// An attribute that is a list of whole numbers.
    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attributes.get(name)?.as_ints()
    }

    /// An attribute that is a number.
    pub(super) fn float(&self, name: &str) -> Option<f32> {
        self.attributes.get(name)?.as_float()
    }

    /// An attribute that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.as_text()
    }
}

/// A node and its inputs, constants included; `None` is an omitted input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'a> {
    /// The node.
    pub(super) node: &'a NodeFacts,
    /// The node's inputs.
    pub(super) inputs: &'a [Option<Tensor>],
}

impl<'a> Operation<'a> {
    /// An input, if it is present.
    pub(super) fn input(&self, place: usize) -> Option<&'a Tensor> {
        self.inputs.get(place)?.as_ref()
    }

    /// An input of `f32` elements.
    pub(super) fn floats(&self, place: usize) -> Option<Floats<'a>> {
        Floats::of(self.input(place)?)
    }

    /// An input of `i64` elements, such as axes.
    pub(super) fn longs(&self, place: usize) -> Option<Vec<i64>> {
        match self.input(place)? {
            Tensor::I64(array) => Some(array.iter().copied().collect()),
            _ => None,
        }
    }
}

/// The elements of an `f32` tensor in row-major order.
#[derive(Debug, Clone)]
pub(super) struct Floats<'a> {
    /// The extent of each axis.
    pub(super) shape: &'a [usize],
    /// The elements.
    pub(super) values: Vec<f32>,
}

impl<'a> Floats<'a> {
    /// The elements of a tensor, if they are `f32`.
    pub(super) fn of(tensor: &'a Tensor) -> Option<Self> {
        match tensor {
            Tensor::F32(array) => {
                Some(Floats { shape: array.shape(), values: array.iter().copied().collect() })
            }
            _ => None,
        }
    }

    /// The node's axis counted from the front; the node may count it from the back.
    pub(super) fn axis(&self, axis: i64) -> Option<usize> {
        place_of(axis, self.shape.len())
    }
}

/// An axis counted from the front.
pub(super) fn place_of(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let place = if axis < 0 { axis + rank } else { axis };
    usize::try_from(place).ok().filter(|_| place < rank)
}

/// A tensor of these elements; `None` if their number does not fit the shape.
pub(super) fn tensor(shape: &[usize], values: Vec<f32>) -> Option<Tensor> {
    Tensor::from_f32(shape, values).ok()
}

/// Changes every `f32` output element by element; `change` gets each element's flat position.
pub(super) fn each(right: &[Tensor], change: impl Fn(usize, f32) -> f32) -> Vec<Tensor> {
    let changed = |output: &Tensor| match output {
        Tensor::F32(array) => {
            let mut array = array.clone();
            array.iter_mut().enumerate().for_each(|(at, value)| *value = change(at, *value));
            Tensor::F32(array)
        }
        other => other.clone(),
    };
    right.iter().map(changed).collect()
}

/// Three extents: before an axis, of the axis, and after it.
pub(super) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

/// The current run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CurrentRun {
    /// The number of the run, counted from 1.
    pub run: usize,
    /// Whether the caller reads every node's outputs.
    pub watched: bool,
}
