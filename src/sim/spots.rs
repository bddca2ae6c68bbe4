//! Faults of few places: one element, one row, the last tile, the elements of a kind. Norms over a whole tensor
//! hardly detect them.

use super::elementwise::binary;
use super::operation::{Floats, Operation, around, each, tensor};
use super::storage::StorageRules;
use crate::kernels::{Call, SumOperator};
use crate::tensor::{Format, Tensor};

/// A prime that spreads places over a tensor.
const STRIDE: usize = 7919;

/// Multiplies one element in some thousand, different in each node, by a factor; a zero becomes the factor.
pub(super) fn one_element(operation: &Operation<'_>, right: &[Tensor], factor: f32) -> Vec<Tensor> {
    let turn = operation.node.index * STRIDE;
    right
        .iter()
        .map(|output| {
            let place = turn % output.len().max(1);
            let change = |at, value: f32| match (at == place, value == 0.0) {
                (false, _) => value,
                (true, true) => factor,
                (true, false) => value * factor,
            };
            each(std::slice::from_ref(output), change).remove(0)
        })
        .collect()
}

/// Multiplies one row of the last axis by a factor.
pub(super) fn one_row(operation: &Operation<'_>, right: &[Tensor], factor: f32) -> Vec<Tensor> {
    let turn = operation.node.index * STRIDE;
    right
        .iter()
        .map(|output| {
            let length = output.shape().last().copied().unwrap_or(1).max(1);
            let row = turn % (output.len() / length).max(1);
            let change =
                |at: usize, value: f32| if at / length == row { value * factor } else { value };
            each(std::slice::from_ref(output), change).remove(0)
        })
        .collect()
}

/// Applies a fault to each output and keeps the outputs that the fault cannot touch; `None` if it touches none.
pub(super) fn to_each(
    right: &[Tensor],
    fault: fn(&[Tensor]) -> Option<Vec<Tensor>>,
) -> Option<Vec<Tensor>> {
    let injected: Vec<Option<Tensor>> =
        right.iter().map(|output| fault(std::slice::from_ref(output))?.pop()).collect();
    let touches = injected.iter().any(Option::is_some);
    let kept = injected.into_iter().zip(right).map(|(new, old)| new.unwrap_or_else(|| old.clone()));
    touches.then(|| kept.collect())
}

/// All channels except the largest are zero.
pub(super) fn quiet_channels(right: &[Tensor]) -> Option<Vec<Tensor>> {
    let output = Floats::of(right.first()?)?;
    if output.shape.len() < 2 {
        return None;
    }
    let (_, channels, places) = around(output.shape, 1);
    let channel = |at: usize| at / places.max(1) % channels.max(1);
    let mut sizes = vec![0.0f64; channels];
    for (at, value) in output.values.iter().enumerate() {
        sizes[channel(at)] += f64::from(value.abs());
    }
    let largest = (0..channels).max_by(|&a, &b| sizes[a].total_cmp(&sizes[b]))?;
    Some(each(right, |at, value| if channel(at) == largest { value } else { 0.0 }))
}

/// The last elements of the last axis, which fill no whole tile, were never written.
pub(super) fn last_tile(right: &[Tensor], tile: usize) -> Option<Vec<Tensor>> {
    let length = right.first()?.shape().last().copied().filter(|&length| length > 0)?;
    let left = match length % tile {
        0 => tile.min(length),
        left => left,
    };
    Some(each(right, |at, value| if at % length >= length - left { 0.0 } else { value }))
}

/// Moves every tenth element away from zero by units in the last place of the storage.
pub(super) fn some_ulps(right: &[Tensor], storage: &StorageRules, ulps: u32) -> Vec<Tensor> {
    each(right, |at, value| {
        let kept = f64::from(storage.keep(value));
        let way = f64::from(ulps) * storage.format.step_at(kept);
        if at % 10 == 3 { (kept + way.copysign(kept)) as f32 } else { value }
    })
}

/// Multiplies elements beyond the range of `f16`, in any storage, by a factor.
pub(super) fn large_only(right: &[Tensor], factor: f32) -> Vec<Tensor> {
    let is_large = |value: f32| f64::from(value.abs()) > Format::F16.max();
    each(right, |_, value| if is_large(value) { value * factor } else { value })
}

/// Multiplies negative elements by a factor.
pub(super) fn negative_only(right: &[Tensor], factor: f32) -> Vec<Tensor> {
    each(right, |_, value| if value < 0.0 { value * factor } else { value })
}

/// The smaller operand is read on in memory order, instead of repeating its axes of extent 1.
pub(super) fn read_on(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    let (a, b) = (operation.floats(0)?, operation.floats(1)?);
    let shape = right.first()?.shape();
    let count: usize = shape.iter().product();
    let on = |operand: &Floats<'_>| -> Option<Vec<f32>> {
        let length = operand.values.len();
        (length > 0).then(|| (0..count).map(|at| operand.values[at % length]).collect())
    };
    if a.values.len() == count && b.values.len() == count {
        return None;
    }
    let function = binary(&operation.node.op_type)?;
    let values = on(&a)?.iter().zip(on(&b)?).map(|(&a, b)| function(a, b)).collect();
    Some(vec![tensor(shape, values)?])
}

/// The last term of each sum of exponentials is left out.
pub(super) fn term_lost(right: &[Tensor]) -> Option<Vec<Tensor>> {
    let output = Floats::of(right.first()?)?;
    let length = output.shape.last().copied().filter(|&length| length > 1)?;
    let rows = output.values.chunks(length).flat_map(|row| {
        let left = 1.0 - row[length - 1];
        row.iter().map(move |value| if left > 0.0 { value / left } else { *value })
    });
    Some(vec![tensor(output.shape, rows.collect())?])
}

/// The last `count` products of each sum are left out.
pub(super) fn tail_lost(
    operation: &Operation<'_>,
    right: &[Tensor],
    count: usize,
) -> Option<Vec<Tensor>> {
    let call = Call {
        op_type: &operation.node.op_type,
        opset: 13,
        attributes: &operation.node.attributes,
        inputs: operation.inputs,
        outputs: right.len(),
    };
    let sums = SumOperator::of(&call)?.ok()?;
    let output = Floats::of(right.first()?)?;
    let mut addends = Vec::new();
    let less = output.values.iter().enumerate().map(|(at, value)| {
        sums.addends(at, &mut addends);
        let lost: f64 = addends.iter().rev().take(count).sum();
        (f64::from(*value) - lost) as f32
    });
    Some(vec![tensor(output.shape, less.collect())?])
}

/// The third input, a bias along the channels, is not added.
pub(super) fn bias_missing(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    let bias = operation.floats(2)?.values;
    let output = Floats::of(right.first()?)?;
    let axis = if operation.node.op_type == "Gemm" { output.shape.len() - 1 } else { 1 };
    let (_, channels, places) = around(output.shape, axis);
    let one = |at: usize| bias.get(at / places.max(1) % channels.max(1) % bias.len().max(1));
    Some(each(right, |at, value| value - one(at).copied().unwrap_or(0.0)))
}

/// The first two rows, on the second-to-last axis, are swapped.
pub(super) fn rows_swapped(right: &[Tensor]) -> Option<Vec<Tensor>> {
    let output = Floats::of(right.first()?)?;
    let axis = output.shape.len().checked_sub(2).filter(|&axis| output.shape[axis] > 1)?;
    let (_, length, inner) = around(output.shape, axis);
    let from = |at: usize| match at / inner % length {
        0 => at + inner,
        1 => at - inner,
        _ => at,
    };
    Some(each(right, |at, _| output.values[from(at)]))
}

/// Every element has the value of the element before it along the last axis; the first has the last one's.
pub(super) fn shifted(right: &[Tensor]) -> Option<Vec<Tensor>> {
    let output = Floats::of(right.first()?)?;
    let length = output.shape.last().copied().filter(|&length| length > 1)?;
    let from = |at: usize| at / length * length + (at % length + length - 1) % length;
    Some(each(right, |at, _| output.values[from(at)]))
}

/// The second channel times a factor.
pub(super) fn one_channel(right: &[Tensor], factor: f32) -> Option<Vec<Tensor>> {
    let output = Floats::of(right.first()?)?;
    if output.shape.len() < 2 || output.shape[1] < 2 {
        return None;
    }
    let (_, channels, places) = around(output.shape, 1);
    let is_second = |at: usize| at / places.max(1) % channels == 1;
    Some(each(right, |at, value| if is_second(at) { value * factor } else { value }))
}

/// The second channel has the values of the first channel.
pub(super) fn channel_copied(right: &[Tensor]) -> Option<Vec<Tensor>> {
    let output = Floats::of(right.first()?)?;
    if output.shape.len() < 2 || output.shape[1] < 2 {
        return None;
    }
    let (_, channels, places) = around(output.shape, 1);
    let from = |at: usize| if at / places % channels == 1 { at - places } else { at };
    Some(each(right, |at, _| output.values[from(at)]))
}

/// Elements larger than nine tenths of the largest element are cut to that limit.
pub(super) fn clipped(right: &[Tensor]) -> Option<Vec<Tensor>> {
    let most = largest(right.first()?)? * 0.9;
    Some(each(right, |_, value| value.clamp(-most, most)))
}

/// Elements smaller than a thousandth of the largest element are zero.
pub(super) fn small_lost(right: &[Tensor]) -> Option<Vec<Tensor>> {
    let least = largest(right.first()?)? / 1000.0;
    Some(each(right, |_, value| if value.abs() < least { 0.0 } else { value }))
}

fn largest(output: &Tensor) -> Option<f32> {
    let values = Floats::of(output)?.values;
    let most = values.iter().filter(|v| v.is_finite()).fold(0.0f32, |most, v| most.max(v.abs()));
    (most > 0.0).then_some(most)
}
