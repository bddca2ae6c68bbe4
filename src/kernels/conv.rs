//! Convolutions, written as sums over the taps of each window.
//!
//! Whole-number convolutions subtract their zero points first and are exact.

use super::call::Kernel;
use super::call::Reals;
use super::layout::{count, floats, floats_if_there, int, ints, only, only_reals, typed};
use super::window::{Windows, split};
use super::{Call, Refused};
use crate::tensor::{Dtype, Tensor, element_count};

/// The kernels of this file.
pub(super) const CONV: &[(&str, Kernel)] = &[("Conv", conv), ("ConvInteger", conv_integer)];

/// The groups of a node, which must divide the channels.
pub(super) fn groups(call: &Call<'_>, channels: usize) -> Result<usize, Refused> {
    let group = int(call, "group", 1)?;
    usize::try_from(group)
        .ok()
        .filter(|&group| group > 0 && channels.is_multiple_of(group))
        .ok_or_else(|| format!("{channels} channels do not make {group} groups"))
}

/// The extents of the window. `kernel_shape` may only repeat them.
pub(super) fn kernel_of<'a>(call: &Call<'_>, weights: &'a [usize]) -> Result<&'a [usize], Refused> {
    let (_, _, spatial) = split(weights)?;
    let asked = ints(call, "kernel_shape")?;
    let same = |asked: &[i64]| {
        let extents = spatial.iter().map(|&extent| i64::try_from(extent).unwrap_or(-1));
        asked.iter().copied().eq(extents)
    };
    if asked.is_some_and(|asked| !same(asked)) {
        return Err(format!("kernel_shape {asked:?} differs from the weights' {spatial:?}"));
    }
    Ok(spatial)
}

/// The bias of each channel; zeros if the node has none.
pub(super) fn bias_of(call: &Call<'_>, place: usize, channels: usize) -> Result<Vec<f64>, Refused> {
    let Some(bias) = floats_if_there(call, place)? else {
        return Ok(vec![0.0; channels]);
    };
    if bias.shape != [channels] {
        return Err(format!("a bias of shape {:?} does not fit {channels} channels", bias.shape));
    }
    Ok(bias.values)
}

fn conv(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (input, weights) = (floats(call, 0)?, floats(call, 1)?);
    let channels = weights.shape.first().copied().unwrap_or(0);
    count(&[channels])?;
    let bias = bias_of(call, 2, channels)?;
    let (shape, values) = convolve(call, &input, &weights, &bias)?;
    only_reals(&shape, values)
}

/// The shape and the elements of a convolution.
fn convolve(
    call: &Call<'_>,
    input: &Reals,
    weights: &Reals,
    bias: &[f64],
) -> Result<(Vec<usize>, Vec<f64>), Refused> {
    let (batch, channels, spatial) = split(&input.shape)?;
    let (outputs, per_group, _) = split(&weights.shape)?;
    let group = groups(call, channels)?;
    if channels / group != per_group || !outputs.is_multiple_of(group) {
        let shapes = (&input.shape, &weights.shape);
        return Err(format!("weights {:?} do not fit an input {:?}", shapes.1, shapes.0));
    }
    let windows = Windows::of(call, spatial, kernel_of(call, &weights.shape)?, false)?;
    let mut shape = vec![batch, outputs];
    shape.extend(&windows.output);
    let mut result = vec![0.0; count(&shape)?];
    let positions = count(&windows.output)?;
    let inner = element_count(&windows.kernel).unwrap_or(0);
    let outer = element_count(spatial).unwrap_or(0);
    if result.is_empty() {
        return Ok((shape, result));
    }
    for position in 0..positions {
        let taps = windows.taps(position);
        for row in 0..batch * outputs {
            let (image, output) = (row / outputs, row % outputs);
            let first = image * channels + output / (outputs / group) * per_group;
            let mut sum = bias[output];
            for channel in 0..per_group {
                let from = &input.values[(first + channel) * outer..][..outer];
                let by = &weights.values[(output * per_group + channel) * inner..][..inner];
                sum += taps.iter().map(|tap| from[tap.input] * by[tap.kernel]).sum::<f64>();
            }
            result[row * positions + position] = sum;
        }
    }
    Ok((shape, result))
}

fn conv_integer(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let mut input = bytes(call, 0)?;
    let mut weights = bytes(call, 1)?;
    let channels = weights.shape.first().copied().unwrap_or(0);
    let zero = zero_points(call, 2, call.needed(0)?.dtype(), 1)?[0];
    input.values.iter_mut().for_each(|value| *value -= zero);
    let zeros = zero_points(call, 3, call.needed(1)?.dtype(), channels)?;
    let share = weights.values.len().checked_div(channels).unwrap_or(0).max(1);
    for (filter, zero) in weights.values.chunks_mut(share).zip(zeros) {
        filter.iter_mut().for_each(|value| *value -= zero);
    }
    count(&[channels])?;
    let (shape, values) = convolve(call, &input, &weights, &vec![0.0; channels])?;
    only(to_i32(&shape, &values)?)
}

/// An input of 8-bit whole numbers.
pub(super) fn bytes(call: &Call<'_>, place: usize) -> Result<Reals, Refused> {
    let tensor = call.needed(place)?;
    match tensor.dtype() {
        Dtype::I8 | Dtype::U8 => Ok(Reals::of(tensor)),
        other => Err(format!("input {place} is {other}, not of 8 bits")),
    }
}

/// A zero point for each row. A single zero point holds for all rows.
pub(super) fn zero_points(
    call: &Call<'_>,
    place: usize,
    dtype: Dtype,
    rows: usize,
) -> Result<Vec<f64>, Refused> {
    count(&[rows])?;
    let Some(tensor) = call.input(place) else {
        return Ok(vec![0.0; rows]);
    };
    let points = tensor.numbers(1);
    match points.as_slice() {
        _ if tensor.dtype() != dtype => Err(format!("the zero point {place} is not {dtype}")),
        [one] => Ok(vec![*one; rows]),
        many if tensor.shape() == [rows] => Ok(many.to_vec()),
        _ => Err(format!("zero points of shape {:?} do not fit {rows}", tensor.shape())),
    }
}

/// Sums of whole numbers as `i32`. Sums that do not fit are refused.
pub(super) fn to_i32(shape: &[usize], values: &[f64]) -> Result<Tensor, Refused> {
    let fits = |&value: &f64| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value);
    if !values.iter().all(fits) {
        return Err("a sum does not fit 32 bits".to_owned());
    }
    typed(shape, values.iter().map(|&value| value as i32).collect()).map(Tensor::I32)
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
    ) -> Result<Vec<Tensor>, Refused> {
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let kernel = CONV.iter().find(|(name, _)| *name == op_type).unwrap().1;
        kernel(&Call { op_type, opset: 13, attributes: &attributes, inputs, outputs: 1 })
    }

    #[test]
    fn a_row_is_convolved() {
        let input = tensor(&[1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
        let inputs = [input, tensor(&[1, 1, 2], &[1.0, 10.0]), tensor(&[1], &[0.5])];
        let result = run("Conv", &[], &inputs).unwrap();
        assert_eq!(result[0].numbers(1), [21.5, 32.5, 43.5]);
        let spread = [
            ("dilations", Attribute::Ints(vec![2])),
            ("pads", Attribute::Ints(vec![1, 0])),
            ("strides", Attribute::Ints(vec![2])),
        ];
        let result = run("Conv", &spread, &inputs).unwrap();
        assert_eq!(result[0].numbers(1), [20.5, 42.5]);
    }

    #[test]
    fn groups_keep_apart() {
        let input = tensor(&[1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let weights = tensor(&[2, 1, 1, 1], &[2.0, 10.0]);
        let grouped = [("group", Attribute::Int(2))];
        let result = run("Conv", &grouped, &[input.clone(), weights.clone()]).unwrap();
        assert_eq!(result[0].numbers(1), [2.0, 4.0, 30.0, 40.0]);
        assert!(run("Conv", &[], &[input.clone(), weights.clone()]).is_err());
        assert!(run("Conv", &[("group", Attribute::Int(0))], &[input, weights]).is_err());
    }

    #[test]
    fn zero_points_are_subtracted() {
        let input = Some(Tensor::U8(typed(&[1, 1, 2], vec![130, 127]).unwrap()));
        let weights = Some(Tensor::U8(typed(&[1, 1, 1], vec![3]).unwrap()));
        let zero = Some(Tensor::U8(typed(&[], vec![128]).unwrap()));
        let result = run("ConvInteger", &[], &[input, weights, zero]).unwrap();
        assert_eq!(result[0], Tensor::I32(typed(&[1, 1, 2], vec![6, -3]).unwrap()));
    }

    #[test]
    fn inputs_that_do_not_fit_are_refused() {
        let input = tensor(&[1, 1, 2], &[1.0, 2.0]);
        let weights = tensor(&[1, 1, 1], &[1.0]);
        assert!(run("Conv", &[], &[input.clone(), None]).is_err());
        assert!(run("Conv", &[], &[input.clone(), tensor(&[], &[1.0])]).is_err());
        let bias = tensor(&[2], &[1.0, 1.0]);
        assert!(run("Conv", &[], &[input.clone(), weights.clone(), bias]).is_err());
        let other = [("kernel_shape", Attribute::Ints(vec![2]))];
        assert!(run("Conv", &other, &[input, weights]).is_err());
        let empty = tensor(&[0, 1, 2], &[]);
        let result = run("Conv", &[], &[empty, tensor(&[1, 1, 1], &[1.0])]).unwrap();
        assert_eq!(result[0].shape(), [0, 1, 2]);
    }
}
