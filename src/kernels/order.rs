//! Operators that find places along an axis, and sums that run along an axis.
//!
//! The standard does not say how NaN is ordered. NaN is ordered as in numpy: `TopK` puts NaN above
//! all numbers. If a lane has a NaN, the place of an extreme is the place of a NaN.

use super::call::{Call, Reals, Refused};
use super::lanes::{AxisLanes, place_of};
use super::number::{Numbers, Wholes, flag, tensor_of};
use super::sum::RunningSum;
use crate::tensor::{Dtype, Tensor};
use std::cmp::Ordering;

/// The outputs of an operator, or the reason why they are refused.
type Made = Result<Vec<Tensor>, Refused>;

/// The end of the order to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extreme {
    /// The largest element.
    Largest,
    /// The smallest element.
    Smallest,
}

/// The place of the largest or the smallest element along an axis.
pub(super) fn arg(call: &Call<'_>, extreme: Extreme) -> Made {
    let mut shape = call.needed(0)?.shape().to_vec();
    let axis = call.int("axis").unwrap_or(0);
    let (place, lanes) = (place_of(&shape, axis)?, AxisLanes::along(&shape, axis)?);
    let last = flag(call, "select_last_index", false)?;
    let keeps = flag(call, "keepdims", true)?;
    if lanes.extent == 0 {
        return Err("undefined: the place of an extreme of no elements".into());
    }
    let found = match Numbers::of(call, 0)? {
        Numbers::Reals(reals) => {
            let beats = |a: f64, b: f64| match extreme {
                _ if a.is_nan() || b.is_nan() => a.is_nan() && !b.is_nan(),
                Extreme::Largest => a > b,
                Extreme::Smallest => a < b,
            };
            lanes.map(&reals.values, 1, |lane| vec![best(lane, last, beats)])
        }
        Numbers::Wholes(Wholes { dtype: Dtype::Bool, .. }) => {
            return Err("bool has no order".into());
        }
        Numbers::Wholes(wholes) => {
            let beats = |a, b| if extreme == Extreme::Largest { a > b } else { a < b };
            lanes.map(&wholes.values, 1, |lane| vec![best(lane, last, beats)])
        }
    };
    if keeps {
        shape[place] = 1;
    } else {
        shape.remove(place);
    }
    Ok(vec![tensor_of(&shape, found)?])
}

/// The place of an element that no other element beats: the first such place, or the last.
pub(super) fn best<T: Copy>(lane: &[T], last: bool, beats: impl Fn(T, T) -> bool) -> i64 {
    let mut found = 0;
    for place in 1..lane.len() {
        let (new, old) = (lane[place], lane[found]);
        if beats(new, old) || (last && !beats(old, new)) {
            found = place;
        }
    }
    found as i64
}

/// The sums up to each element along an axis.
pub(super) fn cumulated(call: &Call<'_>) -> Made {
    let axis = match call.longs(1).as_deref() {
        Some(&[axis]) => axis,
        _ => return Err("the axis is not one whole number".into()),
    };
    let exclusive = flag(call, "exclusive", false)?;
    let reverse = flag(call, "reverse", false)?;
    let lanes = AxisLanes::along(call.needed(0)?.shape(), axis)?;
    let made = match Numbers::of(call, 0)? {
        Numbers::Reals(Reals { shape, values }) => {
            let made = lanes.map(&values, lanes.extent, |lane| {
                let mut sum = RunningSum::default();
                running(lane, reverse, exclusive, 0.0, |value| {
                    sum.add(value);
                    sum.value()
                })
            });
            Reals::new(&shape, made).into_tensor()?
        }
        Numbers::Wholes(Wholes { dtype: Dtype::Bool, .. }) => {
            return Err("bool is not a number".into());
        }
        Numbers::Wholes(Wholes { shape, values, dtype }) => {
            let values = lanes.map(&values, lanes.extent, |lane| {
                let mut sum = 0_i128;
                running(lane, reverse, exclusive, 0, |value| {
                    sum = sum.wrapping_add(value);
                    sum
                })
            });
            Wholes { shape, values, dtype }.into_tensor()?
        }
    };
    Ok(vec![made])
}

/// The results of `add` after each element of a lane; if exclusive, before each element.
fn running<T: Copy>(
    lane: &[T],
    reverse: bool,
    exclusive: bool,
    start: T,
    mut add: impl FnMut(T) -> T,
) -> Vec<T> {
    let mut made = vec![start; lane.len()];
    let mut before = start;
    for step in 0..lane.len() {
        let place = if reverse { lane.len() - 1 - step } else { step };
        let after = add(lane[place]);
        made[place] = if exclusive { before } else { after };
        before = after;
    }
    made
}

/// The first elements in order along an axis, and their places.
///
/// Without `sorted` the standard leaves the order open, so this order is as good as any.
pub(super) fn top(call: &Call<'_>) -> Made {
    let mut shape = call.needed(0)?.shape().to_vec();
    let axis = call.int("axis").unwrap_or(-1);
    let (place, lanes) = (place_of(&shape, axis)?, AxisLanes::along(&shape, axis)?);
    let largest = flag(call, "largest", true)?;
    flag(call, "sorted", true)?;
    let count = count(call, lanes.extent)?;
    shape[place] = count;
    let (values, places) = match Numbers::of(call, 0)? {
        Numbers::Reals(reals) => {
            let order =
                |a: &f64, b: &f64| a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
            let made = lanes.map(&reals.values, count, |lane| first(lane, count, largest, order));
            let (values, places): (Vec<f64>, Vec<i64>) = made.into_iter().unzip();
            (Reals::new(&shape, values).into_tensor()?, places)
        }
        Numbers::Wholes(Wholes { dtype: Dtype::Bool, .. }) => {
            return Err("bool has no order".into());
        }
        Numbers::Wholes(Wholes { values, dtype, .. }) => {
            let made = lanes.map(&values, count, |lane| first(lane, count, largest, i128::cmp));
            let (values, places): (Vec<i128>, Vec<i64>) = made.into_iter().unzip();
            (Wholes { shape: shape.clone(), values, dtype }.into_tensor()?, places)
        }
    };
    Ok(vec![values, tensor_of(&shape, places)?])
}

/// The number of requested elements: an attribute before opset 10, an input from then on.
fn count(call: &Call<'_>, extent: usize) -> Result<usize, Refused> {
    let asked = if call.opset < 10 {
        call.int("k")
    } else {
        call.longs(1).filter(|numbers| numbers.len() == 1).map(|numbers| numbers[0])
    };
    let asked = asked.ok_or("TopK does not say how many elements")?;
    let count = usize::try_from(asked).ok().filter(|&count| count <= extent);
    count.ok_or_else(|| format!("{asked} elements of {extent} are asked for"))
}

/// The first elements in order, with their places. Equal elements stay in the order of their places.
fn first<T: Copy>(
    lane: &[T],
    count: usize,
    largest: bool,
    order: impl Fn(&T, &T) -> Ordering,
) -> Vec<(T, i64)> {
    let mut pairs: Vec<(T, i64)> = lane.iter().copied().zip(0..).collect();
    // The sort is stable, so equal elements keep their order.
    pairs.sort_by(|(a, _), (b, _)| if largest { order(b, a) } else { order(a, b) });
    pairs.truncate(count);
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;
    use std::slice;

    fn run(kernel: fn(&Call<'_>) -> Made, given: &[(&str, i64)], inputs: &[Tensor]) -> Made {
        let attributes: BTreeMap<_, _> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Attribute::Int(*value)))
            .collect();
        let inputs: Vec<_> = inputs.iter().cloned().map(Some).collect();
        let (attributes, inputs) = (&attributes, &inputs);
        kernel(&Call { op_type: "", opset: 13, attributes, inputs, outputs: 2 })
    }

    fn tensor<T>(shape: &[usize], values: Vec<T>) -> Tensor
    where
        Tensor: From<ndarray::ArrayD<T>>,
    {
        tensor_of(shape, values).unwrap()
    }

    fn vector<T: Clone>(values: &[T]) -> Tensor
    where
        Tensor: From<ndarray::ArrayD<T>>,
    {
        tensor(&[values.len()], values.to_vec())
    }

    const MOST: fn(&Call<'_>) -> Made = |call| arg(call, Extreme::Largest);
    const LEAST: fn(&Call<'_>) -> Made = |call| arg(call, Extreme::Smallest);

    #[test]
    fn extremes_are_found_along_an_axis() {
        let input = tensor(&[2, 3], vec![2.0, 9.0, 2.0, 9.0, 9.0, 1.0]);
        let one = |kernel, given: &[(&str, i64)]| {
            run(kernel, given, slice::from_ref(&input)).unwrap().remove(0)
        };
        assert_eq!(one(MOST, &[]), tensor(&[1, 3], vec![1_i64, 0, 0]));
        assert_eq!(one(MOST, &[("axis", 1)]), tensor(&[2, 1], vec![1_i64, 0]));
        assert_eq!(
            one(MOST, &[("axis", -1), ("select_last_index", 1), ("keepdims", 0)]),
            vector(&[1_i64, 1])
        );
        assert_eq!(one(LEAST, &[("axis", 1), ("keepdims", 0)]), vector(&[0_i64, 2]));
        assert_eq!(
            one(LEAST, &[("axis", 1), ("keepdims", 0), ("select_last_index", 1)]),
            vector(&[2_i64, 2])
        );
        let whole = vector(&[i64::MAX - 1, i64::MAX]);
        assert_eq!(run(MOST, &[], &[whole]).unwrap()[0], vector(&[1_i64]));
    }

    #[test]
    fn nan_is_every_extreme() {
        let input = vector(&[1.0, f64::NAN, f64::INFINITY, f64::NAN]);
        for kernel in [MOST, LEAST] {
            assert_eq!(run(kernel, &[], slice::from_ref(&input)).unwrap()[0], vector(&[1_i64]));
            let last = run(kernel, &[("select_last_index", 1)], slice::from_ref(&input)).unwrap();
            assert_eq!(last[0], vector(&[3_i64]));
        }
    }

    #[test]
    fn no_element_has_no_extreme() {
        let none = tensor(&[0, 3], Vec::<f32>::new());
        assert!(run(MOST, &[], slice::from_ref(&none)).is_err());
        assert_eq!(run(MOST, &[("axis", 1)], &[none]).unwrap()[0].shape(), [0, 1]);
        assert!(run(MOST, &[], &[tensor(&[], vec![1.0])]).is_err());
        assert!(run(MOST, &[("axis", 5)], &[vector(&[1.0])]).is_err());
    }

    #[test]
    fn sums_run_both_ways() {
        let (input, axis) = (vector(&[1.0, 2.0, 3.0]), tensor(&[], vec![0_i64]));
        let wanted = [
            (0, 0, [1.0, 3.0, 6.0]),
            (1, 0, [0.0, 1.0, 3.0]),
            (0, 1, [6.0, 5.0, 3.0]),
            (1, 1, [5.0, 3.0, 0.0]),
        ];
        for (exclusive, reverse, want) in wanted {
            let given = [("exclusive", exclusive), ("reverse", reverse)];
            let got = run(cumulated, &given, &[input.clone(), axis.clone()]).unwrap();
            assert_eq!(got[0], vector(&want));
        }
        let rows = tensor(&[2, 2], vec![1_i32, 2, 3, i32::MAX]);
        let got = run(cumulated, &[], &[rows.clone(), vector(&[-2_i32])]).unwrap();
        assert_eq!(got[0], tensor(&[2, 2], vec![1, 2, 4, i32::MIN + 1]));
        assert!(run(cumulated, &[], &[rows.clone(), vector(&[0_i64, 1])]).is_err());
        assert!(run(cumulated, &[], &[rows, vector(&[2_i64])]).is_err());
    }

    #[test]
    fn infinities_run_on() {
        let got = run(cumulated, &[], &[vector(&[1.0, f64::INFINITY, 1.0]), vector(&[0_i64])]);
        assert_eq!(got.unwrap()[0], vector(&[1.0, f64::INFINITY, f64::INFINITY]));
    }

    #[test]
    fn the_first_of_equal_elements_comes_first() {
        let input = vector(&[3.0, 5.0, 3.0, f64::NAN, 5.0, -0.0, 0.0]);
        let got = run(top, &[], &[input.clone(), vector(&[4_i64])]).unwrap();
        assert!(got[0].numbers(1)[0].is_nan());
        assert_eq!(got[0].numbers(1)[1..], [5.0, 5.0, 3.0]);
        assert_eq!(got[1], vector(&[3_i64, 1, 4, 0]));
        let got = run(top, &[("largest", 0)], &[input.clone(), vector(&[3_i64])]).unwrap();
        assert_eq!(got[1], vector(&[5_i64, 6, 0]));
        let rows = tensor(&[2, 2], vec![1_u8, 2, 255, 0]);
        let got = run(top, &[("axis", 0)], &[rows, vector(&[1_i64])]).unwrap();
        assert_eq!(got[0], tensor(&[1, 2], vec![255_u8, 2]));
        assert_eq!(got[1], tensor(&[1, 2], vec![1_i64, 0]));
        for wrong in [-1, 8, i64::MAX] {
            assert!(run(top, &[], &[input.clone(), vector(&[wrong])]).is_err());
        }
        let got = run(top, &[], &[input, vector(&[0_i64])]).unwrap();
        assert_eq!((got[0].shape(), got[1].shape()), (&[0][..], &[0][..]));
    }
}
