//! Normalisation with the mistakes of real kernels: by squares, with padding, without parameters.

use super::Accumulate;
use super::naive::r16;
use super::operation::{Floats, Operation, around, place_of, tensor};
use crate::inputs::Random;
use crate::tensor::Tensor;

/// How mean and variance are computed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Statistics {
    /// By the right formula, with sums kept in `f16`.
    SumsInF16,
    /// As `E[x²] - E[x]²`, kept in this format.
    BySquares(Accumulate),
    /// With each channel's places padded with zeros: the multiple, and the number of channels in a node's channel.
    Padded(usize, usize),
}

/// How the elements of a norm are grouped.
struct Shape {
    /// The number of adjacent elements that share mean and variance.
    group: usize,
    /// The number of elements of one channel in a group; padding is added to these.
    places: usize,
    /// How an element's position selects its scale and bias.
    parameter: Parameter,
}

enum Parameter {
    /// One parameter for each channel: elements of a channel, number of channels.
    Channel(usize, usize),
    /// One parameter for each place in the group.
    Place,
}

/// The first output of a norm, with its statistics computed in a different way.
pub(super) fn normalise(
    operation: &Operation<'_>,
    right: &[Tensor],
    statistics: Statistics,
) -> Option<Vec<Tensor>> {
    let input = operation.floats(0)?;
    let (scale, bias) = (operation.floats(1)?.values, operation.floats(2).map(|b| b.values));
    let shape = shape_of(operation, &input, scale.len())?;
    let epsilon = operation.node.float("epsilon").unwrap_or(1e-5);
    let mut values = Vec::with_capacity(input.values.len());
    for (number, group) in input.values.chunks(shape.group.max(1)).enumerate() {
        let (mean, variance) = moments(group, shape.places, statistics);
        let inverse = 1.0 / (variance + epsilon).sqrt();
        for (at, &value) in group.iter().enumerate() {
            let parameter = shape.parameter.of(number * shape.group + at, at);
            let bias = bias.as_ref().map_or(0.0, |bias| bias[parameter % bias.len()]);
            values.push((value - mean) * inverse * scale[parameter % scale.len()] + bias);
        }
    }
    let mut outputs = right.to_vec();
    *outputs.first_mut()? = tensor(input.shape, values)?;
    Some(outputs)
}

impl Parameter {
    /// The index of an element's parameter, from its flat position and its place in the group.
    fn of(&self, flat: usize, at: usize) -> usize {
        match self {
            Parameter::Channel(places, channels) => flat / places % channels,
            Parameter::Place => at,
        }
    }
}

fn shape_of(operation: &Operation<'_>, input: &Floats<'_>, parameters: usize) -> Option<Shape> {
    let rank = input.shape.len();
    if operation.node.op_type == "LayerNormalization" {
        let axis = place_of(operation.node.int("axis").unwrap_or(-1), rank)?;
        let group = input.shape[axis..].iter().product();
        return Some(Shape { group, places: group, parameter: Parameter::Place });
    }
    if rank < 2 {
        return None;
    }
    let (_, channels, places) = around(input.shape, 1);
    let groups = match operation.node.op_type.as_str() {
        "InstanceNormalization" => channels,
        "GroupNormalization" => usize::try_from(operation.node.int("num_groups")?).ok()?,
        _ => return None,
    };
    let in_group = channels.checked_div(groups)?;
    // GroupNormalization has one scale for each group up to opset 18, and for each channel since.
    let parameter = if parameters == channels {
        Parameter::Channel(places, channels)
    } else {
        Parameter::Channel(in_group * places, groups)
    };
    Some(Shape { group: in_group * places, places, parameter })
}

fn moments(group: &[f32], places: usize, statistics: Statistics) -> (f32, f32) {
    let count = group.len() as f32;
    match statistics {
        Statistics::SumsInF16 => {
            let mean = r16(sum16(group.iter().copied()) / count);
            let squares = group.iter().map(|&value| r16((value - mean) * (value - mean)));
            (mean, r16(sum16(squares) / count))
        }
        Statistics::BySquares(Accumulate::F16) => {
            let mean_of = |power: i32| {
                let sum: f64 = group.iter().map(|&value| f64::from(value).powi(power)).sum();
                r16((sum / f64::from(count)) as f32)
            };
            let mean = mean_of(1);
            (mean, r16(mean_of(2) - r16(mean * mean)))
        }
        Statistics::BySquares(Accumulate::F32) => {
            let mean = group.iter().sum::<f32>() / count;
            let squares = group.iter().map(|value| value * value).sum::<f32>() / count;
            (mean, squares - mean * mean)
        }
        Statistics::Padded(multiple, channels) => {
            let places = (places / channels.max(1)).max(1);
            let channels = group.len() / places;
            let padded = (places.div_ceil(multiple) * multiple * channels) as f64;
            let added = padded - f64::from(count);
            let mean = group.iter().map(|&value| f64::from(value)).sum::<f64>() / padded;
            let squares: f64 = group.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
            (mean as f32, ((squares + added * mean * mean) / padded) as f32)
        }
    }
}

/// A sum with every partial sum kept in `f16`.
pub(super) fn sum16(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |sum, value| r16(sum + value))
}

/// The right output, with scale and bias replaced by the contents of unwritten memory. The contents are
/// always the same, as freshly mapped memory often is.
pub(super) fn unwritten_parameters(
    operation: &Operation<'_>,
    right: &[Tensor],
) -> Option<Vec<Tensor>> {
    let (output, scale) = (Floats::of(right.first()?)?, operation.floats(1)?.values);
    let bias = operation.floats(2).map_or_else(|| vec![0.0; scale.len()], |bias| bias.values);
    let channel: Box<dyn Fn(usize) -> usize> = if operation.node.op_type == "LayerNormalization" {
        let length = scale.len();
        Box::new(move |at| at % length)
    } else {
        let (_, channels, places) = around(output.shape, 1.min(output.shape.len() - 1));
        let each = (channels * places / scale.len().max(1)).max(1);
        let length = scale.len();
        Box::new(move |at| at / each % length)
    };
    let mut random = Random::new(0);
    let mut noise = |_| (6.0 * random.unit() - 3.0) as f32;
    let found: Vec<(f32, f32)> = (0..scale.len()).map(|at| (noise(at), noise(at))).collect();
    let inject = |(at, value): (usize, &f32)| {
        let at = channel(at);
        let normal = if scale[at] == 0.0 { 0.0 } else { (value - bias[at]) / scale[at] };
        let (scale, bias) = found[at];
        if at == 0 { f32::NAN } else { normal * scale + bias }
    };
    let values = output.values.iter().enumerate().map(inject).collect();
    let mut outputs = right.to_vec();
    *outputs.first_mut()? = tensor(output.shape, values)?;
    Some(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_beyond_f16_are_infinite_and_their_difference_is_no_number() {
        // A constant row of 1234: both E[x²] and E[x]² are infinite in f16.
        let (_, variance) = moments(&[1234.0; 8], 8, Statistics::BySquares(Accumulate::F16));
        assert!(variance.is_nan());
        let (mean, variance) = moments(&[1.0, 3.0], 2, Statistics::BySquares(Accumulate::F16));
        assert_eq!((mean, variance), (2.0, 1.0));
    }

    #[test]
    fn padding_draws_the_mean_to_zero() {
        // 200 places padded to 224.
        let (mean, variance) = moments(&[1.0; 200], 200, Statistics::Padded(32, 1));
        let share = 200.0 / 224.0;
        assert!((mean - share).abs() < 1e-6);
        assert!((variance - share * (1.0 - share)).abs() < 1e-6);
        // The same for an instance of two channels with 200 places each.
        assert_eq!(moments(&[1.0; 400], 400, Statistics::Padded(32, 2)).0, mean);
    }

    #[test]
    fn squares_of_1234_cancel_to_a_negative_variance_in_f32() {
        let sums = Statistics::BySquares(Accumulate::F32);
        let (mean, variance) = moments(&[1234.0; 256], 256, sums);
        assert_eq!(mean, 1234.0);
        assert!(variance < 0.0, "{variance}");
    }

    #[test]
    fn a_long_sum_stands_still_in_f16() {
        assert_eq!(sum16(std::iter::repeat_n(1.0, 4000)), 2048.0);
    }
}
