//! Shapes, and flat positions as indices that people can read.

use std::fmt;

/// The number of elements of a shape, or `None` if the product of its non-zero extents overflows. An extent of 0 must
/// not hide this overflow, because strides are such products.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    let extents = shape.iter().filter(|&&dim| dim != 0);
    let product = extents.copied().try_fold(1usize, usize::checked_mul)?;
    isize::try_from(product).ok()?;
    Some(if shape.contains(&0) { 0 } else { product })
}

/// The row-major multi-index of a flat position.
///
/// A position outside the shape wraps in the first axis, but callers never pass such a position.
pub fn multi_index(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (slot, &dim) in index.iter_mut().zip(shape).rev() {
        if dim > 0 {
            *slot = flat % dim;
            flat /= dim;
        }
    }
    index
}

/// Displays a shape as `1x3x224x224`, and the shape of a scalar as `scalar`.
pub struct ShapeText<'a>(pub &'a [usize]);

impl fmt::Display for ShapeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("scalar");
        }
        for (axis, dim) in self.0.iter().enumerate() {
            let times = if axis == 0 { "" } else { "x" };
            write!(f, "{times}{dim}")?;
        }
        Ok(())
    }
}

/// The flat position of a row-major multi-index.
pub fn flat_index(index: &[usize], shape: &[usize]) -> usize {
    index.iter().zip(shape).fold(0, |flat, (at, extent)| flat * extent + at)
}

/// The row and the column of an element in a map with these [`map_extents`].
pub fn place_in_map(flat: usize, [rows, columns]: [usize; 2]) -> [usize; 2] {
    [flat / columns % rows, flat % columns]
}

/// The rows and columns of a map of a tensor, in elements; at least 1 of each.
///
/// With four axes or more, the map shows channels against positions. It shows all batches in the same cells.
pub fn map_extents(shape: &[usize]) -> [usize; 2] {
    let extents = match *shape {
        [] => [1, 1],
        [extent] => [1, extent],
        [rows, columns] | [_, rows, columns] => [rows, columns],
        [_, channels, ref inner @ ..] => [channels, inner.iter().product()],
    };
    extents.map(|extent| extent.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_of_zero_hides_no_overflow() {
        assert_eq!(element_count(&[2, 0, 3]), Some(0));
        assert_eq!(element_count(&[]), Some(1));
        assert_eq!(element_count(&[usize::MAX, 2]), None);
        assert_eq!(element_count(&[usize::MAX / 2, 0, 4]), None);
    }

    #[test]
    fn the_last_axis_runs_fastest() {
        assert_eq!(multi_index(0, &[2, 3]), [0, 0]);
        assert_eq!(multi_index(5, &[2, 3]), [1, 2]);
        assert_eq!(multi_index(0, &[]), [0usize; 0]);
    }

    #[test]
    fn overflow_is_seen() {
        assert_eq!(element_count(&[usize::MAX, 2]), None);
        assert_eq!(element_count(&[]), Some(1));
    }
}
