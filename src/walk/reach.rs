//! The input elements that one output element is computed from.
//!
//! These are single elements, a row, a window, or a product's row and column. The operator and its attributes must
//! define them. For any other operator, an element may depend on all inputs.

use super::contract::Anatomy;
use super::window::NodeWindow;
use crate::tensor::{Tensor, multi_index};
use std::iter;

/// The inputs of one element.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    /// For each input, the values that reach the element. In a sum of products, both inputs' values have the same
    /// order.
    pub(super) values: Vec<Vec<f64>>,
    /// Whether these are the element's own values. Otherwise they are all values of the inputs.
    pub(super) own: bool,
    /// Whether the element is a sum of the first input's values, or of products with the second's.
    pub(super) is_sum: bool,
}

/// Operators that compute each element from the elements at the same position, as ONNX and MNN name them.
const ELEMENTWISE: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BinaryOp",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "Div",
    "ELU",
    "Eltwise",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "ReLU",
    "ReLU6",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Silu",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "TanH",
    "Tanh",
    "ThresholdedRelu",
    "UnaryOp",
    "Where",
];

/// How an operator's elements depend on its inputs, which are held as numbers.
pub(super) struct Reaching<'a> {
    op_type: &'a str,
    anatomy: &'a Anatomy,
    shape: &'a [usize],
    /// The inputs; `None` for an omitted or unknown input.
    inputs: Vec<Option<(Vec<usize>, Vec<f64>)>>,
    is_finite: bool,
}

impl<'a> Reaching<'a> {
    /// Prepares an operator whose output has this shape.
    pub(super) fn new(op_type: &'a str, anatomy: &'a Anatomy, shape: &'a [usize]) -> Self {
        let numbers = |input: &Option<Tensor>| {
            input.as_ref().map(|tensor| (tensor.shape().to_vec(), tensor.numbers(1)))
        };
        let inputs: Vec<_> = anatomy.inputs.iter().map(numbers).collect();
        let mut values = inputs.iter().flatten().flat_map(|(_, values)| values);
        let is_finite = values.all(|value| value.is_finite());
        Reaching { op_type, anatomy, shape, inputs, is_finite }
    }

    /// Whether all inputs are finite everywhere.
    pub(super) fn is_finite(&self) -> bool {
        self.is_finite
    }

    /// The values that the element at a flat position is computed from.
    pub(super) fn of(&self, at: usize) -> Reach {
        let index = multi_index(at, self.shape);
        self.own(&index).unwrap_or_else(|| self.everything())
    }

    fn everything(&self) -> Reach {
        let values = self.inputs.iter().flatten().map(|(_, values)| values.clone()).collect();
        Reach { values, own: false, is_sum: false }
    }

    fn own(&self, index: &[usize]) -> Option<Reach> {
        let (shape, _) = self.inputs.first()?.as_ref()?;
        match self.op_type {
            name if ELEMENTWISE.contains(&name) => self.elementwise(index),
            "Softmax" | "LogSoftmax" | "LpNormalization" | "CumSum" => self.row(index, shape),
            "LayerNormalization" | "RMSNormalization" => {
                let axis = axis(self.anatomy.int("axis").unwrap_or(-1), shape.len())?;
                self.slab(index, shape, |at| at >= axis)
            }
            "InstanceNormalization" => self.slab(index, shape, |at| at >= 2),
            "BatchNormalization" => {
                let own = self.slab(index, shape, |_| false)?;
                self.with_channels(own, *index.get(1)?)
            }
            "GlobalAveragePool" | "GlobalMaxPool" => {
                let reach = self.slab(index, shape, |at| at >= 2)?;
                Some(Reach { is_sum: self.op_type == "GlobalAveragePool", ..reach })
            }
            name if name.starts_with("Reduce") => self.reduced(index, shape),
            "MatMul" => self.product(index, [false; 2]),
            "Gemm" => {
                let flag = |name| self.anatomy.int(name).unwrap_or(0) != 0;
                self.product(index, [flag("transA"), flag("transB")])
            }
            "Conv" => self.convolved(index),
            "MaxPool" | "AveragePool" | "LpPool" => {
                let window = NodeWindow::new(self.anatomy, None)?;
                let taps = window.taps(&index[2..], &shape[2..])?;
                let first = self.at(0, &index[..2], &taps)?;
                let is_sum = self.op_type == "AveragePool";
                Some(Reach { values: vec![first], own: true, is_sum })
            }
            _ => None,
        }
    }

    fn elementwise(&self, index: &[usize]) -> Option<Reach> {
        let value = |input: &Option<(Vec<usize>, Vec<f64>)>| match input {
            None => Some(Vec::new()),
            Some((shape, values)) => Some(vec![*values.get(broadcast(index, shape)?)?]),
        };
        let values = self.inputs.iter().map(value).collect::<Option<Vec<_>>>()?;
        Some(Reach { values, own: true, is_sum: false })
    }

    /// The values along one axis. Before opset 13, a Softmax treats all axes from that axis on as one.
    fn row(&self, index: &[usize], shape: &[usize]) -> Option<Reach> {
        self.anatomy.is_known.then_some(())?;
        let flattens = self.op_type.ends_with("oftmax") && self.anatomy.opset < 13;
        let given = self.anatomy.int("axis").unwrap_or(if flattens { 1 } else { -1 });
        let axis = axis(given, shape.len())?;
        self.slab(index, shape, |at| if flattens { at >= axis } else { at == axis })
    }

    /// The first input's elements whose index differs only in the free axes. For other inputs, the elements that are
    /// broadcast to it.
    fn slab(
        &self,
        index: &[usize],
        shape: &[usize],
        is_free: impl Fn(usize) -> bool,
    ) -> Option<Reach> {
        (self.anatomy.is_known && index.len() == shape.len()).then_some(())?;
        let fixed: Vec<Option<usize>> =
            index.iter().enumerate().map(|(at, &i)| (!is_free(at)).then_some(i)).collect();
        let (_, values) = self.inputs[0].as_ref()?;
        let row = places(shape, &fixed).map(|place| values.get(place).copied());
        Some(Reach { values: vec![row.collect::<Option<_>>()?], own: true, is_sum: false })
    }

    /// The same, with one value for each channel of the other inputs.
    fn with_channels(&self, mut reach: Reach, channel: usize) -> Option<Reach> {
        for (_, values) in self.inputs[1..].iter().flatten() {
            reach.values.push(vec![*values.get(channel)?]);
        }
        Some(reach)
    }

    fn reduced(&self, index: &[usize], shape: &[usize]) -> Option<Reach> {
        self.anatomy.is_known.then_some(())?;
        let given = self.anatomy.ints("axes").or_else(|| {
            let (_, axes) = self.inputs.get(1)?.as_ref()?;
            Some(axes.iter().map(|axis| *axis as i64).collect())
        });
        let all = self.anatomy.int("noop_with_empty_axes").unwrap_or(0) == 0;
        let axes: Vec<usize> = match given.filter(|axes| !axes.is_empty()) {
            Some(axes) => axes.iter().map(|at| axis(*at, shape.len())).collect::<Option<_>>()?,
            None if all => (0..shape.len()).collect(),
            None => Vec::new(),
        };
        let mut index = index.to_vec();
        if self.anatomy.int("keepdims").unwrap_or(1) == 0 {
            let mut sorted = axes.clone();
            sorted.sort_unstable();
            sorted.into_iter().for_each(|axis| index.insert(axis.min(index.len()), 0));
        }
        let reach = self.slab(&index, shape, |at| axes.contains(&at))?;
        let is_sum = ["ReduceSum", "ReduceMean", "ReduceL1"].contains(&self.op_type);
        Some(Reach { is_sum, ..reach })
    }

    /// A row of the first input and a column of the second. An added input comes last.
    fn product(&self, index: &[usize], transposed: [bool; 2]) -> Option<Reach> {
        self.anatomy.is_known.then_some(())?;
        let [Some((a, _)), Some((b, _)), ..] = &self.inputs[..] else { return None };
        if a.len() < 2 || b.len() < 2 || index.len() < 2 {
            return None;
        }
        let (batch, [row, column]) = index.split_last_chunk::<2>()?;
        let deep = a[a.len() - if transposed[0] { 2 } else { 1 }];
        let place = |input: usize, at: [usize; 2], flip: bool| {
            let (shape, values) = self.inputs[input].as_ref()?;
            let at = if flip { [at[1], at[0]] } else { at };
            values.get(broadcast(&[batch, &at[..]].concat(), shape)?).copied()
        };
        let first = (0..deep).map(|k| place(0, [*row, k], transposed[0]));
        let second = (0..deep).map(|k| place(1, [k, *column], transposed[1]));
        let mut values = vec![first.collect::<Option<_>>()?, second.collect::<Option<_>>()?];
        if let Some(Some((shape, added))) = self.inputs.get(2) {
            values.push(vec![*added.get(broadcast(index, shape)?)?]);
        }
        Some(Reach { values, own: true, is_sum: true })
    }

    fn convolved(&self, index: &[usize]) -> Option<Reach> {
        let [Some((shape, _)), Some((kernel, weights)), ..] = &self.inputs[..] else { return None };
        let window = NodeWindow::new(self.anatomy, Some(kernel.get(2..)?))?;
        let taps = window.taps(index.get(2..)?, shape.get(2..)?)?;
        let (deep, filter) = (kernel[1], index[1]);
        let per_group = kernel[0] / (shape[1] / deep.max(1)).max(1);
        let group = filter / per_group.max(1);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for channel in 0..deep {
            first.extend(self.at(0, &[index[0], group * deep + channel], &taps)?);
            let start = (filter * deep + channel) * taps.len();
            second.extend_from_slice(weights.get(start..start + taps.len())?);
        }
        let mut values = vec![first, second];
        if let Some(Some((_, bias))) = self.inputs.get(2) {
            values.push(vec![*bias.get(filter)?]);
        }
        Some(Reach { values, own: true, is_sum: true })
    }

    /// An input's values under a window, zero beyond the input's edges.
    fn at(&self, input: usize, front: &[usize], taps: &[Option<Vec<usize>>]) -> Option<Vec<f64>> {
        let (shape, values) = self.inputs[input].as_ref()?;
        let value = |tap: &Option<Vec<usize>>| match tap {
            None => Some(0.0),
            Some(tap) => values.get(broadcast(&[front, tap].concat(), shape)?).copied(),
        };
        taps.iter().map(value).collect()
    }
}

impl Reach {
    /// All values.
    pub(super) fn all(&self) -> impl Iterator<Item = f64> {
        self.values.iter().flatten().copied()
    }

    /// The factors of products, either in a sum or of two operands.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        let empty: &[f64] = &[];
        let [a, b] = [0, 1].map(|at| self.values.get(at).map_or(empty, Vec::as_slice));
        let is_product = self.own && a.len() == b.len();
        a.iter().copied().zip(b.iter().copied()).filter(move |_| is_product)
    }

    /// The result of an operator of two operands, in `f64`.
    pub(super) fn result(&self, op_type: &str) -> Option<f64> {
        let [Some([a]), Some([b])] = [0, 1].map(|at| self.values.get(at).map(Vec::as_slice)) else {
            return None;
        };
        Some(match op_type {
            "Add" => a + b,
            "Sub" => a - b,
            "Mul" => a * b,
            "Div" => a / b,
            "Pow" => a.powf(*b),
            _ => return None,
        })
    }

    /// The largest magnitude that a partial sum may have, in any order of summation. `None` if the element is no sum.
    pub(super) fn partial_sums(&self) -> Option<f64> {
        self.is_sum.then_some(())?;
        let terms: Vec<f64> = match self.values.len() {
            1 => self.values[0].clone(),
            _ => self.pairs().map(|(a, b)| a * b).collect(),
        };
        let sum = |sign: f64| terms.iter().map(|term| (sign * term).max(0.0)).sum::<f64>();
        Some(sum(1.0).max(sum(-1.0)))
    }
}

/// Resolves an axis that may count from the end.
fn axis(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|axis| *axis < rank)
}

/// The position of an output's element in an input that is broadcast to it; `None` if the input is not.
fn broadcast(index: &[usize], shape: &[usize]) -> Option<usize> {
    let skipped = index.len().checked_sub(shape.len())?;
    index[skipped..].iter().zip(shape).try_fold(0, |place, (&at, &extent)| {
        let at = if extent == 1 { 0 } else { at };
        (at < extent).then_some(place * extent + at)
    })
}

/// The flat positions of a shape whose index is fixed in some axes.
fn places<'s>(shape: &'s [usize], fixed: &'s [Option<usize>]) -> impl Iterator<Item = usize> + 's {
    let free = move |axis: usize| if fixed[axis].is_some() { 1 } else { shape[axis] };
    let count = (0..shape.len()).map(free).product();
    let mut number = 0;
    iter::from_fn(move || {
        (number < count).then_some(())?;
        let (mut rest, mut place, mut stride) = (number, 0, 1);
        for axis in (0..shape.len()).rev() {
            let at = fixed[axis].unwrap_or(rest % free(axis));
            rest /= free(axis);
            place += at * stride;
            stride *= shape[axis];
        }
        number += 1;
        Some(place)
    })
}
