//! The addends of single elements, for operators that sum: the terms of one output element, in the
//! order of the operands' elements.
//!
//! One element can be judged alone: its addends are a window of a convolution, or a row times a column.

use super::broadcast::gathered;
use super::call::Reals;
use super::conv::{bias_of, groups, kernel_of};
use super::layout::{broadcast, broadcast_strides, flag, flat, float, floats, floats_if_there};
use super::matmul::turned;
use super::pool::windows;
use super::reduce::ReducePlan;
use super::window::{Windows, split};
use super::{Call, Refused};
use crate::tensor::{element_count, multi_index};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The elements of an input that one output element is computed from: a box, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadBox {
    /// The number of the input.
    pub input: usize,
    /// The first index along each axis.
    pub from: Vec<usize>,
    /// The last index along each axis.
    pub to: Vec<usize>,
}

/// An operator whose output elements are sums.
#[derive(Debug)]
pub struct SumOperator(SumKind);

#[derive(Debug)]
enum SumKind {
    Product(Product),
    Convolution(Convolution),
    Pool {
        values: Vec<f64>,
        plane: usize,
        windows: Windows,
        padding: bool,
    },
    /// Groups of `size` neighbours. Each neighbour is changed first, and the sum is scaled.
    Groups {
        values: Vec<f64>,
        size: usize,
        change: fn(f64) -> f64,
        scale: f64,
    },
}

/// A matrix product with the term that is added to it.
#[derive(Debug)]
struct Product {
    left: Reals,
    right: Reals,
    /// The leading axes of the result, and the steps of both operands along them.
    batch: Vec<usize>,
    steps: [Vec<usize>; 2],
    /// Whether the operands are transposed before the product.
    turned: [bool; 2],
    /// Whether the operands are vectors.
    vectors: [bool; 2],
    /// Rows, addends and columns of one matrix.
    extents: [usize; 3],
    scale: f64,
    /// The scaled term added to each element, and its steps along the two axes of the result.
    added: Option<(Vec<f64>, Vec<usize>)>,
}

/// A convolution.
#[derive(Debug)]
struct Convolution {
    input: Reals,
    weights: Reals,
    bias: Option<Vec<f64>>,
    windows: Windows,
    /// Output channels of one group, and input channels of one group.
    groups: [usize; 2],
}

impl SumOperator {
    /// The sums of a node; `None` if its type does not sum.
    pub fn of(call: &Call<'_>) -> Option<Result<Self, Refused>> {
        let kind = match call.op_type {
            "MatMul" | "Gemm" => Product::of(call).map(SumKind::Product),
            "Conv" => Convolution::of(call).map(SumKind::Convolution),
            "AveragePool" => pool(call),
            "GlobalAveragePool" => planes(call),
            "ReduceSum" => reduction(call, |value| value, false),
            "ReduceMean" => reduction(call, |value| value, true),
            "ReduceSumSquare" => reduction(call, |value| value * value, false),
            "ReduceL1" => reduction(call, f64::abs, false),
            _ => return None,
        };
        Some(kind.map(SumOperator))
    }

    /// The most addends that an element has.
    pub fn most(&self) -> usize {
        match &self.0 {
            SumKind::Product(product) => product.extents[1] + usize::from(product.added.is_some()),
            SumKind::Convolution(convolution) => {
                let taps = element_count(&convolution.windows.kernel).unwrap_or(1);
                taps * convolution.groups[1] + usize::from(convolution.bias.is_some())
            }
            SumKind::Pool { windows, .. } => element_count(&windows.kernel).unwrap_or(1),
            SumKind::Groups { size, .. } => *size,
        }
    }

    /// The elements that the element at a flat position of the output is computed from, without the term that is added
    /// to the sum. Empty for pools and reductions.
    pub fn boxes(&self, at: usize) -> Vec<ReadBox> {
        match &self.0 {
            SumKind::Product(product) if product.extents[1] > 0 => product.boxes(at),
            SumKind::Convolution(convolution) if convolution.groups[1] > 0 => convolution.boxes(at),
            _ => Vec::new(),
        }
    }

    /// Replaces the content of `addends` with the addends of the element at a flat position of the output.
    pub fn addends(&self, at: usize, addends: &mut Vec<f64>) {
        addends.clear();
        match &self.0 {
            SumKind::Product(product) => product.addends(at, addends),
            SumKind::Convolution(convolution) => convolution.addends(at, addends),
            SumKind::Pool { values, plane, windows, padding } => {
                let positions = element_count(&windows.output).unwrap_or(1).max(1);
                let (row, position) = (at / positions, at % positions);
                let taps = windows.taps(position);
                let count = if *padding { windows.within_padding(position) } else { taps.len() };
                let from = &values[row * plane..][..*plane];
                addends.extend(taps.iter().map(|tap| from[tap.input] / count as f64));
            }
            SumKind::Groups { values, size, change, scale } => {
                let group = &values[at * size..][..*size];
                addends.extend(group.iter().map(|&value| change(value) * scale));
            }
        }
    }
}

/// The smallest and the largest index along each axis, of flat positions in a shape.
fn ends(places: &[usize], shape: &[usize]) -> Option<[Vec<usize>; 2]> {
    let mut indices = places.iter().map(|&place| multi_index(place, shape));
    let first = indices.next()?;
    let wider = |[mut low, mut high]: [Vec<usize>; 2], index: Vec<usize>| {
        for (axis, at) in index.into_iter().enumerate() {
            low[axis] = low[axis].min(at);
            high[axis] = high[axis].max(at);
        }
        [low, high]
    };
    Some(indices.fold([first.clone(), first], wider))
}

impl Product {
    fn of(call: &Call<'_>) -> Result<Self, Refused> {
        let is_gemm = call.op_type == "Gemm";
        let (mut left, mut right) = (floats(call, 0)?, floats(call, 1)?);
        let (mut scale, mut added) = (1.0, None);
        let mut is_turned = [false; 2];
        if is_gemm {
            is_turned = [flag(call, "transA", false)?, flag(call, "transB", false)?];
            left = turned(left, is_turned[0])?;
            right = turned(right, is_turned[1])?;
            scale = float(call, "alpha", 1.0)?;
            added = floats_if_there(call, 2)?;
        }
        let vectors = [left.shape.len() == 1, right.shape.len() == 1];
        if left.shape.len() == 1 {
            left.shape.insert(0, 1);
        }
        if right.shape.len() == 1 {
            right.shape.push(1);
        }
        let ([lead @ .., rows, inner], [lead_right @ .., other, columns]) =
            (&left.shape[..], &right.shape[..])
        else {
            return Err("a scalar has no matrix product".to_owned());
        };
        if inner != other {
            return Err(format!("a product over {inner} and {other} elements"));
        }
        let extents = [*rows, *inner, *columns];
        let batch = broadcast(lead, lead_right)?;
        let steps = [broadcast_strides(lead, &batch), broadcast_strides(lead_right, &batch)];
        let beta = float(call, "beta", 1.0)?;
        let added = added.map(|added| {
            let steps = broadcast_strides(&added.shape, &[extents[0], extents[2]]);
            (added.values.iter().map(|value| value * beta).collect(), steps)
        });
        Ok(Product { left, right, batch, steps, turned: is_turned, vectors, extents, scale, added })
    }

    fn boxes(&self, at: usize) -> Vec<ReadBox> {
        let [rows, inner, columns] = self.extents;
        let (matrix, place) = (at / (rows * columns), at % (rows * columns));
        let (row, column, last) = (place / columns, place % columns, inner - 1);
        let batch = multi_index(matrix, &self.batch);
        let of = |operand: usize, shape: &[usize], ends: [[usize; 2]; 2]| {
            let lead = &shape[..shape.len() - 2];
            let index = &batch[batch.len() - lead.len()..];
            let along = |end: [usize; 2]| {
                let lead = lead.iter().zip(index).map(|(&extent, &at)| at.min(extent - 1));
                let mut index: Vec<usize> = lead.chain(end).collect();
                if self.turned[operand] {
                    index.reverse();
                }
                if self.vectors[operand] {
                    index.remove(if operand == 0 { index.len() - 2 } else { index.len() - 1 });
                }
                index
            };
            ReadBox { input: operand, from: along(ends[0]), to: along(ends[1]) }
        };
        vec![
            of(0, &self.left.shape, [[row, 0], [row, last]]),
            of(1, &self.right.shape, [[0, column], [last, column]]),
        ]
    }

    fn addends(&self, at: usize, addends: &mut Vec<f64>) {
        let [rows, inner, columns] = self.extents;
        let (matrix, place) = (at / (rows * columns), at % (rows * columns));
        let (row, column) = (place / columns, place % columns);
        let index = multi_index(matrix, &self.batch);
        let left = flat(&index, &self.steps[0]) * rows * inner + row * inner;
        let right = flat(&index, &self.steps[1]) * inner * columns + column;
        let left = self.left.values[left..][..inner].iter();
        let right = self.right.values[right..].iter().step_by(columns);
        addends.extend(left.zip(right).map(|(left, right)| left * right * self.scale));
        if let Some((values, steps)) = &self.added {
            addends.push(values[flat(&[row, column], steps)]);
        }
    }
}

impl Convolution {
    fn of(call: &Call<'_>) -> Result<Self, Refused> {
        let (input, weights) = (floats(call, 0)?, floats(call, 1)?);
        let (_, channels, spatial) = split(&input.shape)?;
        let (outputs, per_group, _) = split(&weights.shape)?;
        let group = groups(call, channels)?;
        if channels / group != per_group || !outputs.is_multiple_of(group) {
            return Err("weights do not fit the input".to_owned());
        }
        let windows = Windows::of(call, spatial, kernel_of(call, &weights.shape)?, false)?;
        let bias = match call.input(2) {
            Some(_) => Some(bias_of(call, 2, outputs)?),
            None => None,
        };
        let groups = [outputs / group, per_group];
        Ok(Convolution { input, weights, bias, windows, groups })
    }

    fn boxes(&self, at: usize) -> Vec<ReadBox> {
        let positions = element_count(&self.windows.output).unwrap_or(1).max(1);
        let (row, position) = (at / positions, at % positions);
        let (outputs, [outputs_each, per_group]) = (self.weights.shape[0], self.groups);
        let (image, output) = (row / outputs, row % outputs);
        let first = output / outputs_each * per_group;
        let taps = self.windows.taps(position);
        let of = |operand: usize, lead: [[usize; 2]; 2], places: Vec<usize>, shape: &[usize]| {
            let [from, to] = ends(&places, shape)?;
            let along = |lead: [usize; 2], rest: Vec<usize>| lead.into_iter().chain(rest).collect();
            Some(ReadBox { input: operand, from: along(lead[0], from), to: along(lead[1], to) })
        };
        let channels = [[image, first], [image, first + per_group - 1]];
        let weights = [[output, 0], [output, per_group - 1]];
        let read = taps.iter().map(|tap| tap.input).collect();
        let by = taps.iter().map(|tap| tap.kernel).collect();
        let read = of(0, channels, read, &self.windows.input);
        read.into_iter().chain(of(1, weights, by, &self.windows.kernel)).collect()
    }

    fn addends(&self, at: usize, addends: &mut Vec<f64>) {
        let positions = element_count(&self.windows.output).unwrap_or(1).max(1);
        let (row, position) = (at / positions, at % positions);
        let (outputs, channels) = (self.weights.shape[0], self.input.shape[1]);
        let [outputs_each, per_group] = self.groups;
        let (image, output) = (row / outputs, row % outputs);
        let first = image * channels + output / outputs_each * per_group;
        let inner = element_count(&self.windows.kernel).unwrap_or(0);
        let outer = element_count(&self.windows.input).unwrap_or(0);
        addends.extend(self.bias.as_ref().map(|bias| bias[output]));
        let taps = self.windows.taps(position);
        for channel in 0..per_group {
            let from = &self.input.values[(first + channel) * outer..][..outer];
            let by = &self.weights.values[(output * per_group + channel) * inner..][..inner];
            addends.extend(taps.iter().map(|tap| from[tap.input] * by[tap.kernel]));
        }
    }
}

fn pool(call: &Call<'_>) -> Result<SumKind, Refused> {
    let input = floats(call, 0)?;
    let (_, _, spatial) = split(&input.shape)?;
    let plane = element_count(spatial).unwrap_or(0);
    let windows = windows(call, &input.shape)?;
    let padding = flag(call, "count_include_pad", false)?;
    Ok(SumKind::Pool { values: input.values, plane, windows, padding })
}

fn planes(call: &Call<'_>) -> Result<SumKind, Refused> {
    let input = floats(call, 0)?;
    let (_, _, spatial) = split(&input.shape)?;
    let size = element_count(spatial).unwrap_or(0);
    let scale = 1.0 / size as f64;
    Ok(SumKind::Groups { values: input.values, size, change: |value| value, scale })
}

fn reduction(call: &Call<'_>, change: fn(f64) -> f64, mean: bool) -> Result<SumKind, Refused> {
    let (plan, input) = (ReducePlan::of(call)?, floats(call, 0)?);
    let values = gathered(&input.values, &input.shape, &plan.gone)?;
    let scale = if mean { 1.0 / plan.size as f64 } else { 1.0 };
    Ok(SumKind::Groups { values, size: plan.size, change, scale })
}

#[cfg(test)]
mod tests {
    use super::super::compute;
    use super::*;
    use crate::graph::Attribute;
    use crate::tensor::Tensor;
    use std::collections::BTreeMap;

    fn tensor(shape: &[usize], seed: u64) -> Option<Tensor> {
        let elements = element_count(shape).unwrap();
        let values = (0..elements).map(|at| (at as f32 * 1.7 + seed as f32).sin()).collect();
        Some(Tensor::from_f32(shape, values).unwrap())
    }

    fn boxes_at(
        op_type: &str,
        attributes: &[(&str, Attribute)],
        shapes: &[&[usize]],
        at: usize,
    ) -> Vec<ReadBox> {
        let inputs: Vec<_> = shapes.iter().map(|shape| tensor(shape, 1)).collect();
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let call =
            Call { op_type, attributes: &attributes, opset: 21, inputs: &inputs, outputs: 1 };
        SumOperator::of(&call).unwrap().unwrap().boxes(at)
    }

    fn operand(operand: usize, from: &[usize], to: &[usize]) -> ReadBox {
        ReadBox { input: operand, from: from.to_vec(), to: to.to_vec() }
    }

    #[test]
    fn an_element_is_traced_to_the_elements_that_it_is_computed_from() {
        let product = boxes_at("MatMul", &[], &[&[2, 3, 4], &[4, 5]], 15 + 7);
        let right = [operand(0, &[1, 1, 0], &[1, 1, 3]), operand(1, &[0, 2], &[3, 2])];
        assert_eq!(product, right);
        let turned = [("transB", Attribute::Int(1))];
        let gemm = boxes_at("Gemm", &turned, &[&[3, 4], &[5, 4]], 7);
        assert_eq!(gemm, [operand(0, &[1, 0], &[1, 3]), operand(1, &[2, 0], &[2, 3])]);
        let vector = boxes_at("MatMul", &[], &[&[4], &[4, 5]], 3);
        assert_eq!(vector, [operand(0, &[0], &[3]), operand(1, &[0, 3], &[3, 3])]);
        let attributes = [("group", Attribute::Int(2)), ("pads", Attribute::Ints(vec![1; 4]))];
        // The first row, the second column, of the last of 4 output channels.
        let conv = boxes_at("Conv", &attributes, &[&[1, 4, 5, 5], &[4, 2, 3, 3]], 3 * 25 + 1);
        let input = operand(0, &[0, 2, 0, 0], &[0, 3, 1, 2]);
        assert_eq!(conv, [input, operand(1, &[3, 0, 1, 0], &[3, 1, 2, 2])]);
    }

    /// Checks that every element of the kernel's output equals the sum of its addends.
    fn check(op_type: &str, attributes: &[(&str, Attribute)], inputs: &[Option<Tensor>]) {
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let call = Call { op_type, opset: 13, attributes: &attributes, inputs, outputs: 1 };
        let wanted = compute(&call).unwrap().unwrap()[0].numbers(1);
        let sums = SumOperator::of(&call).unwrap().unwrap();
        let mut addends = Vec::new();
        for (at, wanted) in wanted.iter().enumerate() {
            sums.addends(at, &mut addends);
            let sum: f64 = addends.iter().sum();
            assert!((sum - wanted).abs() <= 1e-12 * (1.0 + wanted.abs()), "{op_type} at {at}");
            assert!(addends.len() <= sums.most());
        }
    }

    #[test]
    fn addends_sum_to_what_the_kernels_give() {
        let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
        check("MatMul", &[], &[tensor(&[2, 1, 3, 4], 1), tensor(&[5, 4, 2], 2)]);
        check("MatMul", &[], &[tensor(&[4], 1), tensor(&[4, 2], 2)]);
        check("MatMul", &[], &[tensor(&[3, 4], 1), tensor(&[4], 2)]);
        let turned = [("transB", Attribute::Int(1)), ("beta", Attribute::Float(0.5))];
        check("Gemm", &turned, &[tensor(&[3, 4], 1), tensor(&[5, 4], 2), tensor(&[5], 3)]);
        let grouped = [
            ("group", Attribute::Int(2)),
            ("pads", ints(&[1, 0, 1, 2])),
            ("strides", ints(&[2, 1])),
            ("dilations", ints(&[1, 2])),
        ];
        let weights = tensor(&[6, 2, 3, 2], 5);
        check("Conv", &grouped, &[tensor(&[2, 4, 5, 6], 4), weights, tensor(&[6], 6)]);
        let window = [("kernel_shape", ints(&[3, 2])), ("pads", ints(&[1, 1, 1, 0]))];
        check("AveragePool", &window, &[tensor(&[1, 3, 5, 4], 7)]);
        check("GlobalAveragePool", &[], &[tensor(&[2, 3, 2, 2], 8)]);
        for op_type in ["ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceL1"] {
            let axes = ints(&[0, 2]);
            let opset_12 = if op_type == "ReduceSum" { vec![] } else { vec![("axes", axes)] };
            check(op_type, &opset_12, &[tensor(&[2, 3, 4], 9)]);
        }
    }
}
