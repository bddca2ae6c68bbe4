//! The arithmetic of a few op types, for faults that must compute a node's outputs again.

use super::naive::r16;
use super::operation::{Operation, tensor};
use crate::tensor::Tensor;

/// The function of a binary op type.
pub(super) fn binary(op_type: &str) -> Option<fn(f32, f32) -> f32> {
    Some(match op_type {
        "Add" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Max" => f32::max,
        "Min" => f32::min,
        _ => return None,
    })
}

/// How a product is added to a sum.
pub(super) fn add_product(in_f16: bool) -> fn(f32, f32, f32) -> f32 {
    if in_f16 { |sum, a, b| r16(sum + a * b) } else { |sum, a, b| sum + a * b }
}

/// A·B·alpha + C·beta. If `transposes` is false, the operands are read in memory order.
pub(super) fn gemm(
    operation: &Operation<'_>,
    shape: &[usize],
    transposes: bool,
) -> Option<Vec<Tensor>> {
    let (a, b) = (operation.floats(0)?, operation.floats(1)?);
    let &[rows, columns] = shape else { return None };
    let depth = a.values.len() / rows.max(1);
    let flag = |name| transposes && operation.node.int(name) == Some(1);
    let (trans_a, trans_b) = (flag("transA"), flag("transB"));
    let alpha = operation.node.float("alpha").unwrap_or(1.0);
    // Only a product that keeps its transposes is computed in f16.
    let add = add_product(transposes);
    let bias = bias(operation, rows, columns);
    let mut values = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let sum = (0..depth).fold(0.0, |sum, at| {
                let a = a.values[if trans_a { at * rows + row } else { row * depth + at }];
                let b = b.values[if trans_b { column * depth + at } else { at * columns + column }];
                add(sum, a, b)
            });
            values.push(alpha * sum + bias(row, column));
        }
    }
    Some(vec![tensor(shape, values)?])
}

/// C·beta at a row and a column, broadcast.
fn bias(operation: &Operation<'_>, rows: usize, columns: usize) -> impl Fn(usize, usize) -> f32 {
    let beta = operation.node.float("beta").unwrap_or(1.0);
    let (height, width, values) = match operation.floats(2) {
        Some(c) => {
            let width = c.shape.last().copied().unwrap_or(1);
            (c.values.len() / width.max(1), width, c.values)
        }
        None => (1, 1, vec![0.0]),
    };
    move |row, column| {
        let row = if height == rows { row } else { 0 };
        let column = if width == columns { column } else { 0 };
        beta * values[row * width + column]
    }
}
