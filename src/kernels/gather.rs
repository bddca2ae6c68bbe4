//! Operators that pick elements by indices in a tensor.
//!
//! A negative index counts from the back. An index outside its axis is refused.

use super::call::Kernel;
use super::layout::{advance, axis_in, count, flat, int, longs_needed, only, pick, strides};
use super::{Call, Refused};
use crate::tensor::Tensor;

/// The kernels of this file.
pub(super) const GATHER: &[(&str, Kernel)] =
    &[("Gather", gather), ("GatherElements", gather_elements), ("GatherND", gather_nd)];

/// An index along an axis of an extent, counted from the front.
pub(super) fn index_in(index: i64, extent: usize) -> Result<usize, Refused> {
    let counted = if index < 0 { index.saturating_add(extent as i64) } else { index };
    usize::try_from(counted)
        .ok()
        .filter(|&counted| counted < extent)
        .ok_or_else(|| format!("index {index} is not one of {extent}"))
}

fn gather(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (tensor, indices) = (call.needed(0)?, longs_needed(call, 1)?);
    let shape = tensor.shape();
    let axis = axis_in(int(call, "axis", 0)?, shape.len())?;
    let mut result = shape[..axis].to_vec();
    result.extend(call.needed(1)?.shape());
    result.extend(&shape[axis + 1..]);
    let indices = indices.into_iter().map(|index| index_in(index, shape[axis]));
    let indices = indices.collect::<Result<Vec<_>, _>>()?;
    let mut places = Vec::with_capacity(count(&result)?);
    let (outer, inner) = (count(&shape[..axis])?, count(&shape[axis + 1..])?);
    for row in 0..outer {
        for index in &indices {
            let first = (row * shape[axis] + index) * inner;
            places.extend(first..first + inner);
        }
    }
    only(pick(tensor, &result, &places)?)
}

/// The flat position in a tensor for each index. An index replaces one coordinate of its own position.
pub(super) fn element_places(
    shape: &[usize],
    indices: &[i64],
    over: &[usize],
    axis: usize,
) -> Result<Vec<usize>, Refused> {
    let fits = |at: usize| at == axis || over[at] <= shape[at];
    if over.len() != shape.len() || !(0..shape.len()).all(fits) {
        return Err(format!("indices of shape {over:?} do not fit {shape:?}"));
    }
    let own = strides(shape);
    let mut at = vec![0; over.len()];
    let mut places = Vec::with_capacity(indices.len());
    for &index in indices {
        let mut from = at.clone();
        from[axis] = index_in(index, shape[axis])?;
        places.push(flat(&from, &own));
        advance(&mut at, over);
    }
    Ok(places)
}

fn gather_elements(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (tensor, indices) = (call.needed(0)?, longs_needed(call, 1)?);
    let axis = axis_in(int(call, "axis", 0)?, tensor.shape().len())?;
    let over = call.needed(1)?.shape();
    only(pick(tensor, over, &element_places(tensor.shape(), &indices, over, axis)?)?)
}

/// The flat position in a tensor that each tuple of indices selects. A tuple is one row of the
/// indices' last axis.
///
/// The first `batch` axes of both tensors are paired.
pub(super) fn tuple_places(
    shape: &[usize],
    indices: &[i64],
    over: &[usize],
    batch: usize,
) -> Result<(Vec<usize>, Vec<usize>), Refused> {
    let unfit = || format!("indices of shape {over:?} do not fit {shape:?}");
    let [lead @ .., width] = over else {
        return Err(unfit());
    };
    let used = batch.checked_add(*width).filter(|&used| used <= shape.len() && batch <= lead.len());
    let used = used.ok_or_else(unfit)?;
    if shape[..batch] != lead[..batch] {
        return Err(unfit());
    }
    let own = strides(shape);
    let rest = shape[used..].to_vec();
    let tuples = count(lead)?;
    let mut at = vec![0; lead.len()];
    let mut places = Vec::with_capacity(tuples);
    for tuple in 0..tuples {
        let mut place = flat(&at[..batch], &own[..batch]);
        for (slot, &index) in indices[tuple * width..][..*width].iter().enumerate() {
            place += index_in(index, shape[batch + slot])? * own[batch + slot];
        }
        places.push(place);
        advance(&mut at, lead);
    }
    Ok((places, rest))
}

fn gather_nd(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (tensor, indices) = (call.needed(0)?, longs_needed(call, 1)?);
    let batch = int(call, "batch_dims", 0)?;
    let batch = usize::try_from(batch).map_err(|_| format!("batch_dims {batch}"))?;
    let over = call.needed(1)?.shape();
    let (starts, rest) = tuple_places(tensor.shape(), &indices, over, batch)?;
    let mut shape = over[..over.len() - 1].to_vec();
    shape.extend(&rest);
    let mut places = Vec::with_capacity(count(&shape)?);
    let block = count(&rest)?;
    places.extend(starts.into_iter().flat_map(|start| start..start + block));
    only(pick(tensor, &shape, &places)?)
}

#[cfg(test)]
mod tests {
    use super::super::layout::longs;
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn tensor(shape: &[usize], values: &[i64]) -> Tensor {
        longs(shape, values.to_vec()).unwrap()
    }

    fn run(
        op_type: &str,
        number: (&str, i64),
        inputs: [Tensor; 2],
    ) -> Result<(Vec<usize>, Vec<f64>), Refused> {
        let attributes = BTreeMap::from([(number.0.to_owned(), Attribute::Int(number.1))]);
        let kernel = GATHER.iter().find(|(name, _)| *name == op_type).unwrap().1;
        let inputs = inputs.map(Some);
        let inputs = inputs.as_slice();
        let call = Call { op_type, opset: 13, attributes: &attributes, inputs, outputs: 1 };
        kernel(&call).map(|outputs| (outputs[0].shape().to_vec(), outputs[0].numbers(1)))
    }

    fn square() -> Tensor {
        tensor(&[2, 2], &[1, 2, 3, 4])
    }

    #[test]
    fn rows_and_columns_are_picked() {
        let columns = run("Gather", ("axis", 1), [square(), tensor(&[1], &[-1])]).unwrap();
        assert_eq!(columns, (vec![2, 1], vec![2.0, 4.0]));
        let row = run("Gather", ("axis", 0), [square(), tensor(&[], &[1])]).unwrap();
        assert_eq!(row, (vec![2], vec![3.0, 4.0]));
        for index in [2, -3, i64::MIN] {
            assert!(run("Gather", ("axis", 0), [square(), tensor(&[], &[index])]).is_err());
        }
        assert!(run("Gather", ("axis", 0), [tensor(&[], &[1]), tensor(&[], &[0])]).is_err());
    }

    #[test]
    fn elements_replace_one_coordinate() {
        let indices = || tensor(&[2, 2], &[0, 0, -1, 0]);
        let result = run("GatherElements", ("axis", 1), [square(), indices()]).unwrap();
        assert_eq!(result, (vec![2, 2], vec![1.0, 1.0, 4.0, 3.0]));
        let large = tensor(&[3, 1], &[0, 0, 0]);
        assert!(run("GatherElements", ("axis", 1), [square(), large]).is_err());
    }

    #[test]
    fn tuples_pick_blocks() {
        let block = run("GatherND", ("batch_dims", 0), [square(), tensor(&[1, 1], &[-1])]).unwrap();
        assert_eq!(block, (vec![1, 2], vec![3.0, 4.0]));
        let one = run("GatherND", ("batch_dims", 0), [square(), tensor(&[2], &[0, 1])]).unwrap();
        assert_eq!(one, (vec![], vec![2.0]));
        let each = [square(), tensor(&[2, 1], &[1, 0])];
        assert_eq!(run("GatherND", ("batch_dims", 1), each).unwrap(), (vec![2], vec![2.0, 3.0]));
        for batch in [-1, 2, i64::MAX] {
            let inputs = [square(), tensor(&[2, 1], &[1, 0])];
            assert!(run("GatherND", ("batch_dims", batch), inputs).is_err());
        }
        assert!(run("GatherND", ("batch_dims", 0), [square(), tensor(&[], &[1])]).is_err());
    }
}
