//! Operators that take parts of a tensor: slices, splits, paddings and reversed sequences.
//!
//! Each axis of the result is a list of positions along the input's axis; `None` is a filled place.

use super::call::Kernel;
use super::layout::{
    axis_in, count, extent, float, int, ints, join, longs_if_there, longs_needed, longs_or_ints,
    only, pick, reshaped, strides, text,
};
use super::{Call, Refused};
use crate::tensor::{Dtype, Tensor};
use half::{bf16, f16};

/// The kernels of this file.
pub(super) const SLICE: &[(&str, Kernel)] =
    &[("Slice", slice), ("Split", split), ("Pad", pad), ("ReverseSequence", reverse_sequence)];

/// The positions along each axis that a result takes; `None` is a place to fill.
type Axes = Vec<Vec<Option<usize>>>;

fn whole(extent: usize) -> Vec<Option<usize>> {
    (0..extent).map(Some).collect()
}

/// Takes the elements at these positions along the axes, and the filling at each `None`.
fn take(tensor: &Tensor, axes: &Axes, filling: Option<&Tensor>) -> Result<Tensor, Refused> {
    let shape: Vec<usize> = axes.iter().map(Vec::len).collect();
    count(&shape)?;
    let own = strides(tensor.shape());
    let mut all = vec![Some(0)];
    for (positions, step) in axes.iter().zip(own) {
        let longer = all.iter().flat_map(|before: &Option<usize>| {
            positions.iter().map(move |at| before.zip(*at).map(|(before, at)| before + at * step))
        });
        all = longer.collect();
    }
    let filled = tensor.len();
    let places: Vec<usize> = all.into_iter().map(|place| place.unwrap_or(filled)).collect();
    match filling {
        Some(filling) => pick(&join(&[tensor, filling])?, &shape, &places),
        None => pick(tensor, &shape, &places),
    }
}

/// The axes that a list of numbers belongs to: the given axes, or else the first ones.
fn axes_for(axes: Option<Vec<i64>>, numbers: usize, rank: usize) -> Result<Vec<usize>, Refused> {
    let axes = match axes {
        Some(axes) if axes.len() != numbers => {
            return Err(format!("{numbers} numbers for {} axes", axes.len()));
        }
        Some(axes) => axes.into_iter().map(|axis| axis_in(axis, rank)).collect::<Result<_, _>>()?,
        None if numbers > rank => return Err(format!("{numbers} numbers for {rank} axes")),
        None => (0..numbers).collect::<Vec<_>>(),
    };
    let twice = (1..axes.len()).any(|at| axes[..at].contains(&axes[at]));
    if twice { Err("an axis comes twice".to_owned()) } else { Ok(axes) }
}

fn slice(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let shape = tensor.shape();
    count(shape)?;
    let starts = longs_or_ints(call, 1, "starts")?.ok_or("the starts are missing")?;
    let ends = longs_or_ints(call, 2, "ends")?.ok_or("the ends are missing")?;
    let axes = axes_for(longs_or_ints(call, 3, "axes")?, starts.len(), shape.len())?;
    let steps = longs_if_there(call, 4)?.unwrap_or_else(|| vec![1; axes.len()]);
    if ends.len() != axes.len() || steps.len() != axes.len() {
        return Err(format!("{} starts, {} ends", starts.len(), ends.len()));
    }
    let mut taken: Axes = shape.iter().map(|&extent| whole(extent)).collect();
    for (at, axis) in axes.into_iter().enumerate() {
        taken[axis] = stepped(shape[axis], starts[at], ends[at], steps[at])?;
    }
    only(take(tensor, &taken, None)?)
}

/// The positions of a slice along an axis.
///
/// A negative step begins within the axis, as the standard says; numpy may begin before the axis.
fn stepped(extent: usize, start: i64, end: i64, step: i64) -> Result<Vec<Option<usize>>, Refused> {
    let length = i64::try_from(extent).map_err(|error| error.to_string())?;
    let from_front = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
    let (start, end) = (from_front(start), from_front(end));
    let mut positions = Vec::new();
    let (mut at, end) = match step {
        0 => return Err("a step of 0".to_owned()),
        _ if length == 0 => return Ok(positions),
        1.. => (start.clamp(0, length), end.clamp(0, length)),
        _ => (start.clamp(0, length - 1), end.clamp(-1, length - 1)),
    };
    while if step > 0 { at < end } else { at > end } {
        positions.push(usize::try_from(at).ok());
        at = at.saturating_add(step);
    }
    Ok(positions)
}

fn split(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let shape = tensor.shape();
    count(shape)?;
    let axis = axis_in(int(call, "axis", 0)?, shape.len())?;
    let parts = parts(call, shape[axis])?;
    if parts.len() != call.outputs || parts.iter().sum::<usize>() != shape[axis] {
        return Err(format!("parts {parts:?} of {} for {} outputs", shape[axis], call.outputs));
    }
    let mut outputs = Vec::with_capacity(parts.len());
    let mut start = 0;
    for part in parts {
        let mut taken: Axes = shape.iter().map(|&extent| whole(extent)).collect();
        taken[axis] = (start..start + part).map(Some).collect();
        outputs.push(take(tensor, &taken, None)?);
        start += part;
    }
    Ok(outputs)
}

/// The extents of the parts: the given extents, or equal ones. From operator set 18 on, the last
/// may be smaller.
fn parts(call: &Call<'_>, whole: usize) -> Result<Vec<usize>, Refused> {
    let given = longs_or_ints(call, 1, "split")?;
    let asked = int(call, "num_outputs", 0)?;
    if let Some(given) = given {
        if asked != 0 {
            return Err("split and num_outputs cannot both be given".to_owned());
        }
        return given.into_iter().map(extent).collect();
    }
    if call.opset >= 18 && usize::try_from(asked) != Ok(call.outputs) {
        return Err(format!("num_outputs is {asked}, and there are {} outputs", call.outputs));
    }
    let outputs = call.outputs;
    if outputs == 0 || (call.opset < 18 && !whole.is_multiple_of(outputs)) {
        return Err(format!("{whole} elements do not make {outputs} equal parts"));
    }
    let part = whole.div_ceil(outputs);
    let last = whole.checked_sub(part * (outputs - 1)).filter(|&last| last > 0 || whole == 0);
    let last = last.ok_or_else(|| format!("{whole} elements do not make {outputs} parts"))?;
    let mut parts = vec![part; outputs];
    parts[outputs - 1] = last;
    Ok(parts)
}

fn pad(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let shape = tensor.shape();
    // The first operator set had a different name for the attribute.
    let name = if call.opset < 2 { "paddings" } else { "pads" };
    let pads = longs_or_ints(call, 1, name)?.ok_or("the pads are missing")?;
    let named = longs_if_there(call, 3)?;
    if !pads.len().is_multiple_of(2) || (named.is_none() && pads.len() != 2 * shape.len()) {
        return Err(format!("{} pads for a shape {shape:?}", pads.len()));
    }
    let axes = axes_for(named, pads.len() / 2, shape.len())?;
    let mode = text(call, "mode", "constant")?;
    let mut result: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
    let mut begins = vec![0; shape.len()];
    for (at, &axis) in axes.iter().enumerate() {
        let (begin, end) = (pads[at], pads[at + axes.len()]);
        extent(begin.saturating_abs())?;
        extent(end.saturating_abs())?;
        if mode != "constant" && (begin < 0 || end < 0) {
            return Err(format!("negative pads in mode {mode}"));
        }
        begins[axis] = begin;
        result[axis] += begin + end;
    }
    let extents: Result<Vec<usize>, Refused> =
        result.iter().map(|&extents| extent(extents)).collect();
    count(&extents?)?;
    let mut taken = Axes::new();
    for axis in 0..shape.len() {
        let places = (0..result[axis]).map(|at| padded(mode, at - begins[axis], shape[axis]));
        taken.push(places.collect::<Result<_, _>>()?);
    }
    let filling = if mode == "constant" { Some(filling(call, tensor.dtype())?) } else { None };
    only(take(tensor, &taken, filling.as_ref())?)
}

/// The input position of a place in a padding mode; `None` is the constant.
fn padded(mode: &str, at: i64, extent: usize) -> Result<Option<usize>, Refused> {
    let length = extent as i64;
    let place = match mode {
        _ if (0..length).contains(&at) => at,
        "constant" => return Ok(None),
        "edge" if length > 0 => at.clamp(0, length - 1),
        "wrap" if length > 0 => at.rem_euclid(length),
        "reflect" if at < 0 && -at < length => -at,
        "reflect" if at >= length && 2 * (length - 1) - at >= 0 => 2 * (length - 1) - at,
        other => return Err(format!("mode {other} at {at} of {length}")),
    };
    Ok(usize::try_from(place).ok())
}

/// The constant to fill with, of the type of the input.
fn filling(call: &Call<'_>, dtype: Dtype) -> Result<Tensor, Refused> {
    if let Some(value) = call.input(2) {
        return if value.len() == 1 {
            reshaped(value, &[1])
        } else {
            Err(format!("a constant of {} elements", value.len()))
        };
    }
    let value = float(call, "value", 0.0)? as f32;
    let bytes = match dtype {
        _ if value == 0.0 && value.is_sign_positive() => vec![0; dtype.size()],
        Dtype::F32 => value.to_le_bytes().to_vec(),
        Dtype::F64 => f64::from(value).to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::Bf16 => bf16::from_f32(value).to_le_bytes().to_vec(),
        other => return Err(format!("a value of {value} for {other}")),
    };
    Tensor::from_bytes(dtype, &[1], &bytes).map_err(|error| error.to_string())
}

fn reverse_sequence(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let shape = tensor.shape();
    let lengths = longs_needed(call, 1)?;
    let (batch, time) = (int(call, "batch_axis", 1)?, int(call, "time_axis", 0)?);
    let two = (batch, time) == (0, 1) || (batch, time) == (1, 0);
    if !two || shape.len() < 2 || ints(call, "axes")?.is_some() {
        return Err(format!("sequences along axis {time}, batches along axis {batch}"));
    }
    let (batch, time) = (batch as usize, time as usize);
    let fits = |&length: &i64| (0..=shape[time] as i64).contains(&length);
    if lengths.len() != shape[batch] || !lengths.iter().all(fits) {
        return Err(format!("lengths {lengths:?} for a shape {shape:?}"));
    }
    let own = strides(shape);
    let places = (0..tensor.len()).map(|place| {
        let at = place / own[time] % shape[time];
        let length = lengths[place / own[batch] % shape[batch]] as usize;
        let from = if at < length { length - 1 - at } else { at };
        place - at * own[time] + from * own[time]
    });
    only(pick(tensor, shape, &places.collect::<Vec<_>>())?)
}

#[cfg(test)]
mod tests {
    use super::super::layout::longs;
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn list(values: &[i64]) -> Option<Tensor> {
        longs(&[values.len()], values.to_vec()).ok()
    }

    fn run(
        op_type: &str,
        opset: i64,
        attributes: &[(&str, Attribute)],
        inputs: &[Option<Tensor>],
        outputs: usize,
    ) -> Result<Vec<Vec<f64>>, Refused> {
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let kernel = SLICE.iter().find(|(name, _)| *name == op_type).unwrap().1;
        let call = Call { op_type, opset, attributes: &attributes, inputs, outputs };
        kernel(&call).map(|tensors| tensors.iter().map(|tensor| tensor.numbers(1)).collect())
    }

    fn sliced(start: i64, end: i64, step: i64) -> Result<Vec<f64>, Refused> {
        let axes = list(&[-1]);
        let inputs = [list(&[0, 1, 2, 3, 4]), list(&[start]), list(&[end]), axes, list(&[step])];
        run("Slice", 13, &[], &inputs, 1).map(|mut outputs| outputs.remove(0))
    }

    #[test]
    fn slices_are_clamped() {
        assert_eq!(sliced(1, i64::MAX, 2).unwrap(), [1.0, 3.0]);
        assert_eq!(sliced(-1, i64::MIN, -2).unwrap(), [4.0, 2.0, 0.0]);
        assert_eq!(sliced(i64::MAX, -6, -3).unwrap(), [4.0, 1.0]);
        assert_eq!(sliced(i64::MIN, i64::MAX, i64::MAX).unwrap(), [0.0]);
        assert_eq!(sliced(4, 0, i64::MIN).unwrap(), [4.0]);
        assert_eq!(sliced(-9, -9, -1).unwrap(), [0.0]);
        assert!(sliced(3, 2, 1).unwrap().is_empty());
        assert!(sliced(0, 1, 0).is_err());
        let attributes = [("starts", Attribute::Ints(vec![1])), ("ends", Attribute::Ints(vec![3]))];
        let old = run("Slice", 9, &attributes, &[list(&[5, 6, 7, 8])], 1).unwrap();
        assert_eq!(old[0], [6.0, 7.0]);
    }

    #[test]
    fn parts_are_equal_or_given() {
        let five = list(&[0, 1, 2, 3, 4]);
        let given = run("Split", 13, &[], &[five.clone(), list(&[1, 4])], 2).unwrap();
        assert_eq!(given, [vec![0.0], vec![1.0, 2.0, 3.0, 4.0]]);
        let two = [("num_outputs", Attribute::Int(2))];
        let uneven = run("Split", 18, &two, std::slice::from_ref(&five), 2).unwrap();
        assert_eq!(uneven, [vec![0.0, 1.0, 2.0], vec![3.0, 4.0]]);
        assert!(run("Split", 13, &[], std::slice::from_ref(&five), 2).is_err());
        assert!(run("Split", 18, &two, std::slice::from_ref(&five), 3).is_err());
        assert!(run("Split", 13, &[], &[five, list(&[1, 3])], 2).is_err());
    }

    fn padded_row(mode: &str, pads: &[i64]) -> Result<Vec<f64>, Refused> {
        let attributes = [("mode", Attribute::Text(mode.to_owned()))];
        let inputs = [list(&[1, 2, 3]), list(pads), list(&[9])];
        run("Pad", 19, &attributes, &inputs, 1).map(|mut outputs| outputs.remove(0))
    }

    #[test]
    fn pads_follow_their_mode() {
        assert_eq!(padded_row("constant", &[1, -1]).unwrap(), [9.0, 1.0, 2.0]);
        assert_eq!(padded_row("edge", &[1, 2]).unwrap(), [1.0, 1.0, 2.0, 3.0, 3.0, 3.0]);
        assert_eq!(padded_row("reflect", &[2, 1]).unwrap(), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
        assert_eq!(padded_row("wrap", &[1, 1]).unwrap(), [3.0, 1.0, 2.0, 3.0, 1.0]);
        assert_eq!(padded_row("constant", &[-1, -2]).unwrap(), [0.0; 0]);
        for (mode, pads) in
            [("edge", [-1, 0]), ("reflect", [3, 0]), ("odd", [1, 0]), ("constant", [-4, 0])]
        {
            assert!(padded_row(mode, &pads).is_err(), "{mode}");
        }
        assert!(padded_row("constant", &[i64::MIN, i64::MAX]).is_err());
    }

    #[test]
    fn old_pads_are_attributes() {
        let attributes = [("pads", Attribute::Ints(vec![0, 1])), ("value", Attribute::Float(0.5))];
        let row = Some(Tensor::from_f32(&[1], vec![2.0]).unwrap());
        assert_eq!(run("Pad", 2, &attributes, &[row], 1).unwrap()[0], [2.0, 0.5]);
    }

    #[test]
    fn sequences_turn_around() {
        let input = longs(&[3, 2], vec![0, 1, 2, 3, 4, 5]).ok();
        let result = run("ReverseSequence", 10, &[], &[input.clone(), list(&[2, 3])], 1).unwrap();
        assert_eq!(result[0], [2.0, 5.0, 0.0, 3.0, 4.0, 1.0]);
        assert!(run("ReverseSequence", 10, &[], &[input, list(&[2, 4])], 1).is_err());
    }
}
