//! `Softmax` and related operators.
//!
//! Before opset 13 the operators flatten their input to a matrix and work on its rows. From then on
//! they work along one axis. A lane of minus infinities gives NaN, as the formula does.

use super::call::{Call, Kernel, Reals, Refused};
use super::lanes::AxisLanes;
use super::number::floats;
use super::order::best;
use super::sum::{largest, sum};
use crate::tensor::Tensor;

/// The kernels of this file.
pub(super) const SOFTMAX: &[(&str, Kernel)] = &[
    ("Softmax", |call| along(call, softmax)),
    ("LogSoftmax", |call| along(call, log_softmax)),
    ("Hardmax", |call| along(call, hardmax)),
];

fn along(call: &Call<'_>, each: fn(&[f64]) -> Vec<f64>) -> Result<Vec<Tensor>, Refused> {
    let Reals { shape, values } = floats(call, 0)?;
    let lanes = if call.opset < 13 {
        AxisLanes::from(&shape, call.int("axis").unwrap_or(1))?
    } else {
        AxisLanes::along(&shape, call.int("axis").unwrap_or(-1))?
    };
    let made = lanes.map(&values, lanes.extent, each);
    Ok(vec![Reals::new(&shape, made).into_tensor()?])
}

/// Exponentials, divided by their sum.
pub(super) fn softmax(lane: &[f64]) -> Vec<f64> {
    let most = largest(lane);
    let exponentials: Vec<f64> = lane.iter().map(|value| libm::exp(value - most)).collect();
    let total = sum(exponentials.iter().copied());
    exponentials.into_iter().map(|value| value / total).collect()
}

fn log_softmax(lane: &[f64]) -> Vec<f64> {
    let most = largest(lane);
    if !most.is_finite() {
        // The formula subtracts an infinity from itself, and the sum spreads the NaN to every element.
        return vec![f64::NAN; lane.len()];
    }
    let first = lane.iter().position(|&value| value == most);
    // The largest term is 1. Leaving it out of the sum costs the other terms no digits.
    let others = lane.iter().enumerate().filter(|&(place, _)| Some(place) != first);
    let total = libm::log1p(sum(others.map(|(_, value)| libm::exp(value - most))));
    lane.iter().map(|value| (value - most) - total).collect()
}

/// 1 for the first of the largest elements, 0 for the others. A NaN counts as the largest.
fn hardmax(lane: &[f64]) -> Vec<f64> {
    let first = best(lane, false, |a: f64, b| a > b || (a.is_nan() && !b.is_nan()));
    (0..).zip(lane).map(|(place, _)| if place == first { 1.0 } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::number::tensor_of;
    use super::*;
    use crate::graph::Attribute;
    use approx::assert_relative_eq;
    use std::collections::BTreeMap;

    fn run(op_type: &str, opset: i64, axis: Option<i64>, input: Tensor) -> Result<Tensor, Refused> {
        let attributes: BTreeMap<_, _> =
            axis.into_iter().map(|axis| ("axis".to_owned(), Attribute::Int(axis))).collect();
        let inputs = [Some(input)];
        let call = Call { op_type, opset, attributes: &attributes, inputs: &inputs, outputs: 1 };
        let made = SOFTMAX.iter().find(|(name, _)| *name == op_type).unwrap().1(&call);
        made.map(|mut made| made.remove(0))
    }

    fn tensor(shape: &[usize], values: &[f64]) -> Tensor {
        tensor_of(shape, values.to_vec()).unwrap()
    }

    #[test]
    fn a_lane_sums_to_one() {
        let got = run("Softmax", 13, None, tensor(&[3], &[1.0, 2.0, 3.0])).unwrap().numbers(1);
        for (got, want) in
            got.iter().zip([0.09003057317038046, 0.24472847105479767, 0.6652409557748219])
        {
            assert_relative_eq!(*got, want, max_relative = 1e-14);
        }
        let big = run("Softmax", 13, None, tensor(&[2], &[1e300, 1e300])).unwrap();
        assert_eq!(big.numbers(1), [0.5, 0.5]);
        let logs = run("LogSoftmax", 13, None, tensor(&[2], &[0.0, -50.0])).unwrap().numbers(1);
        assert_relative_eq!(logs[0], -1.928749847963918e-22, max_relative = 1e-14);
        assert_eq!(logs[1], -50.0);
    }

    #[test]
    fn the_axis_depends_on_the_opset() {
        let input = || tensor(&[1, 2, 2], &[0.0; 4]);
        let of = |opset, axis| run("Softmax", opset, axis, input()).unwrap().numbers(1);
        assert_eq!(of(11, None), [0.25; 4]);
        assert_eq!(of(11, Some(-1)), [0.5; 4]);
        assert_eq!(of(13, None), [0.5; 4]);
        assert_eq!(of(13, Some(0)), [1.0; 4]);
        assert_eq!(of(12, Some(0)), [0.25; 4]);
        assert!(run("Softmax", 13, Some(3), input()).is_err());
        assert!(run("Softmax", 13, None, tensor(&[], &[1.0])).is_err());
        assert!(run("Softmax", 13, None, tensor_of(&[1], vec![1_i32]).unwrap()).is_err());
    }

    #[test]
    fn columns_are_lanes() {
        let input = tensor(&[2, 2], &[0.0, 5.0, 3.0_f64.ln(), 5.0]);
        let got = run("Softmax", 13, Some(0), input).unwrap().numbers(1);
        for (got, want) in got.iter().zip([0.25, 0.5, 0.75, 0.5]) {
            assert_relative_eq!(*got, want, max_relative = 1e-15);
        }
    }

    #[test]
    fn infinities_do_as_the_formula_does() {
        let low = f64::NEG_INFINITY;
        let of = |name: &str, values: &[f64]| {
            run(name, 13, None, tensor(&[values.len()], values)).unwrap().numbers(1)
        };
        for name in ["Softmax", "LogSoftmax"] {
            assert!(of(name, &[low, low]).iter().all(|value| value.is_nan()), "{name}");
            assert!(of(name, &[1.0, f64::NAN]).iter().all(|value| value.is_nan()), "{name}");
            assert!(of(name, &[-low, 1.0]).iter().all(|value| value.is_nan()), "{name}");
        }
        assert_eq!(of("Softmax", &[low, 1.0]), [0.0, 1.0]);
        assert_eq!(of("LogSoftmax", &[low, 1.0]), [low, 0.0]);
        assert_eq!(of("Hardmax", &[low, low]), [1.0, 0.0]);
        assert_eq!(of("Hardmax", &[1.0, 3.0, 3.0]), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn empty_tensors_stay_empty() {
        for (name, _) in SOFTMAX {
            for opset in [11, 13] {
                let got = run(name, opset, None, tensor(&[2, 0], &[])).unwrap();
                assert_eq!(got.shape(), [2, 0]);
                let huge = tensor(&[1 << 40, 0, 3], &[]);
                assert!(run(name, opset, None, huge).unwrap().is_empty());
            }
        }
    }
}
