//! Functions as a careless `f16` kernel computes them: every intermediate result is kept in `f16`.

use super::operation::{Floats, Operation, around, tensor};
use crate::tensor::{Format, Rounding, Tensor, round_f32};

/// A value rounded to the nearest `f16`.
pub(super) fn r16(value: f32) -> f32 {
    round_f32(value, Format::F16, Rounding::NearestEven)
}

fn exp(value: f32) -> f32 {
    r16(libm::expf(value))
}

/// tanh by two exponentials: NaN if one of them is infinite.
fn tanh(value: f32) -> f32 {
    let (up, down) = (exp(value), exp(-value));
    r16(r16(up - down) / r16(up + down))
}

/// The argument of the tanh in GELU.
fn gelu_argument(value: f32) -> f32 {
    let cube = r16(r16(value * value) * value);
    r16(r16(0.797_884_6) * r16(value + r16(r16(0.044_715) * cube)))
}

/// The part of GELU between its two products: the tanh form of erf(x/√2).
fn erf(value: f32) -> f32 {
    tanh(gelu_argument(r16(value * std::f32::consts::SQRT_2)))
}

fn gelu(value: f32) -> f32 {
    r16(r16(value * r16(1.0 + tanh(gelu_argument(value)))) * 0.5)
}

/// GELU, or the part of GELU that the node computes.
pub(super) fn naive_gelu(operation: &Operation<'_>) -> Option<Vec<Tensor>> {
    let function: fn(f32) -> f32 = match operation.node.op_type.as_str() {
        "Erf" => erf,
        "Gelu" => gelu,
        "Tanh" => tanh,
        _ => return None,
    };
    map(operation, function)
}

/// ln(1 + eˣ).
pub(super) fn naive_softplus(operation: &Operation<'_>) -> Option<Vec<Tensor>> {
    map(operation, |value| r16(libm::logf(r16(1.0 + exp(value)))))
}

fn map(operation: &Operation<'_>, function: impl Fn(f32) -> f32) -> Option<Vec<Tensor>> {
    let input = operation.floats(0)?;
    let values = input.values.iter().map(|&value| function(r16(value))).collect();
    Some(vec![tensor(input.shape, values)?])
}

/// Softmax, its logarithm, or the logarithm of a sum of exponentials.
pub(super) fn naive_logsumexp(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    let input = operation.floats(0)?;
    let axis = input.axis(axis(operation)?)?;
    let (outer, length, inner) = around(input.shape, axis);
    let reduces = operation.node.op_type == "ReduceLogSumExp";
    let mut values = vec![0.0; if reduces { outer * inner } else { input.values.len() }];
    for o in 0..outer {
        for i in 0..inner {
            let place = |at: usize| (o * length + at) * inner + i;
            let powers: Vec<f32> =
                (0..length).map(|at| exp(r16(input.values[place(at)]))).collect();
            let sum = powers.iter().fold(0.0, |sum, power| r16(sum + power));
            if reduces {
                values[o * inner + i] = r16(libm::logf(sum));
                continue;
            }
            for (at, power) in powers.iter().enumerate() {
                let share = r16(power / sum);
                let log = operation.node.op_type == "LogSoftmax";
                values[place(at)] = if log { r16(libm::logf(share)) } else { share };
            }
        }
    }
    Some(vec![tensor(right.first()?.shape(), values)?])
}

/// The single axis of the sum.
fn axis(operation: &Operation<'_>) -> Option<i64> {
    if operation.node.op_type != "ReduceLogSumExp" {
        return Some(operation.node.int("axis").unwrap_or(-1));
    }
    let axes = operation.longs(1).or_else(|| operation.node.ints("axes").map(<[i64]>::to_vec))?;
    match axes.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

/// Replaces elements by `instead` if their first input is in a range.
pub(super) fn where_input_lies(
    operation: &Operation<'_>,
    right: &[Tensor],
    [low, high]: [f32; 2],
    instead: f32,
) -> Option<Vec<Tensor>> {
    let input: Floats<'_> = operation.floats(0)?;
    let inside = |at: usize| input.values.get(at).is_some_and(|v| (low..=high).contains(v));
    let shape = right.first()?.shape();
    // If input and output have different shapes, one input element in the range makes all elements wrong.
    let any = shape != input.shape && (0..input.values.len()).any(inside);
    let inject = |at: usize, value: f32| {
        if any || (shape == input.shape && inside(at)) { instead } else { value }
    };
    Some(super::operation::each(right, inject))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_is_nan_where_an_exponential_overflows_and_right_elsewhere() {
        assert!(gelu(r16(-72.4048)).is_nan());
        assert!(gelu(-6.0).is_nan());
        assert!((gelu(1.0) - 0.8413).abs() < 2e-3);
        assert_eq!(gelu(r16(3.8044)), 3.804_687_5);
        assert!(erf(-51.2).is_nan());
    }

    #[test]
    fn softplus_overflows_at_the_logarithm_of_the_largest_value() {
        let softplus = |value: f32| r16(libm::logf(r16(1.0 + exp(value))));
        assert!((softplus(10.4) - 10.4).abs() < 1e-2);
        assert!(softplus(11.2).is_infinite());
    }
}
