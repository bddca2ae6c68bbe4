//! Broadcasting as in numpy: axes are matched from the last one, and an extent of 1 repeats.

use super::call::{Call, Refused};
use crate::tensor::{ShapeText, element_count};
use ndarray::{ArrayView, IxDyn};

/// The most elements that a kernel makes from fewer elements: 2 GiB of `f64`.
///
/// Without a limit, two small tensors could ask for more memory than any machine has.
const MOST: usize = 1 << 28;

/// The number of elements of a result of this shape. More than [`MOST`] are refused.
pub(super) fn room(shape: &[usize]) -> Result<usize, Refused> {
    element_count(shape)
        .filter(|&count| count <= MOST)
        .ok_or_else(|| format!("a result of shape {} is too large", ShapeText(shape)))
}

/// The shape to which all of these shapes broadcast.
pub(super) fn common(shapes: &[&[usize]]) -> Result<Vec<usize>, Refused> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut common = vec![1; rank];
    for shape in shapes {
        let slots = common.iter_mut().rev().zip(shape.iter().rev());
        for (slot, &extent) in slots {
            match (*slot, extent) {
                (1, _) => *slot = extent,
                (known, given) if known == given || given == 1 => {}
                (known, given) => {
                    return Err(format!("extents {known} and {given} do not broadcast"));
                }
            }
        }
    }
    Ok(common)
}

/// Elements of one shape, repeated to fill a second shape.
pub(super) fn spread<T: Copy>(
    values: &[T],
    from: &[usize],
    to: &[usize],
) -> Result<Vec<T>, Refused> {
    if from == to {
        return Ok(values.to_vec());
    }
    room(to)?;
    let view = ArrayView::from_shape(IxDyn(from), values).map_err(|error| error.to_string())?;
    let wide = view.broadcast(IxDyn(to));
    let wide = wide.ok_or_else(|| {
        format!("shape {} does not broadcast to {}", ShapeText(from), ShapeText(to))
    })?;
    Ok(wide.iter().copied().collect())
}

/// Reorders elements: the chosen axes run fastest, and the elements along them form one chunk.
pub(super) fn gathered<T: Copy>(
    values: &[T],
    shape: &[usize],
    fastest: &[bool],
) -> Result<Vec<T>, Refused> {
    let axes = |wanted: bool| (0..shape.len()).filter(move |&axis| fastest[axis] == wanted);
    let order: Vec<usize> = axes(false).chain(axes(true)).collect();
    let view = ArrayView::from_shape(IxDyn(shape), values).map_err(|error| error.to_string())?;
    Ok(view.permuted_axes(IxDyn(&order)).iter().copied().collect())
}

/// The common shape of some inputs. Before opset 7 the inputs must already have the same shape.
pub(super) fn shape_of(call: &Call<'_>, places: &[usize]) -> Result<Vec<usize>, Refused> {
    let mut shapes = Vec::new();
    for &place in places {
        shapes.push(call.needed(place)?.shape());
    }
    if call.opset < 7 && shapes.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err("broadcasting before opset 7 follows other rules".into());
    }
    let shape = common(&shapes)?;
    // A result as large as an existing input needs no check of its size.
    if !shapes.contains(&shape.as_slice()) {
        room(&shape)?;
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_meet_from_the_last_axis() {
        assert_eq!(common(&[&[2, 1, 3], &[4, 1], &[]]).unwrap(), [2, 4, 3]);
        assert_eq!(common(&[&[1], &[0]]).unwrap(), [0]);
        assert_eq!(common(&[]).unwrap(), [0_usize; 0]);
        assert!(common(&[&[2], &[3]]).is_err());
        assert!(common(&[&[0], &[3]]).is_err());
    }

    #[test]
    fn elements_repeat() {
        assert_eq!(spread(&[1, 2], &[2, 1], &[2, 3]).unwrap(), [1, 1, 1, 2, 2, 2]);
        assert_eq!(spread(&[1, 2], &[2], &[2, 2]).unwrap(), [1, 2, 1, 2]);
        assert_eq!(spread(&[7], &[], &[0, 3]).unwrap(), [0; 0]);
        assert!(spread(&[1, 2], &[2], &[2, 1]).is_err());
        assert!(spread(&[1, 2], &[1, 2], &[2]).is_err());
    }

    #[test]
    fn what_no_machine_holds_is_refused() {
        assert!(spread(&[1], &[], &[1 << 20, 1 << 20]).is_err());
        assert!(spread(&[1], &[], &[usize::MAX, 2]).is_err());
        assert!(room(&[usize::MAX, 0]).is_err());
        assert_eq!(room(&[1 << 40, 0]), Ok(0));
    }

    #[test]
    fn chosen_axes_run_fastest() {
        let columns = gathered(&[1, 2, 3, 4, 5, 6], &[2, 3], &[true, false]).unwrap();
        assert_eq!(columns, [1, 4, 2, 5, 3, 6]);
        assert_eq!(gathered(&[9], &[], &[]).unwrap(), [9]);
    }
}
