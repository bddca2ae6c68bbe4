//! Shapes, positions and attributes for the kernels of this room.
//!
//! All checks that keep a hostile node from exhausting the memory are here: a kernel calls
//! [`count`] before it allocates. An attribute whose kind differs from the standard is refused.

use super::{Call, Refused};
use crate::graph::Attribute;
use crate::tensor::{Tensor, element_count};
use crate::with_array;
use ndarray::{ArrayD, IxDyn};

use super::call::{Reals, axis_of};

/// The most elements of one result: 2 GiB of `f64`.
const MOST: usize = 1 << 28;

/// The largest step, extent or padding that an attribute may have. Sums of a few of them fit `i64`.
const LARGEST: i64 = 1 << 31;

/// The number of elements of a result of this shape, if they are few enough to compute.
///
/// An extent of 0 hides no large extent: parts of such a shape are also counted.
pub(super) fn count(shape: &[usize]) -> Result<usize, Refused> {
    let product = shape.iter().try_fold(1, |product: usize, &extent| {
        product.checked_mul(extent.max(1)).filter(|&product| product <= MOST)
    });
    let product = product.ok_or_else(|| format!("a result of shape {shape:?} is too large"))?;
    Ok(if shape.contains(&0) { 0 } else { product })
}

/// The distance between two neighbours along each axis. The last axis runs fastest.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis].max(1));
    }
    strides
}

/// Moves a multi-index to the next position in row-major order.
pub(super) fn advance(index: &mut [usize], shape: &[usize]) {
    for (slot, &extent) in index.iter_mut().zip(shape).rev() {
        *slot += 1;
        if *slot < extent {
            return;
        }
        *slot = 0;
    }
}

/// The flat position of a multi-index.
pub(super) fn flat(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(at, stride)| at * stride).sum()
}

/// The shape that two shapes broadcast to, as in numpy.
pub(super) fn broadcast(left: &[usize], right: &[usize]) -> Result<Vec<usize>, Refused> {
    let rank = left.len().max(right.len());
    let extent = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at])
    };
    let mut shape = Vec::with_capacity(rank);
    for axis in 0..rank {
        shape.push(match (extent(left, axis), extent(right, axis)) {
            (one, other) if one == other => one,
            (1, other) => other,
            (one, 1) => one,
            _ => return Err(format!("shapes {left:?} and {right:?} do not broadcast")),
        });
    }
    Ok(shape)
}

/// The steps through a tensor that is broadcast to a shape. A repeated axis has step 0.
pub(super) fn broadcast_strides(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(from);
    let missing = to.len() - from.len();
    let mut steps = vec![0; to.len()];
    for axis in 0..from.len() {
        if from[axis] != 1 {
            steps[missing + axis] = own[axis];
        }
    }
    steps
}

/// A tensor of the elements at these flat positions, with their own type and bits.
pub(super) fn pick(tensor: &Tensor, shape: &[usize], places: &[usize]) -> Result<Tensor, Refused> {
    with_array!(tensor, array => {
        let array = array.as_standard_layout();
        let from = array.as_slice().expect("the layout is standard");
        let elements = places.iter().map(|&place| from.get(place).copied());
        let elements: Option<Vec<_>> = elements.collect();
        let elements = elements.ok_or_else(|| "a position is outside the input".to_owned())?;
        typed(shape, elements).map(Tensor::from)
    })
}

/// All elements of some tensors of one type, joined along one axis.
pub(super) fn join(tensors: &[&Tensor]) -> Result<Tensor, Refused> {
    let first = tensors.first().ok_or("no tensor to join")?;
    if tensors.iter().any(|tensor| tensor.dtype() != first.dtype()) {
        return Err("inputs of different types".to_owned());
    }
    let mut bytes = Vec::new();
    for tensor in tensors {
        bytes.extend(tensor.to_bytes());
    }
    let elements = bytes.len() / first.dtype().size();
    count(&[elements])?;
    Tensor::from_bytes(first.dtype(), &[elements], &bytes).map_err(|error| error.to_string())
}

/// The same elements in a different shape with as many elements.
pub(super) fn reshaped(tensor: &Tensor, shape: &[usize]) -> Result<Tensor, Refused> {
    if element_count(shape) != Some(tensor.len()) {
        return Err(format!("{} elements do not fit the shape {shape:?}", tensor.len()));
    }
    with_array!(tensor, array => {
        typed(shape, array.iter().copied().collect()).map(Tensor::from)
    })
}

/// An axis of a tensor. A negative axis counts from the back. A scalar has none.
pub(super) fn axis_in(axis: i64, rank: usize) -> Result<usize, Refused> {
    axis_of(axis, rank)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("axis {axis} is not one of {rank}"))
}

/// Whole numbers in an input, or in an attribute as in older operator sets.
pub(super) fn longs_or_ints(
    call: &Call<'_>,
    place: usize,
    name: &str,
) -> Result<Option<Vec<i64>>, Refused> {
    match (longs_if_there(call, place)?, ints(call, name)?) {
        (Some(_), Some(_)) => Err(format!("{name} is given twice")),
        (Some(longs), None) => Ok(Some(longs)),
        (None, given) => Ok(given.map(<[i64]>::to_vec)),
    }
}

/// A typed array of a shape.
pub(super) fn typed<T>(shape: &[usize], elements: Vec<T>) -> Result<ArrayD<T>, Refused> {
    ArrayD::from_shape_vec(IxDyn(shape), elements).map_err(|error| error.to_string())
}

/// A tensor of whole numbers.
pub(super) fn longs(shape: &[usize], elements: Vec<i64>) -> Result<Tensor, Refused> {
    typed(shape, elements).map(Tensor::I64)
}

/// A required input of floating-point numbers.
pub(super) fn floats(call: &Call<'_>, place: usize) -> Result<Reals, Refused> {
    let tensor = call.needed(place)?;
    if !tensor.dtype().is_float() {
        return Err(format!("input {place} is {}, not floating-point", tensor.dtype()));
    }
    Ok(Reals::of(tensor))
}

/// An input of floating-point numbers, if the node has it.
pub(super) fn floats_if_there(call: &Call<'_>, place: usize) -> Result<Option<Reals>, Refused> {
    call.input(place).map(|_| floats(call, place)).transpose()
}

/// Whole numbers in an input, if the node has it; a floating-point input is refused.
pub(super) fn longs_if_there(call: &Call<'_>, place: usize) -> Result<Option<Vec<i64>>, Refused> {
    match call.input(place) {
        None => Ok(None),
        Some(tensor) if matches!(tensor, Tensor::Bool(_)) || tensor.dtype().is_float() => {
            Err(format!("input {place} is {}, not whole numbers", tensor.dtype()))
        }
        Some(_) => Ok(call.longs(place)),
    }
}

/// Whole numbers in a required input.
pub(super) fn longs_needed(call: &Call<'_>, place: usize) -> Result<Vec<i64>, Refused> {
    longs_if_there(call, place)?.ok_or_else(|| format!("input {place} is missing"))
}

/// Whole numbers in an attribute, if the node has it.
pub(super) fn ints<'a>(call: &Call<'a>, name: &str) -> Result<Option<&'a [i64]>, Refused> {
    refuse_other(call, name, call.ints(name))
}

/// A whole number in an attribute, or the standard's default.
pub(super) fn int(call: &Call<'_>, name: &str, default: i64) -> Result<i64, Refused> {
    Ok(refuse_other(call, name, call.int(name))?.unwrap_or(default))
}

/// An attribute that is 0 or 1.
pub(super) fn flag(call: &Call<'_>, name: &str, default: bool) -> Result<bool, Refused> {
    match int(call, name, i64::from(default))? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(format!("{name} is {other}, neither 0 nor 1")),
    }
}

/// A number in an attribute, or the standard's default.
pub(super) fn float(call: &Call<'_>, name: &str, default: f64) -> Result<f64, Refused> {
    Ok(refuse_other(call, name, call.float(name))?.unwrap_or(default))
}

/// A text in an attribute, or the standard's default.
pub(super) fn text<'a>(call: &Call<'a>, name: &str, default: &'a str) -> Result<&'a str, Refused> {
    Ok(refuse_other(call, name, call.text(name))?.unwrap_or(default))
}

fn refuse_other<T>(call: &Call<'_>, name: &str, value: Option<T>) -> Result<Option<T>, Refused> {
    let there: Option<&Attribute> = call.attributes.get(name);
    match (there, value) {
        (Some(_), None) => Err(format!("attribute {name} has a different kind")),
        (_, value) => Ok(value),
    }
}

/// An extent. Negative and too large values are refused.
pub(super) fn extent(value: i64) -> Result<usize, Refused> {
    usize::try_from(value)
        .ok()
        .filter(|_| value <= LARGEST)
        .ok_or_else(|| format!("an extent of {value} cannot be"))
}

/// One number of at least `least` for each axis, from an attribute. Without the attribute, each is `least`.
pub(super) fn per_axis(
    call: &Call<'_>,
    name: &str,
    axes: usize,
    least: i64,
) -> Result<Vec<i64>, Refused> {
    let Some(values) = ints(call, name)? else {
        return Ok(vec![least; axes]);
    };
    if values.len() != axes {
        return Err(format!("{name} has {} numbers, not {axes}", values.len()));
    }
    match values.iter().find(|&&value| value < least || value > LARGEST) {
        Some(value) => Err(format!("{name} cannot hold {value}")),
        None => Ok(values.to_vec()),
    }
}

/// A tensor as the only output.
pub(super) fn only(tensor: Tensor) -> Result<Vec<Tensor>, Refused> {
    Ok(vec![tensor])
}

/// Elements as the only output.
pub(super) fn only_reals(shape: &[usize], values: Vec<f64>) -> Result<Vec<Tensor>, Refused> {
    Reals::new(shape, values).into_tensor().and_then(only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_too_large_to_hold_is_refused() {
        assert_eq!(count(&[2, 3]), Ok(6));
        assert_eq!(count(&[0, 3]), Ok(0));
        assert!(count(&[1 << 30]).is_err());
        assert!(count(&[1 << 30, 0]).is_err());
        assert!(count(&[usize::MAX, 2]).is_err());
    }

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        assert_eq!(broadcast(&[3, 1], &[2, 1, 4]), Ok(vec![2, 3, 4]));
        assert_eq!(broadcast(&[], &[2]), Ok(vec![2]));
        assert_eq!(broadcast(&[0], &[1]), Ok(vec![0]));
        assert!(broadcast(&[2], &[3]).is_err());
        assert_eq!(broadcast_strides(&[3, 1], &[2, 3, 4]), [0, 1, 0]);
    }

    #[test]
    fn an_odometer_turns_over() {
        let mut index = vec![0, 2];
        advance(&mut index, &[2, 3]);
        assert_eq!(index, [1, 0]);
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        assert_eq!(flat(&[1, 2, 3], &[12, 4, 1]), 23);
    }

    #[test]
    fn elements_keep_their_type() {
        let tensor = Tensor::U8(typed(&[3], vec![7, 8, 9]).unwrap());
        let picked = pick(&tensor, &[2], &[2, 0]).unwrap();
        assert_eq!(picked, Tensor::U8(typed(&[2], vec![9, 7]).unwrap()));
        assert!(pick(&tensor, &[1], &[3]).is_err());
    }
}
