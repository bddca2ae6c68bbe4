//! Matrix products, and the triangles of matrices.
//!
//! A product is one plain sum for each element, in `f64`. Products of 8-bit whole numbers are exact.

use super::call::Kernel;
use super::call::Reals;
use super::conv::{bytes, to_i32};
use super::layout::{
    advance, broadcast, broadcast_strides, count, flag, flat, float, floats, floats_if_there,
    longs_if_there, only, only_reals, typed,
};
use super::{Call, Refused};
use crate::tensor::Tensor;
use crate::with_array;

/// The kernels of this file.
pub(super) const MATMUL: &[(&str, Kernel)] =
    &[("MatMul", matmul), ("Gemm", gemm), ("MatMulInteger", matmul_integer), ("Trilu", trilu)];

fn matmul(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (shape, values) = product(floats(call, 0)?, floats(call, 1)?)?;
    only_reals(&shape, values)
}

/// The product of two stacks of matrices; a vector is a row on the left and a column on the right.
fn product(mut left: Reals, mut right: Reals) -> Result<(Vec<usize>, Vec<f64>), Refused> {
    let (row, column) = (left.shape.len() == 1, right.shape.len() == 1);
    if row {
        left.shape.insert(0, 1);
    }
    if column {
        right.shape.push(1);
    }
    let ([lead @ .., rows, inner], [lead_right @ .., other, columns]) =
        (&left.shape[..], &right.shape[..])
    else {
        return Err("a scalar has no matrix product".to_owned());
    };
    let (rows, inner, columns) = (*rows, *inner, *columns);
    if inner != *other {
        return Err(format!("a product over {inner} and {other} elements"));
    }
    let batch = broadcast(lead, lead_right)?;
    let steps = [broadcast_strides(lead, &batch), broadcast_strides(lead_right, &batch)];
    let mut shape = batch.clone();
    shape.extend((!row).then_some(rows));
    shape.extend((!column).then_some(columns));
    let matrices = count(&batch)?;
    let mut values = Vec::with_capacity(count(&shape)?);
    let mut index = vec![0; batch.len()];
    for _ in 0..if values.capacity() == 0 { 0 } else { matrices } {
        let left = &left.values[flat(&index, &steps[0]) * rows * inner..][..rows * inner];
        let right = &right.values[flat(&index, &steps[1]) * inner * columns..][..inner * columns];
        multiply(left, right, [rows, inner, columns], &mut values);
        advance(&mut index, &batch);
    }
    Ok((shape, values))
}

/// Appends the product of two matrices.
fn multiply(
    left: &[f64],
    right: &[f64],
    [rows, inner, columns]: [usize; 3],
    values: &mut Vec<f64>,
) {
    for row in 0..rows {
        let first = values.len();
        values.extend(std::iter::repeat_n(0.0, columns));
        let sums = &mut values[first..];
        for at in 0..inner {
            let by = left[row * inner + at];
            let from = &right[at * columns..][..columns];
            sums.iter_mut().zip(from).for_each(|(sum, value)| *sum += by * value);
        }
    }
}

fn gemm(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let left = turned(floats(call, 0)?, flag(call, "transA", false)?)?;
    let right = turned(floats(call, 1)?, flag(call, "transB", false)?)?;
    let (alpha, beta) = (float(call, "alpha", 1.0)?, float(call, "beta", 1.0)?);
    let (shape, mut values) = product(left, right)?;
    values.iter_mut().for_each(|value| *value *= alpha);
    if let Some(added) = floats_if_there(call, 2)? {
        if added.shape.len() > 2 || broadcast(&added.shape, &shape)? != shape {
            return Err(format!("C of shape {:?} does not fit {shape:?}", added.shape));
        }
        let steps = broadcast_strides(&added.shape, &shape);
        let mut index = vec![0; 2];
        for value in &mut values {
            *value += beta * added.values[flat(&index, &steps)];
            advance(&mut index, &shape);
        }
    }
    only_reals(&shape, values)
}

/// A matrix, transposed if `turn` is set.
pub(super) fn turned(matrix: Reals, turn: bool) -> Result<Reals, Refused> {
    let [rows, columns] = matrix.shape[..] else {
        return Err(format!("an input of shape {:?} is no matrix", matrix.shape));
    };
    if !turn {
        return Ok(matrix);
    }
    let places = (0..rows * columns).map(|at| at % rows * columns + at / rows);
    let values = places.map(|place| matrix.values[place]).collect();
    Ok(Reals::new(&[columns, rows], values))
}

fn matmul_integer(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (mut left, mut right) = (bytes(call, 0)?, bytes(call, 1)?);
    shift(call, 2, &mut left, true)?;
    shift(call, 3, &mut right, false)?;
    let (shape, values) = product(left, right)?;
    only(to_i32(&shape, &values)?)
}

/// Subtracts the zero points: one for all, or one for each row on the left and each column on the right.
fn shift(call: &Call<'_>, place: usize, matrix: &mut Reals, rows: bool) -> Result<(), Refused> {
    let Some(points) = call.input(place) else {
        return Ok(());
    };
    let dtype = call.needed(place - 2)?.dtype();
    let columns = matrix.shape.last().copied().unwrap_or(1).max(1);
    let lines = match matrix.shape[..] {
        [.., lines, _] if rows => lines,
        _ if rows => 1,
        _ => columns,
    };
    let zeros = points.numbers(1);
    if points.dtype() != dtype || !(zeros.len() == 1 || points.shape() == [lines]) {
        return Err(format!("zero points of shape {:?} do not fit", points.shape()));
    }
    for (at, value) in matrix.values.iter_mut().enumerate() {
        let line = if rows { at / columns % lines } else { at % columns };
        *value -= zeros[if zeros.len() == 1 { 0 } else { line }];
    }
    Ok(())
}

fn trilu(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let diagonal = match longs_if_there(call, 1)?.as_deref() {
        None => 0,
        Some([one]) => *one,
        Some(_) => return Err("the diagonal is not one number".to_owned()),
    };
    let upper = flag(call, "upper", true)?;
    let shape = tensor.shape();
    let [.., rows, columns] = *shape else {
        return Err(format!("an input of shape {shape:?} is no matrix"));
    };
    let kept = |at: usize| {
        let (row, column) = ((at / columns % rows) as i64, (at % columns) as i64);
        let offset = column - row;
        if upper { offset >= diagonal } else { offset <= diagonal }
    };
    only(with_array!(tensor, array => {
        let elements = array.iter().enumerate();
        let elements = elements.map(|(at, &value)| if kept(at) { value } else { Default::default() });
        Tensor::from(typed(shape, elements.collect())?)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn tensor(shape: &[usize], values: &[f32]) -> Option<Tensor> {
        Some(Tensor::from_f32(shape, values.to_vec()).unwrap())
    }

    fn run(
        op_type: &str,
        attributes: &[(&str, Attribute)],
        inputs: &[Option<Tensor>],
    ) -> Result<Tensor, Refused> {
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let kernel = MATMUL.iter().find(|(name, _)| *name == op_type).unwrap().1;
        let call = Call { op_type, opset: 13, attributes: &attributes, inputs, outputs: 1 };
        kernel(&call).map(|mut outputs| outputs.remove(0))
    }

    #[test]
    fn vectors_lose_their_axis() {
        let row = tensor(&[2], &[1.0, 2.0]);
        let square = tensor(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let dot = run("MatMul", &[], &[row.clone(), row.clone()]).unwrap();
        assert_eq!((dot.shape(), dot.numbers(1)), (&[][..], vec![5.0]));
        let left = run("MatMul", &[], &[row.clone(), square.clone()]).unwrap();
        assert_eq!((left.shape(), left.numbers(1)), (&[2][..], vec![7.0, 10.0]));
        let right = run("MatMul", &[], &[square, row]).unwrap();
        assert_eq!((right.shape(), right.numbers(1)), (&[2][..], vec![5.0, 11.0]));
    }

    #[test]
    fn stacks_broadcast() {
        let left = tensor(&[2, 1, 1, 1], &[2.0, 3.0]);
        let right = tensor(&[2, 1, 1], &[5.0, 7.0]);
        let result = run("MatMul", &[], &[left, right]).unwrap();
        assert_eq!(result.shape(), [2, 2, 1, 1]);
        assert_eq!(result.numbers(1), [10.0, 14.0, 15.0, 21.0]);
        let empty = run("MatMul", &[], &[tensor(&[2, 0], &[]), tensor(&[0, 1], &[])]).unwrap();
        assert_eq!(empty.numbers(1), [0.0, 0.0]);
        let odd = run("MatMul", &[], &[tensor(&[1, 2], &[1.0, 1.0]), tensor(&[1], &[1.0])]);
        assert!(odd.is_err());
        assert!(run("MatMul", &[], &[tensor(&[], &[1.0]), tensor(&[1], &[1.0])]).is_err());
    }

    #[test]
    fn gemm_scales_and_adds() {
        let attributes = [
            ("alpha", Attribute::Float(2.0)),
            ("beta", Attribute::Float(0.5)),
            ("transA", Attribute::Int(1)),
        ];
        let inputs = [
            tensor(&[1, 2], &[1.0, 3.0]),
            tensor(&[1, 2], &[10.0, 100.0]),
            tensor(&[2, 1], &[2.0, 4.0]),
        ];
        let result = run("Gemm", &attributes, &inputs).unwrap();
        assert_eq!(result.numbers(1), [21.0, 201.0, 62.0, 602.0]);
        let wide = [inputs[0].clone(), inputs[1].clone(), tensor(&[3], &[1.0, 1.0, 1.0])];
        assert!(run("Gemm", &attributes, &wide).is_err());
    }

    #[test]
    fn zero_points_shift_rows_and_columns() {
        let bytes = |shape: &[usize], values: &[u8]| {
            Some(Tensor::U8(typed(shape, values.to_vec()).unwrap()))
        };
        let left = bytes(&[2, 1], &[5, 6]);
        let right = bytes(&[1, 2], &[10, 20]);
        let zeros = [bytes(&[2], &[1, 2]), bytes(&[2], &[1, 2])];
        let [rows, columns] = zeros;
        let result = run("MatMulInteger", &[], &[left, right, rows, columns]).unwrap();
        assert_eq!(result, Tensor::I32(typed(&[2, 2], vec![36, 72, 36, 72]).unwrap()));
    }

    #[test]
    fn triangles_keep_their_type() {
        let square = Some(Tensor::I64(typed(&[2, 2], vec![1, 2, 3, 4]).unwrap()));
        let upper = run("Trilu", &[], std::slice::from_ref(&square)).unwrap();
        assert_eq!(upper.numbers(1), [1.0, 2.0, 0.0, 4.0]);
        let lower = [("upper", Attribute::Int(0))];
        let down = Some(Tensor::I64(typed(&[], vec![-1]).unwrap()));
        let result = run("Trilu", &lower, &[square, down]).unwrap();
        assert_eq!(result, Tensor::I64(typed(&[2, 2], vec![0, 0, 3, 0]).unwrap()));
    }
}
