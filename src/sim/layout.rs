//! Faults that put right numbers in wrong places: broadcasting, transposing, tiles, channels, offsets.

use super::elementwise::{binary, gemm};
use super::operation::{Floats, Operation, around, each, place_of, tensor};
use crate::tensor::Tensor;

/// The number of channels packed together.
const PACK: usize = 4;

/// Reads the operand of lower rank, or with fewer elements, as if packed by 4; zero beyond its end.
pub(super) fn wrong_broadcast(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    let (a, b) = (operation.floats(0)?, operation.floats(1)?);
    let size = |operand: &Floats<'_>| (operand.shape.len(), operand.values.len());
    if size(&a) == size(&b) {
        return None;
    }
    let shape = right.first()?.shape();
    let packed = |operand: &Floats<'_>| {
        let count = shape.iter().product();
        (0..count).map(|at| operand.values.get(PACK * at).copied().unwrap_or(0.0)).collect()
    };
    let whole = |operand: &Floats<'_>| (operand.shape == shape).then(|| operand.values.clone());
    let (a, b): (Vec<f32>, Vec<f32>) =
        if size(&a) < size(&b) { (packed(&a), whole(&b)?) } else { (whole(&a)?, packed(&b)) };
    let function = binary(&operation.node.op_type)?;
    let values = a.iter().zip(&b).map(|(&a, &b)| function(a, b)).collect();
    Some(vec![tensor(shape, values)?])
}

/// The elements in the memory order of the input.
pub(super) fn ignore_transpose(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    let shape = right.first()?.shape();
    match operation.node.op_type.as_str() {
        "Transpose" => Some(vec![tensor(shape, operation.floats(0)?.values)?]),
        "Gemm" => {
            let transposed = |name| operation.node.int(name) == Some(1);
            if !transposed("transA") && !transposed("transB") {
                return None;
            }
            gemm(operation, shape, false)
        }
        _ => None,
    }
}

/// Every second tile of rows is zero; rows are the second-to-last axis.
pub(super) fn tile_zero(right: &[Tensor], tile: usize) -> Option<Vec<Tensor>> {
    let output = right.first()?;
    let rank = output.shape().len();
    let axis = rank.checked_sub(2).or_else(|| rank.checked_sub(1))?;
    let (_, length, inner) = around(output.shape(), axis);
    let row = |at: usize| at / inner.max(1) % length.max(1);
    let zero = |at: usize, value: f32| if row(at) / tile % 2 == 1 { 0.0 } else { value };
    Some(super::operation::each(right, zero))
}

/// Outputs with elements from other channels (axis 1): `source` returns the position in the batch to read from.
fn from_elsewhere(
    right: &[Tensor],
    source: impl Fn(usize, usize, usize, usize) -> usize,
) -> Option<Vec<Tensor>> {
    let moved = |output: &Tensor| {
        let floats = Floats::of(output)?;
        if floats.shape.len() < 2 {
            return None;
        }
        let (batches, channels, places) = around(floats.shape, 1);
        let mut values = Vec::with_capacity(floats.values.len());
        for batch in 0..batches {
            for channel in 0..channels {
                for place in 0..places {
                    let from = source(channels, places, channel, place);
                    values.push(floats.values[batch * channels * places + from]);
                }
            }
        }
        tensor(floats.shape, values)
    };
    right.iter().map(moved).collect()
}

/// Swaps each even channel with the odd channel after it; an unpaired last channel stays.
pub(super) fn channel_swap(right: &[Tensor]) -> Option<Vec<Tensor>> {
    from_elsewhere(right, |channels, places, channel, place| {
        let other = channel ^ 1;
        (if other < channels { other } else { channel }) * places + place
    })
}

/// Elements written as C/4, H, W, 4 and read as C, H, W; channels beyond the last whole pack stay.
pub(super) fn pack_swap(right: &[Tensor]) -> Option<Vec<Tensor>> {
    from_elsewhere(right, |channels, places, channel, place| {
        let flat = channel * places + place;
        if flat >= channels / PACK * PACK * places {
            return flat;
        }
        let (pack, rest) = (flat / (PACK * places), flat % (PACK * places));
        (pack * PACK + rest % PACK) * places + rest / PACK
    })
}

/// Reads every part except the first from an offset along the axis, with zero beyond its end.
pub(super) fn concat_offset(
    operation: &Operation<'_>,
    right: &[Tensor],
    offset: usize,
) -> Option<Vec<Tensor>> {
    let shape = right.first()?.shape();
    let axis = place_of(operation.node.int("axis")?, shape.len())?;
    let parts: Vec<Floats<'_>> =
        (0..operation.inputs.len()).map(|place| operation.floats(place)).collect::<Option<_>>()?;
    let (outer, _, inner) = around(shape, axis);
    let mut values = Vec::with_capacity(shape.iter().product());
    for o in 0..outer {
        for (number, part) in parts.iter().enumerate() {
            let length = part.shape[axis];
            let shift = if number == 0 { 0 } else { offset };
            for at in 0..length {
                for i in 0..inner {
                    let from = (o * length + at + shift) * inner + i;
                    let inside = at + shift < length;
                    values.push(if inside { part.values[from] } else { 0.0 });
                }
            }
        }
    }
    Some(vec![tensor(shape, values)?])
}

/// The last row along the axis holds the row before it.
pub(super) fn stale_slot(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    let output = Floats::of(right.first()?)?;
    let axis = place_of(operation.node.int("axis")?, output.shape.len())?;
    let (_, length, inner) = around(output.shape, axis);
    let is_last = |at: usize| length > 1 && at / inner.max(1) % length == length - 1;
    let from = |at: usize| if is_last(at) { at - inner } else { at };
    Some(each(right, |at, _| output.values[from(at)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: &[usize]) -> Tensor {
        let count: usize = shape.iter().product();
        tensor(shape, (0..count).map(|at| at as f32).collect()).unwrap()
    }

    fn values(tensors: Option<Vec<Tensor>>) -> Vec<f32> {
        Floats::of(&tensors.unwrap()[0]).unwrap().values
    }

    #[test]
    fn every_second_tile_is_zero() {
        // Of 200 rows in tiles of 64, rows 64 to 127 and 192 to 199 stay zero.
        let ones = tensor(&[200, 3], vec![1.0; 600]).unwrap();
        let written = values(tile_zero(&[ones], 64));
        let zero: Vec<usize> = (0..200).filter(|row| written[row * 3] == 0.0).collect();
        assert_eq!(zero, (64..128).chain(192..200).collect::<Vec<_>>());
    }

    #[test]
    fn channels_change_places() {
        assert_eq!(values(channel_swap(&[counting(&[1, 3, 2])])), [2.0, 3.0, 0.0, 1.0, 4.0, 5.0]);
        let packed = values(pack_swap(&[counting(&[1, 4, 2])]));
        assert_eq!(packed, [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
    }
}
