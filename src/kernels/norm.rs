//! Normalizations: each element is measured against the mean and spread of a group of elements.
//!
//! All values are computed in `f64`, for any `stash_type`, because the formula means exact values.

use super::broadcast::{room, spread};
use super::call::{Call, Kernel, Reals, Refused};
use super::lanes::{AxisLanes, place_of};
use super::number::{flag, floats};
use super::reduce::length;
use super::sum::{RunningSum, sum};
use crate::tensor::Tensor;

/// The outputs of an operator, or the reason why they are refused.
type Made = Result<Vec<Tensor>, Refused>;

/// The kernels of this file. `SimplifiedLayerNormalization` is an operator of ONNX Runtime.
pub(super) const NORM: &[(&str, Kernel)] = &[
    ("LayerNormalization", |call| last_axes(call, true)),
    ("RMSNormalization", |call| last_axes(call, false)),
    ("SimplifiedLayerNormalization", |call| last_axes(call, false)),
    ("BatchNormalization", batch),
    ("InstanceNormalization", grouped),
    ("GroupNormalization", grouped),
    ("LpNormalization", by_length),
    ("MeanVarianceNormalization", mean_variance),
    ("LRN", local_response),
];

/// The number that prevents a division by 0.
pub(super) fn epsilon(call: &Call<'_>) -> f64 {
    call.float("epsilon").unwrap_or(f64::from(1e-5_f32))
}

/// One group of elements, normalized.
struct Standard {
    values: Vec<f64>,
    mean: f64,
    /// 1 divided by the standard deviation.
    inverse: f64,
}

impl Standard {
    /// Elements scaled to a spread of 1 around their mean; if not `centred`, around 0.
    fn of(group: &[f64], centred: bool, epsilon: f64) -> Self {
        let count = group.len() as f64;
        let mean = if centred { sum(group.iter().copied()) / count } else { 0.0 };
        let variance = sum(group.iter().map(|value| (value - mean) * (value - mean))) / count;
        let inverse = (variance + epsilon).sqrt().recip();
        let values = group.iter().map(|value| (value - mean) * inverse).collect();
        Standard { values, mean, inverse }
    }
}

/// Normalizes over the last axes. Returns the means and the inverse deviations if the node has those outputs.
fn last_axes(call: &Call<'_>, centred: bool) -> Made {
    let Reals { shape, values } = floats(call, 0)?;
    let axis = call.int("axis").unwrap_or(-1);
    let (place, lanes) = (place_of(&shape, axis)?, AxisLanes::from(&shape, axis)?);
    let (epsilon, extras) = (epsilon(call), call.outputs > 1);
    let (mut made, mut means, mut inverses) = (Vec::new(), Vec::new(), Vec::new());
    if lanes.extent > 0 {
        for row in values.chunks(lanes.extent) {
            let standard = Standard::of(row, centred, epsilon);
            made.extend(standard.values);
            means.push(standard.mean);
            inverses.push(standard.inverse);
        }
    }
    let scale = floats(call, 1)?;
    times(&mut made, &spread(&scale.values, &scale.shape, &shape)?);
    if call.input(2).is_some() {
        if call.op_type == "RMSNormalization" || call.op_type == "SimplifiedLayerNormalization" {
            return Err(format!("{} has no bias", call.op_type));
        }
        let bias = floats(call, 2)?;
        plus(&mut made, &spread(&bias.values, &bias.shape, &shape)?);
    }
    let mut tensors = vec![Reals::new(&shape, made).into_tensor()?];
    if extras {
        let few: Vec<usize> =
            (0..shape.len()).map(|axis| if axis < place { shape[axis] } else { 1 }).collect();
        if room(&few)? != means.len() {
            return Err("undefined: the mean of no elements".into());
        }
        let kept = if centred { vec![means, inverses] } else { vec![inverses] };
        for values in kept.into_iter().take(call.outputs - 1) {
            tensors.push(Reals::new(&few, values).into_tensor()?);
        }
    }
    Ok(tensors)
}

fn times(values: &mut [f64], factors: &[f64]) {
    values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
}

fn plus(values: &mut [f64], terms: &[f64]) {
    values.iter_mut().zip(terms).for_each(|(value, term)| *value += term);
}

/// One number for each channel, from an input with one element for each channel.
fn per_channel(call: &Call<'_>, place: usize, channels: usize) -> Result<Vec<f64>, Refused> {
    let Reals { shape, values } = floats(call, place)?;
    if shape == [channels] {
        Ok(values)
    } else {
        Err(format!("input {place} is of shape {shape:?}, but there are {channels} channels"))
    }
}

/// Numbers of channels, repeated to a shape whose second axis is the channels.
fn over_channels(values: &[f64], shape: &[usize]) -> Result<Vec<f64>, Refused> {
    let mut narrow = vec![1; shape.len()];
    // A shape without a channel axis has one channel.
    if let Some(slot) = narrow.get_mut(1) {
        *slot = values.len();
    }
    spread(values, &narrow, shape)
}

fn batch(call: &Call<'_>) -> Made {
    if flag(call, "training_mode", false)? || call.outputs > 1 {
        return Err("BatchNormalization in training is not inference".into());
    }
    if !flag(call, "spatial", true)? {
        return Err("BatchNormalization by place is of an old form".into());
    }
    let Reals { shape, mut values } = floats(call, 0)?;
    let channels = match shape.len() {
        0 => return Err("a scalar has no channels".into()),
        1 => 1,
        _ => shape[1],
    };
    let epsilon = epsilon(call);
    let means = per_channel(call, 3, channels)?;
    let shift: Vec<f64> = means.iter().map(|mean| -mean).collect();
    let variances = per_channel(call, 4, channels)?;
    let deviations = variances.iter().map(|variance| (variance + epsilon).sqrt());
    let scale = per_channel(call, 1, channels)?;
    let factors: Vec<f64> = scale.iter().zip(deviations).map(|(s, d)| s / d).collect();
    plus(&mut values, &over_channels(&shift, &shape)?);
    times(&mut values, &over_channels(&factors, &shape)?);
    plus(&mut values, &over_channels(&per_channel(call, 2, channels)?, &shape)?);
    Ok(vec![Reals::new(&shape, values).into_tensor()?])
}

/// The number of channel groups of an image: the groups of a group norm, or one group for each channel.
pub(super) fn group_count(call: &Call<'_>) -> Result<usize, Refused> {
    let &[_, channels, _, ..] = call.needed(0)?.shape() else {
        return Err(format!("{} wants images: a batch, channels and places", call.op_type));
    };
    if call.op_type == "InstanceNormalization" {
        return Ok(channels);
    }
    let groups = call.int("num_groups").and_then(|number| usize::try_from(number).ok());
    let groups = groups.filter(|&number| number > 0 && channels % number == 0);
    groups.ok_or_else(|| format!("{channels} channels do not split into groups"))
}

/// The scale or the bias of an instance or a group norm, repeated to the shape of the image.
pub(super) fn channel_scales(call: &Call<'_>, place: usize) -> Result<Vec<f64>, Refused> {
    let (shape, groups) = (call.needed(0)?.shape(), group_count(call)?);
    let channels = shape[1];
    // In its first version, the group norm had one scale for a whole group.
    let is_first = call.op_type == "GroupNormalization" && call.opset < 21;
    let scales = if is_first { groups } else { channels };
    let given = per_channel(call, place, scales)?;
    let repeats = channels.checked_div(scales).unwrap_or(0);
    let each = given.iter().flat_map(|&value| std::iter::repeat_n(value, repeats));
    over_channels(&each.collect::<Vec<_>>(), shape)
}

/// Normalizes groups of channels.
fn grouped(call: &Call<'_>) -> Made {
    let groups = group_count(call)?;
    let Reals { shape, values } = floats(call, 0)?;
    let epsilon = epsilon(call);
    let (scale, bias) = (channel_scales(call, 1)?, channel_scales(call, 2)?);
    let mut made = Vec::new();
    if !values.is_empty() {
        let size = values.len() / shape[0] / groups;
        made.extend(values.chunks(size).flat_map(|g| Standard::of(g, true, epsilon).values));
    }
    times(&mut made, &scale);
    plus(&mut made, &bias);
    Ok(vec![Reals::new(&shape, made).into_tensor()?])
}

/// Divides by the sum of magnitudes or by the Euclidean length along an axis.
fn by_length(call: &Call<'_>) -> Made {
    let Reals { shape, values } = floats(call, 0)?;
    let lanes = AxisLanes::along(&shape, call.int("axis").unwrap_or(-1))?;
    let measure: fn(&[f64]) -> f64 = match call.int("p").unwrap_or(2) {
        1 => |lane| sum(lane.iter().map(|value| value.abs())),
        2 => length,
        other => return Err(format!("LpNormalization knows no length of order {other}")),
    };
    let made = lanes.map(&values, lanes.extent, |lane| {
        let length = measure(lane);
        // The standard says that elements which are all 0 stay 0.
        lane.iter().map(|value| if length == 0.0 { 0.0 } else { value / length }).collect()
    });
    Ok(vec![Reals::new(&shape, made).into_tensor()?])
}

fn mean_variance(call: &Call<'_>) -> Made {
    let Reals { shape, mut values } = floats(call, 0)?;
    let mut few = shape.clone();
    for &axis in call.ints("axes").unwrap_or(&[0, 2, 3]) {
        few[place_of(&shape, axis)?] = 1;
    }
    if values.is_empty() {
        return Ok(vec![Reals::new(&shape, values).into_tensor()?]);
    }
    let groups = room(&few)?;
    let numbered: Vec<usize> = (0..groups).collect();
    let group_of = spread(&numbered, &few, &shape)?;
    let count = (values.len() / groups) as f64;
    let averages = |values: &[f64]| -> Vec<f64> {
        let mut sums = vec![RunningSum::default(); groups];
        values.iter().zip(&group_of).for_each(|(&value, &group)| sums[group].add(value));
        sums.into_iter().map(|sum| sum.value() / count).collect()
    };
    let means = averages(&values);
    values.iter_mut().zip(&group_of).for_each(|(value, &group)| *value -= means[group]);
    let squares: Vec<f64> = values.iter().map(|value| value * value).collect();
    let variances = averages(&squares);
    // This number is part of the operator's definition as a function.
    let deviation = |group: usize| variances[group].sqrt() + f64::from(1e-9_f32);
    values.iter_mut().zip(&group_of).for_each(|(value, &group)| *value /= deviation(group));
    Ok(vec![Reals::new(&shape, values).into_tensor()?])
}

/// Divides by a power of the squares of neighbouring channels.
fn local_response(call: &Call<'_>) -> Made {
    let Reals { shape, values } = floats(call, 0)?;
    if shape.len() < 3 {
        return Err("LRN wants images: a batch, channels and places".into());
    }
    let size = call.int("size").filter(|&size| size > 0);
    let size = size.ok_or("LRN does not say how many channels are near")?;
    let number = |name, default: f32| call.float(name).unwrap_or(f64::from(default));
    let (alpha, beta, bias) = (number("alpha", 1e-4), number("beta", 0.75), number("bias", 1.0));
    let reach = usize::try_from(size - 1).map_err(|error| error.to_string())?;
    let lanes = AxisLanes::along(&shape, 1)?;
    let made = lanes.map(&values, lanes.extent, |lane| {
        let respond = |(place, value): (usize, &f64)| {
            let first = place.saturating_sub(reach / 2);
            let last = place.saturating_add(reach.div_ceil(2)).min(lane.len() - 1);
            let squares = sum(lane[first..=last].iter().map(|value| value * value));
            value / libm::pow(bias + alpha / size as f64 * squares, beta)
        };
        lane.iter().enumerate().map(respond).collect()
    });
    Ok(vec![Reals::new(&shape, made).into_tensor()?])
}

#[cfg(test)]
mod tests {
    use super::super::number::tensor_of;
    use super::*;
    use crate::graph::Attribute;
    use approx::assert_relative_eq;
    use std::collections::BTreeMap;
    use std::slice;

    type Given<'a> = &'a [(&'a str, Attribute)];

    fn run(op_type: &str, opset: i64, outputs: usize, given: Given<'_>, inputs: &[Tensor]) -> Made {
        let attributes: BTreeMap<_, _> =
            given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let inputs: Vec<_> = inputs.iter().cloned().map(Some).collect();
        let call = Call { op_type, opset, attributes: &attributes, inputs: &inputs, outputs };
        NORM.iter().find(|(name, _)| *name == op_type).unwrap().1(&call)
    }

    fn tensor(shape: &[usize], values: &[f64]) -> Tensor {
        tensor_of(shape, values.to_vec()).unwrap()
    }

    fn near(tensor: &Tensor, wanted: &[f64]) {
        assert_eq!(tensor.len(), wanted.len());
        for (got, &want) in tensor.numbers(1).into_iter().zip(wanted) {
            assert_relative_eq!(got, want, max_relative = 1e-13);
        }
    }

    fn rows() -> Tensor {
        tensor(&[2, 3], &[1.0, 2.0, 4.0, -3.0, 0.5, 8.0])
    }

    /// Four channels of two by two places: the numbers from 1 on, raised to the power of 1.5.
    fn image() -> Tensor {
        let values: Vec<f64> = (1..17).map(|number| f64::from(number).powf(1.5)).collect();
        tensor(&[1, 4, 2, 2], &values)
    }

    // The expected values were computed with numpy.
    #[test]
    fn layers_have_means_and_deviations() {
        let (scale, bias) = (tensor(&[3], &[1.0, 2.0, 3.0]), tensor(&[1, 3], &[0.5, 0.0, -1.0]));
        let made = run("LayerNormalization", 17, 3, &[], &[rows(), scale.clone(), bias]).unwrap();
        near(
            &made[0],
            &[
                -0.5690415314503845,
                -0.5345207657251925,
                3.008905742938941,
                -0.5533271826931849,
                -0.5811460318307228,
                3.0317005958256393,
            ],
        );
        near(&made[1], &[2.3333333333333335, 1.8333333333333333]);
        near(&made[2], &[0.8017811485877883, 0.21792976193652103]);
        assert_eq!((made[1].shape(), made.len()), (&[2, 1][..], 3));
        let two = run("LayerNormalization", 17, 2, &[], &[rows(), scale.clone()]).unwrap();
        assert_eq!(two.len(), 2);
        let axis = [("axis", Attribute::Int(0))];
        let made = run("LayerNormalization", 17, 3, &axis, &[rows(), scale]).unwrap();
        assert_eq!(made[1].shape(), [1, 1]);
        assert!(run("LayerNormalization", 17, 1, &[], &[rows(), tensor(&[2], &[1.0; 2])]).is_err());
        assert!(run("LayerNormalization", 17, 1, &[], &[rows()]).is_err());
    }

    #[test]
    fn root_mean_squares_are_not_centred() {
        let wanted = [
            0.37796420303489975,
            0.7559284060697995,
            1.511856812139599,
            -0.6071248072935131,
            0.10118746788225218,
            1.6189994861160348,
        ];
        let scale = tensor(&[3], &[1.0; 3]);
        for (name, outputs) in [("RMSNormalization", 1), ("SimplifiedLayerNormalization", 2)] {
            let made = run(name, 23, outputs, &[], &[rows(), scale.clone()]).unwrap();
            near(&made[0], &wanted);
            assert_eq!(made.len(), outputs);
            assert!(run(name, 23, 1, &[], &[rows(), scale.clone(), scale.clone()]).is_err());
        }
    }

    #[test]
    fn batches_are_measured_against_given_numbers() {
        let of = |values: &[f64]| tensor(&[2], values);
        let inputs = [
            tensor(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]),
            of(&[2.0, 3.0]),
            of(&[1.0, -1.0]),
            of(&[1.0, 4.0]),
            of(&[4.0, 9.0]),
        ];
        let none = [("epsilon", Attribute::Float(0.0))];
        let made = run("BatchNormalization", 15, 1, &none, &inputs).unwrap();
        near(&made[0], &[1.0, 2.0, -2.0, -1.0]);
        for wrong in ["training_mode", "spatial"] {
            let value = Attribute::Int(i64::from(wrong == "training_mode"));
            assert!(run("BatchNormalization", 15, 1, &[(wrong, value)], &inputs).is_err());
        }
        assert!(run("BatchNormalization", 15, 3, &none, &inputs).is_err());
        let one = |value| tensor(&[1], &[value]);
        let inputs = [tensor(&[2], &[1.0, 3.0]), one(2.0), one(0.0), one(1.0), one(4.0)];
        near(&run("BatchNormalization", 15, 1, &none, &inputs).unwrap()[0], &[0.0, 2.0]);
    }

    #[test]
    fn groups_are_scaled_by_group_then_by_channel() {
        let two = [("num_groups", Attribute::Int(2))];
        let some = |made: &Tensor| [0, 4, 8, 15].map(|place| made.numbers(1)[place]);
        let inputs = [image(), tensor(&[4], &[1.0, 2.0, 3.0, 4.0]), tensor(&[4], &[0.0; 4])];
        let made = run("GroupNormalization", 21, 1, &two, &inputs).unwrap();
        let wanted =
            [-1.3231156396975445, 0.18766209556378044, -4.39040097120347, 6.346414048394811];
        near(&tensor(&[4], &some(&made[0])), &wanted);
        assert!(run("GroupNormalization", 18, 1, &two, &inputs).is_err());
        let inputs = [image(), tensor(&[2], &[1.0, 2.0]), tensor(&[2], &[0.0; 2])];
        let made = run("GroupNormalization", 18, 1, &two, &inputs).unwrap();
        let wanted =
            [-1.3231156396975445, 0.09383104778189022, -2.9269339808023136, 3.1732070241974055];
        near(&tensor(&[4], &some(&made[0])), &wanted);
        for wrong in [0, 3, -1, i64::MAX] {
            let given = [("num_groups", Attribute::Int(wrong))];
            assert!(run("GroupNormalization", 21, 1, &given, &inputs).is_err());
        }
    }

    #[test]
    fn instances_are_groups_of_one_channel() {
        let inputs = [image(), tensor(&[4], &[1.0, 2.0, 3.0, 4.0]), tensor(&[4], &[0.5; 4])];
        let four = [("num_groups", Attribute::Int(4))];
        let wanted = run("GroupNormalization", 21, 1, &four, &inputs).unwrap();
        assert_eq!(run("InstanceNormalization", 6, 1, &[], &inputs).unwrap(), wanted);
        assert!(run("InstanceNormalization", 6, 1, &[], &[rows(), rows(), rows()]).is_err());
    }

    #[test]
    fn lengths_become_one() {
        let input = tensor(&[2, 2], &[3.0, -4.0, 0.0, 0.0]);
        let of = |given: Given<'_>| run("LpNormalization", 22, 1, given, slice::from_ref(&input));
        near(&of(&[]).unwrap()[0], &[0.6, -0.8, 0.0, 0.0]);
        near(&of(&[("p", Attribute::Int(1))]).unwrap()[0], &[3.0 / 7.0, -4.0 / 7.0, 0.0, 0.0]);
        near(&of(&[("axis", Attribute::Int(0))]).unwrap()[0], &[1.0, -1.0, 0.0, 0.0]);
        assert!(of(&[("p", Attribute::Int(3))]).is_err());
    }

    #[test]
    fn channels_are_measured_over_the_batch() {
        let made = run("MeanVarianceNormalization", 13, 1, &[], &[image()]).unwrap();
        let first =
            [-1.2409219673799947, -0.5441054976937335, 0.3582383589369591, 1.4267891061367686];
        near(&tensor(&[4], &made[0].numbers(1)[..4]), &first);
        let axes = [("axes", Attribute::Ints(vec![0]))];
        let made = run("MeanVarianceNormalization", 13, 1, &axes, &[tensor(&[3], &[5.0; 3])]);
        assert_eq!(made.unwrap()[0].numbers(1), [0.0; 3]);
        assert!(run("MeanVarianceNormalization", 13, 1, &[], &[rows()]).is_err());
    }

    #[test]
    fn near_channels_respond() {
        let input = tensor(&[1, 5, 1], &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let of =
            |size| run("LRN", 13, 1, &[("size", Attribute::Int(size))], slice::from_ref(&input));
        near(
            &of(3).unwrap()[0],
            &[
                0.999875018229539,
                1.999300285728783,
                2.9978268381136606,
                3.9950072806699426,
                4.994881121106986,
            ],
        );
        near(
            &of(2).unwrap()[0],
            &[
                0.9998125410109623,
                1.9990255542256459,
                2.997190572722115,
                3.9938610110269246,
                4.995317621203524,
            ],
        );
        near(
            &of(9).unwrap()[0],
            &[
                0.999541911622039,
                1.999083823244078,
                2.998625734866117,
                3.998167646488156,
                4.997709558110195,
            ],
        );
        assert!(of(i64::MAX).is_ok() && of(0).is_err() && of(-1).is_err());
    }

    #[test]
    fn nothing_panics() {
        let tensors = [
            tensor(&[], &[1.0]),
            tensor(&[0], &[]),
            tensor(&[2, 0, 3], &[]),
            tensor(&[0, 2, 3, 1], &[]),
            tensor(&[1, 2, 1, 1], &[f64::NAN, f64::INFINITY]),
            tensor(&[2], &[1.0, 2.0]),
            tensor_of(&[2], vec![1_i64, 2]).unwrap(),
            tensor(&[1 << 40, 0, 1], &[]),
        ];
        let given: [(&str, Attribute); 3] = [
            ("axis", Attribute::Int(i64::MIN)),
            ("num_groups", Attribute::Int(2)),
            ("size", Attribute::Int(2)),
        ];
        for (name, _) in NORM {
            for (a, b) in tensors.iter().flat_map(|a| tensors.iter().map(move |b| (a, b))) {
                for given in [&given[1..], &given] {
                    for opset in [6, 18, 21] {
                        let inputs = [a.clone(), b.clone(), b.clone(), b.clone(), b.clone()];
                        let _ = run(name, opset, 3, given, &inputs);
                        let _ = run(name, opset, 1, given, &inputs);
                        let _ = run(name, opset, 3, given, &inputs[..2]);
                    }
                }
            }
        }
    }
}
