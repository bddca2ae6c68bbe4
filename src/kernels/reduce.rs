//! Reductions: one number from all numbers that differ only in their places along some axes.
//!
//! Sums of floating-point numbers are compensated. Integers stay exact and wrap in their own type.

use super::broadcast::{gathered, room};
use super::call::{Call, Kernel, Reals, Refused};
use super::lanes::place_of;
use super::number::{Numbers, Wholes, flag, limits};
use super::order;
use super::sum::{largest, smaller, sum};
use crate::tensor::{Dtype, Tensor};

/// The outputs of an operator, or the reason why they are refused.
type Made = Result<Vec<Tensor>, Refused>;

/// The kernels of this file, and the kernels that find places along an axis.
pub(super) const REDUCE: &[(&str, Kernel)] = &[
    ("ReduceSum", |call| reduced(call, |x| sum(copied(x)), Some(|x, _| total(x, |v| v)))),
    ("ReduceMean", mean),
    ("ReduceMax", |call| reduced(call, largest, Some(whole_largest))),
    ("ReduceMin", |call| reduced(call, smallest, Some(whole_smallest))),
    ("ReduceProd", |call| reduced(call, |x| copied(x).product(), Some(whole_product))),
    ("ReduceSumSquare", |call| {
        reduced(
            call,
            |x| sum(copied(x).map(|v| v * v)),
            Some(|x, _| total(x, |v| v.wrapping_mul(v))),
        )
    }),
    ("ReduceL1", |call| {
        reduced(call, |x| sum(copied(x).map(f64::abs)), Some(|x, _| total(x, i128::abs)))
    }),
    ("ReduceL2", |call| reduced(call, length, None)),
    ("ReduceLogSum", |call| reduced(call, |x| libm::log(sum(copied(x))), None)),
    ("ReduceLogSumExp", |call| reduced(call, log_sum_exp, None)),
    ("ArgMax", |call| order::arg(call, order::Extreme::Largest)),
    ("ArgMin", |call| order::arg(call, order::Extreme::Smallest)),
    ("CumSum", order::cumulated),
    ("TopK", order::top),
];

/// Reduces integers of one type.
type Whole = fn(&[i128], Dtype) -> i128;

fn copied(values: &[f64]) -> impl Iterator<Item = f64> {
    values.iter().copied()
}

fn total(values: &[i128], of: fn(i128) -> i128) -> i128 {
    values.iter().fold(0, |sum, &value| sum.wrapping_add(of(value)))
}

fn whole_product(values: &[i128], _: Dtype) -> i128 {
    values.iter().fold(1, |product, &value| product.wrapping_mul(value))
}

/// The largest integer; without integers, the smallest of the type.
fn whole_largest(values: &[i128], dtype: Dtype) -> i128 {
    let end = || limits(dtype).map_or(0, |(low, _)| low);
    values.iter().copied().max().unwrap_or_else(end)
}

/// The smallest integer; without integers, the largest of the type.
fn whole_smallest(values: &[i128], dtype: Dtype) -> i128 {
    let end = || limits(dtype).map_or(0, |(_, high)| high);
    values.iter().copied().min().unwrap_or_else(end)
}

/// The smallest number; NaN if there is one, and infinity if there are no numbers.
fn smallest(values: &[f64]) -> f64 {
    copied(values).fold(f64::INFINITY, smaller)
}

/// The square root of the sum of squares.
pub(super) fn length(values: &[f64]) -> f64 {
    let most = largest(&copied(values).map(f64::abs).collect::<Vec<_>>());
    if most.is_nan() || most.is_infinite() || most == 0.0 {
        // Without numbers, the maximum is minus infinity and the length is 0.
        return if most < 0.0 { 0.0 } else { most };
    }
    // Scaling to numbers near 1 prevents overflow of the squares. A power of two costs no digits.
    let power = libm::ilogb(most);
    let squares = copied(values).map(|value| libm::scalbn(value, -power)).map(|v| v * v);
    libm::scalbn(sum(squares).sqrt(), power)
}

/// The logarithm of the sum of exponentials.
pub(super) fn log_sum_exp(values: &[f64]) -> f64 {
    let most = largest(values);
    if !most.is_finite() {
        return most;
    }
    // The largest term is 1 after scaling. Leaving it out of the sum costs the other terms no digits.
    let first = values.iter().position(|&value| value == most);
    let others = values.iter().enumerate().filter(|&(place, _)| Some(place) != first);
    most + libm::log1p(sum(others.map(|(_, value)| libm::exp(value - most))))
}

fn mean(call: &Call<'_>) -> Made {
    let plan = ReducePlan::of(call)?;
    if plan.size == 0 && room(&plan.shape)? > 0 {
        return Err("undefined: the mean of no numbers".into());
    }
    reduced(call, |values| sum(copied(values)) / values.len() as f64, None)
}

fn reduced(call: &Call<'_>, real: fn(&[f64]) -> f64, whole: Option<Whole>) -> Made {
    let plan = ReducePlan::of(call)?;
    match (Numbers::of(call, 0)?, whole) {
        (Numbers::Reals(reals), _) => {
            let values = plan.each(&reals.values, &reals.shape, real)?;
            Ok(vec![Reals::new(&plan.shape, values).into_tensor()?])
        }
        (Numbers::Wholes(Wholes { dtype, .. }), None) => {
            Err(format!("{} of {dtype} does not say how it rounds", call.op_type))
        }
        (Numbers::Wholes(Wholes { dtype: Dtype::Bool, .. }), _) if !orders_bools(call) => {
            Err(format!("{} of opset {} takes no bool", call.op_type, call.opset))
        }
        (Numbers::Wholes(Wholes { shape, values, dtype }), Some(whole)) => {
            let values = plan.each(&values, &shape, |group| whole(group, dtype))?;
            Ok(vec![Wholes { shape: plan.shape, values, dtype }.into_tensor()?])
        }
    }
}

fn orders_bools(call: &Call<'_>) -> bool {
    call.opset >= 20 && matches!(call.op_type, "ReduceMax" | "ReduceMin")
}

/// The reduced axes, and the remaining shape.
pub(super) struct ReducePlan {
    /// Whether each axis is reduced.
    pub(super) gone: Vec<bool>,
    /// The count of numbers that become one number.
    pub(super) size: usize,
    /// The shape of the result.
    shape: Vec<usize>,
}

impl ReducePlan {
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Refused> {
        let shape = call.needed(0)?.shape();
        let keeps = flag(call, "keepdims", true)?;
        let axes = axes(call)?;
        let all = axes.is_empty() && !flag(call, "noop_with_empty_axes", false)?;
        let mut gone = vec![all; shape.len()];
        for axis in axes {
            let place = place_of(shape, axis)?;
            if std::mem::replace(&mut gone[place], true) {
                return Err(format!("axis {axis} is given twice"));
            }
        }
        let pairs = || shape.iter().copied().zip(gone.iter().copied());
        let left = pairs().filter(|&(_, gone)| keeps || !gone);
        let left = left.map(|(extent, gone)| if gone { 1 } else { extent }).collect();
        // The shape of a tensor that exists does not overflow, nor does a part of it.
        let size = pairs().filter(|&(_, gone)| gone).map(|(extent, _)| extent).product();
        Ok(ReducePlan { gone, size, shape: left })
    }

    /// The result of each group of numbers.
    fn each<T: Copy>(
        &self,
        values: &[T],
        shape: &[usize],
        reduce: impl Fn(&[T]) -> T,
    ) -> Result<Vec<T>, Refused> {
        let count = if values.is_empty() { room(&self.shape)? } else { values.len() / self.size };
        let values = gathered(values, shape, &self.gone)?;
        Ok((0..count).map(|group| reduce(&values[group * self.size..][..self.size])).collect())
    }
}

/// The axes to reduce, from an input or else from an attribute; empty if the node has neither.
fn axes(call: &Call<'_>) -> Result<Vec<i64>, Refused> {
    match call.input(1) {
        Some(_) => call.longs(1).ok_or_else(|| "the axes are not whole numbers".into()),
        None => Ok(call.ints("axes").unwrap_or_default().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::number::tensor_of;
    use super::*;
    use crate::graph::Attribute;
    use approx::assert_relative_eq;
    use std::collections::BTreeMap;
    use std::slice;

    fn run(op_type: &str, given: &[(&str, i64)], inputs: &[Tensor]) -> Result<Tensor, Refused> {
        let attributes: BTreeMap<_, _> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Attribute::Int(*value)))
            .collect();
        let inputs: Vec<_> = inputs.iter().cloned().map(Some).collect();
        let call =
            Call { op_type, opset: 20, attributes: &attributes, inputs: &inputs, outputs: 1 };
        let made = REDUCE.iter().find(|(name, _)| *name == op_type).unwrap().1(&call);
        made.map(|mut made| made.remove(0))
    }

    fn tensor<T>(shape: &[usize], values: Vec<T>) -> Tensor
    where
        Tensor: From<ndarray::ArrayD<T>>,
    {
        tensor_of(shape, values).unwrap()
    }

    /// The operator over all numbers of a list.
    fn all(op_type: &str, values: &[f64]) -> f64 {
        let made = run(op_type, &[], &[tensor(&[values.len()], values.to_vec())]).unwrap();
        assert_eq!(made.shape(), [1]);
        made.numbers(1)[0]
    }

    #[test]
    fn every_reduction_of_a_small_list() {
        let values = [3.0, -1.0, 2.0];
        let wanted = [
            ("ReduceSum", 4.0),
            ("ReduceMean", 4.0 / 3.0),
            ("ReduceMax", 3.0),
            ("ReduceMin", -1.0),
            ("ReduceProd", -6.0),
            ("ReduceSumSquare", 14.0),
            ("ReduceL1", 6.0),
            ("ReduceL2", 14.0_f64.sqrt()),
            ("ReduceLogSum", 4.0_f64.ln()),
            ("ReduceLogSumExp", 3.326_562_641_267_470_5),
        ];
        for (name, want) in wanted {
            assert_relative_eq!(all(name, &values), want, max_relative = 1e-13);
        }
    }

    #[test]
    fn axes_and_kept_extents() {
        let input = tensor(&[2, 3, 2], (0..12).map(f64::from).collect());
        let axes = |list: &[i64]| tensor(&[list.len()], list.to_vec());
        let got = run("ReduceSum", &[], &[input.clone(), axes(&[1])]).unwrap();
        assert_eq!((got.shape(), got.numbers(1)), (&[2, 1, 2][..], vec![6.0, 9.0, 24.0, 27.0]));
        let got = run("ReduceSum", &[("keepdims", 0)], &[input.clone(), axes(&[-1, 0])]).unwrap();
        assert_eq!((got.shape(), got.numbers(1)), (&[3][..], vec![14.0, 22.0, 30.0]));
        let got = run("ReduceSum", &[("keepdims", 0)], &[input.clone(), axes(&[])]).unwrap();
        assert_eq!((got.shape(), got.numbers(1)), (&[][..], vec![66.0]));
        let got = run("ReduceSumSquare", &[("noop_with_empty_axes", 1)], slice::from_ref(&input))
            .unwrap();
        assert_eq!(got.shape(), [2, 3, 2]);
        assert_eq!(got.numbers(1)[11], 121.0);
        for wrong in [&[1, 1][..], &[1, -2], &[3], &[i64::MIN]] {
            assert!(run("ReduceSum", &[], &[input.clone(), axes(wrong)]).is_err());
        }
        assert!(run("ReduceSum", &[], &[input.clone(), tensor(&[1], vec![0.0])]).is_err());
        let attributes = BTreeMap::from([("axes".to_owned(), Attribute::Ints(vec![0, 2]))]);
        let inputs = [Some(input)];
        let call = Call {
            op_type: "ReduceMax",
            opset: 11,
            attributes: &attributes,
            inputs: &inputs,
            outputs: 1,
        };
        let got = reduced(&call, largest, None).unwrap();
        assert_eq!(got[0].numbers(1), [7.0, 9.0, 11.0]);
    }

    #[test]
    fn a_scalar_is_reduced_over_no_axis() {
        let scalar = tensor(&[], vec![-2.0]);
        assert_eq!(run("ReduceL1", &[], slice::from_ref(&scalar)), Ok(tensor(&[], vec![2.0])));
        assert!(run("ReduceL1", &[], &[scalar, tensor(&[1], vec![0_i64])]).is_err());
    }

    #[test]
    fn nothing_reduces_to_the_neutral_number() {
        let none = || tensor(&[0, 2], Vec::<f32>::new());
        let axis = || tensor(&[1], vec![0_i64]);
        let low = f64::NEG_INFINITY;
        let wanted = [
            ("ReduceSum", 0.0),
            ("ReduceMax", low),
            ("ReduceMin", -low),
            ("ReduceProd", 1.0),
            ("ReduceSumSquare", 0.0),
            ("ReduceL1", 0.0),
            ("ReduceL2", 0.0),
            ("ReduceLogSum", low),
            ("ReduceLogSumExp", low),
        ];
        for (name, want) in wanted {
            assert_eq!(run(name, &[], &[none(), axis()]), Ok(tensor(&[1, 2], vec![want; 2])));
        }
        assert!(run("ReduceMean", &[], &[none(), axis()]).is_err());
        assert!(run("ReduceMean", &[], &[none(), tensor(&[1], vec![1_i64])]).unwrap().is_empty());
        let huge = tensor(&[1 << 40, 0], Vec::<f32>::new());
        assert!(run("ReduceSum", &[], &[huge, tensor(&[1], vec![1_i64])]).is_err());
        let whole = tensor(&[0], Vec::<i8>::new());
        assert_eq!(run("ReduceMax", &[], &[whole]), Ok(tensor(&[1], vec![i8::MIN])));
    }

    #[test]
    fn integers_stay_exact() {
        let values = || tensor(&[2], vec![i64::MAX - 1, 1]);
        assert_eq!(run("ReduceSum", &[], &[values()]), Ok(tensor(&[1], vec![i64::MAX])));
        assert_eq!(run("ReduceMax", &[], &[values()]), Ok(tensor(&[1], vec![i64::MAX - 1])));
        assert_eq!(run("ReduceProd", &[], &[values()]), Ok(tensor(&[1], vec![i64::MAX - 1])));
        let wide = tensor(&[2], vec![i32::MAX, 1]);
        assert_eq!(run("ReduceSum", &[], &[wide]), Ok(tensor(&[1], vec![i32::MIN])));
        for name in ["ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"] {
            assert!(run(name, &[], &[values()]).is_err());
        }
        let bools = || tensor(&[2], vec![false, true]);
        assert_eq!(run("ReduceMax", &[], &[bools()]), Ok(tensor(&[1], vec![true])));
        assert_eq!(run("ReduceMin", &[], &[bools()]), Ok(tensor(&[1], vec![false])));
        assert!(run("ReduceSum", &[], &[bools()]).is_err());
    }

    #[test]
    fn extreme_numbers_keep_their_meaning() {
        let infinite = f64::INFINITY;
        assert_eq!(all("ReduceLogSumExp", &[-infinite, -infinite]), -infinite);
        assert_eq!(all("ReduceLogSumExp", &[infinite, 0.0, -infinite]), infinite);
        assert_relative_eq!(all("ReduceLogSumExp", &[1000.0, 1000.0]), 1000.0 + 2.0_f64.ln());
        assert_relative_eq!(
            all("ReduceLogSumExp", &[0.0, -50.0]),
            1.928749847963918e-22,
            max_relative = 1e-14
        );
        assert_relative_eq!(all("ReduceL2", &[3e200, 4e200]), 5e200, max_relative = 1e-15);
        assert_relative_eq!(all("ReduceL2", &[3e-200, 4e-200]), 5e-200, max_relative = 1e-15);
        assert_eq!(all("ReduceL2", &[0.0, -infinite]), infinite);
        assert_eq!(all("ReduceSum", &[1.0, 1e100, 1.0, -1e100]), 2.0);
        for name in REDUCE.iter().map(|(name, _)| *name).filter(|name| name.starts_with("Reduce")) {
            assert!(all(name, &[1.0, f64::NAN, infinite]).is_nan(), "{name}");
        }
    }

    #[test]
    fn nothing_panics() {
        let tensors = [
            tensor(&[], vec![1_i64]),
            tensor(&[0], Vec::<f32>::new()),
            tensor(&[2], vec![true, false]),
            tensor(&[1, 0, 3], Vec::<u8>::new()),
            tensor(&[1], vec![i64::MAX]),
            tensor(&[2], vec![f64::NAN, -0.0]),
        ];
        for (name, _) in REDUCE {
            for (a, b) in tensors.iter().flat_map(|a| tensors.iter().map(move |b| (a, b))) {
                for given in [&[][..], &[("axis", i64::MIN)], &[("keepdims", 7)], &[("k", 1)]] {
                    let _ = run(name, given, &[a.clone(), b.clone()]);
                    let _ = run(name, given, slice::from_ref(a));
                }
            }
        }
    }
}
