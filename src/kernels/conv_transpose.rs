//! The transposed convolution: every element of the input adds its window to the output.
//!
//! If the output's extents are given, or follow from `SAME_UPPER` or `SAME_LOWER`, the padding is
//! the remainder. If `output_shape` asks for more than the windows reach, the rest at the end is
//! the bias alone. ONNX Runtime does this; the standard does not say. `SAME_UPPER` and `SAME_LOWER`
//! refuse this case, because engines disagree on the extents of the output.

use super::call::Kernel;
use super::call::Reals;
use super::conv::{bias_of, groups, kernel_of};
use super::layout::{count, extent, floats, ints, only_reals, per_axis};
use super::window::{AutoPad, Windows, split};
use super::{Call, Refused};
use crate::tensor::{Tensor, element_count};

/// The kernels of this file.
pub(super) const CONV_TRANSPOSE: &[(&str, Kernel)] = &[("ConvTranspose", conv_transpose)];

fn conv_transpose(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (input, weights) = (floats(call, 0)?, floats(call, 1)?);
    let (batch, channels, spatial) = split(&input.shape)?;
    let (first, per_group, _) = split(&weights.shape)?;
    let group = groups(call, channels)?;
    if first != channels {
        return Err(format!("weights for {first} channels do not fit {channels}"));
    }
    let outputs = count(&[group, per_group])?;
    let bias = bias_of(call, 2, outputs)?;
    let windows = spread(call, spatial, kernel_of(call, &weights.shape)?)?;
    let mut shape = vec![batch, outputs];
    shape.extend(&windows.input);
    count(&shape)?;
    let values = scatter(&windows, [&input, &weights], [batch, group, per_group], &bias);
    only_reals(&shape, values)
}

/// The windows of the convolution that this operator transposes: its input is this operator's output.
fn spread(call: &Call<'_>, spatial: &[usize], kernel: &[usize]) -> Result<Windows, Refused> {
    let axes = spatial.len();
    if kernel.len() != axes || kernel.contains(&0) || spatial.contains(&0) {
        return Err(format!("a window {kernel:?} does not fit an input {spatial:?}"));
    }
    count(spatial)?;
    let pads = per_axis(call, "pads", 2 * axes, 0)?;
    let extra = per_axis(call, "output_padding", axes, 0)?;
    let mut windows = Windows {
        input: vec![0; axes],
        kernel: kernel.to_vec(),
        output: spatial.to_vec(),
        strides: per_axis(call, "strides", axes, 1)?,
        dilations: per_axis(call, "dilations", axes, 1)?,
        begin: pads[..axes].to_vec(),
        end: pads[axes..].to_vec(),
    };
    let auto = AutoPad::of(call)?;
    let asked = asked_for(call, &windows, auto)?;
    for axis in 0..axes {
        let steps = windows.output[axis] as i64 - 1;
        let reach = steps * windows.strides[axis] + windows.span(axis)? + extra[axis];
        if extra[axis] > 0 && extra[axis] >= windows.strides[axis].max(windows.dilations[axis]) {
            return Err(format!("an output_padding of {} is too large", extra[axis]));
        }
        if let Some(asked) = asked.as_ref().map(|asked| asked[axis]) {
            if asked > reach && ints(call, "output_shape")?.is_none() {
                return Err(format!("windows that reach {reach} cannot fill {asked}"));
            }
            let total = (reach - asked).max(0);
            (windows.begin[axis], windows.end[axis]) = auto.share(total);
            windows.input[axis] = extent(asked)?;
        } else {
            windows.input[axis] = extent(reach - windows.begin[axis] - windows.end[axis])?;
        }
    }
    count(&windows.input)?;
    Ok(windows)
}

/// The spatial extents of the output, if the node or its padding determines them.
fn asked_for(
    call: &Call<'_>,
    windows: &Windows,
    auto: AutoPad,
) -> Result<Option<Vec<i64>>, Refused> {
    if ints(call, "output_shape")?.is_some() {
        return per_axis(call, "output_shape", windows.output.len(), 1).map(Some);
    }
    let same = windows.output.iter().zip(&windows.strides);
    let same = same.map(|(&extent, stride)| extent as i64 * stride);
    let asked = matches!(auto, AutoPad::SameUpper | AutoPad::SameLower);
    Ok(asked.then(|| same.collect()))
}

/// Adds the window of every element to the output.
fn scatter(
    windows: &Windows,
    [input, weights]: [&Reals; 2],
    [batch, group, per_group]: [usize; 3],
    bias: &[f64],
) -> Vec<f64> {
    let sizes = [&windows.input, &windows.output, &windows.kernel];
    let [to, from, inner] = sizes.map(|shape| element_count(shape).unwrap_or(0));
    let outputs = bias.len();
    let channels = input.shape[1];
    let mut result: Vec<f64> = Vec::with_capacity(batch * outputs * to);
    for row in 0..batch * outputs {
        result.extend(std::iter::repeat_n(bias[row % outputs], to));
    }
    for position in 0..from {
        let taps = windows.taps(position);
        for row in 0..batch * channels {
            let (image, channel) = (row / channels, row % channels);
            let first = image * outputs + channel / (channels / group) * per_group;
            let value = input.values[row * from + position];
            for output in 0..per_group {
                let by = &weights.values[(channel * per_group + output) * inner..][..inner];
                let sums = &mut result[(first + output) * to..][..to];
                for tap in &taps {
                    sums[tap.input] += value * by[tap.kernel];
                }
            }
        }
    }
    result
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
        attributes: &[(&str, Attribute)],
        inputs: &[Option<Tensor>],
    ) -> Result<Vec<f64>, Refused> {
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let op_type = "ConvTranspose";
        let call = Call { op_type, opset: 13, attributes: &attributes, inputs, outputs: 1 };
        conv_transpose(&call).map(|outputs| outputs[0].numbers(1))
    }

    fn row(kernel: &[f32]) -> [Option<Tensor>; 2] {
        [tensor(&[1, 1, 2], &[1.0, 10.0]), tensor(&[1, 1, kernel.len()], kernel)]
    }

    fn list(name: &str, values: &[i64]) -> (String, Attribute) {
        (name.to_owned(), Attribute::Ints(values.to_vec()))
    }

    fn run_lists(
        lists: &[(String, Attribute)],
        auto: &str,
        kernel: &[f32],
    ) -> Result<Vec<f64>, Refused> {
        let mut attributes: Vec<(&str, Attribute)> =
            lists.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        attributes.push(("auto_pad", Attribute::Text(auto.to_owned())));
        run(&attributes, &row(kernel))
    }

    #[test]
    fn windows_add_up() {
        let steps = [list("strides", &[2])];
        let kernel = [1.0, 2.0, 3.0];
        assert_eq!(run_lists(&[], "NOTSET", &kernel).unwrap(), [1.0, 12.0, 23.0, 30.0]);
        assert_eq!(run_lists(&steps, "NOTSET", &kernel).unwrap(), [1.0, 2.0, 13.0, 20.0, 30.0]);
        let padded = [list("strides", &[2]), list("pads", &[1, 1]), list("output_padding", &[1])];
        assert_eq!(run_lists(&padded, "NOTSET", &kernel).unwrap(), [2.0, 13.0, 20.0, 30.0]);
    }

    #[test]
    fn the_odd_padding_goes_where_auto_pad_says() {
        let steps = [list("strides", &[2])];
        let kernel = [1.0, 2.0, 3.0];
        assert_eq!(run_lists(&steps, "SAME_UPPER", &kernel).unwrap(), [1.0, 2.0, 13.0, 20.0]);
        assert_eq!(run_lists(&steps, "SAME_LOWER", &kernel).unwrap(), [2.0, 13.0, 20.0, 30.0]);
        let shape = [list("strides", &[2]), list("output_shape", &[4])];
        assert_eq!(run_lists(&shape, "SAME_UPPER", &kernel).unwrap(), [1.0, 2.0, 13.0, 20.0]);
        assert_eq!(run_lists(&shape, "NOTSET", &kernel).unwrap(), [2.0, 13.0, 20.0, 30.0]);
    }

    #[test]
    fn an_output_beyond_the_windows_ends_in_zeros() {
        let shape = [list("strides", &[2]), list("output_shape", &[4])];
        assert_eq!(run_lists(&shape, "NOTSET", &[1.0]).unwrap(), [1.0, 0.0, 10.0, 0.0]);
        let same = [list("strides", &[2])];
        assert!(run_lists(&same, "SAME_UPPER", &[1.0]).is_err());
    }

    #[test]
    fn groups_keep_apart() {
        let input = tensor(&[1, 2, 1], &[1.0, 2.0]);
        let weights = tensor(&[2, 1, 1], &[3.0, 5.0]);
        let inputs = [input, weights, tensor(&[2], &[0.5, 0.25])];
        assert_eq!(run(&[("group", Attribute::Int(2))], &inputs).unwrap(), [3.5, 10.25]);
        assert!(run(&[("group", Attribute::Int(3))], &inputs).is_err());
    }

    #[test]
    fn hostile_attributes_are_refused() {
        for (name, value) in [("strides", i64::MAX), ("output_shape", -1), ("dilations", 0)] {
            assert!(run_lists(&[list(name, &[value])], "NOTSET", &[1.0]).is_err());
        }
        assert!(run_lists(&[list("output_shape", &[1 << 30])], "NOTSET", &[1.0]).is_err());
        assert!(run_lists(&[list("pads", &[2, 2])], "NOTSET", &[1.0]).is_err());
        assert!(run_lists(&[list("output_padding", &[1])], "NOTSET", &[1.0]).is_err());
    }
}
