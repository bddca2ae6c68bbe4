//! Op types that add many numbers, computed with every partial sum kept in `f16`.

use super::elementwise::{add_product, gemm};
use super::naive::r16;
use super::norm::{Statistics, normalise};
use super::operation::{Operation, place_of, tensor};
use super::window;
use crate::tensor::Tensor;

/// A node's outputs with sums in `f16`. `None` if this module does not know the node's sums; the node
/// then keeps the reference's outputs.
pub(super) fn in_f16(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    match operation.node.op_type.as_str() {
        "MatMul" => matrix_product(operation, right),
        "Gemm" => gemm(operation, right.first()?.shape(), true),
        "Conv" => window::convolution(operation, right),
        "AveragePool" => window::average(operation, right),
        "GlobalAveragePool" => window::global_average(operation, right),
        "ReduceSum" | "ReduceMean" => reduce(operation, right),
        "InstanceNormalization" | "LayerNormalization" | "GroupNormalization" => {
            normalise(operation, right, Statistics::SumsInF16)
        }
        _ => None,
    }
}

/// The product of matrices whose leading axes broadcast.
fn matrix_product(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    let (a, b) = (operation.floats(0)?, operation.floats(1)?);
    let shape = right.first()?.shape();
    let (&[ref a_batch @ .., rows, depth], &[ref b_batch @ .., _, columns]) = (a.shape, b.shape)
    else {
        return None;
    };
    let batch = &shape[..shape.len().checked_sub(2)?];
    let add = add_product(true);
    let mut values = Vec::with_capacity(shape.iter().product());
    for flat in 0..batch.iter().product() {
        let a = &a.values[broadcast(flat, batch, a_batch) * rows * depth..];
        let b = &b.values[broadcast(flat, batch, b_batch) * depth * columns..];
        for row in 0..rows {
            for column in 0..columns {
                let product =
                    |sum, at: usize| add(sum, a[row * depth + at], b[at * columns + column]);
                values.push((0..depth).fold(0.0, product));
            }
        }
    }
    Some(vec![tensor(shape, values)?])
}

/// Converts a flat position in the broadcast shape to a flat position in the operand's own shape.
fn broadcast(mut flat: usize, shape: &[usize], own: &[usize]) -> usize {
    let (mut position, mut stride) = (0, 1);
    let missing = shape.len() - own.len();
    for axis in (0..shape.len()).rev() {
        let at = flat % shape[axis];
        flat /= shape[axis];
        if let Some(&extent) = axis.checked_sub(missing).and_then(|axis| own.get(axis)) {
            position += if extent == 1 { 0 } else { at } * stride;
            stride *= extent;
        }
    }
    position
}

/// The sum or mean over the named axes, or over all axes if the node names none.
fn reduce(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    let input = operation.floats(0)?;
    let rank = input.shape.len();
    let axes = operation.longs(1).or_else(|| operation.node.ints("axes").map(<[i64]>::to_vec));
    let axes = axes.unwrap_or_else(|| (0..rank as i64).collect());
    let axes: Vec<usize> = axes.iter().map(|&axis| place_of(axis, rank)).collect::<Option<_>>()?;
    // The remaining shape has length 1 along the summed axes.
    let left: Vec<usize> =
        (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { input.shape[axis] }).collect();
    let mut sums = vec![0.0; left.iter().product()];
    for (flat, &value) in input.values.iter().enumerate() {
        let sum = &mut sums[broadcast(flat, input.shape, &left)];
        *sum = r16(*sum + value);
    }
    if operation.node.op_type == "ReduceMean" {
        let count = input.values.len() as f32 / sums.len() as f32;
        sums.iter_mut().for_each(|sum| *sum = r16(*sum / count));
    }
    Some(vec![tensor(right.first()?.shape(), sums)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_the_last_axes() {
        let at = |flat| broadcast(flat, &[2, 3, 4], &[3, 1]);
        assert_eq!([0, 3, 4, 11, 12, 23].map(at), [0, 0, 1, 2, 0, 2]);
    }
}
