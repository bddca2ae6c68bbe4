//! The lanes of a tensor: the elements that differ only in their place along one axis.

use super::call::{Refused, axis_of};
use crate::tensor::element_count;

/// The layout of the lanes along an axis in row-major order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AxisLanes {
    /// The product of the extents before the axis.
    pub(super) outer: usize,
    /// The extent of the axis: the length of a lane.
    pub(super) extent: usize,
    /// The product of the extents after the axis.
    pub(super) inner: usize,
}

impl AxisLanes {
    /// The lanes along one axis.
    pub(super) fn along(shape: &[usize], axis: i64) -> Result<Self, Refused> {
        let place = place_of(shape, axis)?;
        let (before, after) = (&shape[..place], &shape[place + 1..]);
        Ok(AxisLanes { outer: product(before)?, extent: shape[place], inner: product(after)? })
    }

    /// The rows of the matrix that an axis splits a tensor into. The axis and all axes after it form one row.
    pub(super) fn from(shape: &[usize], axis: i64) -> Result<Self, Refused> {
        let (before, after) = shape.split_at(place_of(shape, axis)?);
        Ok(AxisLanes { outer: product(before)?, extent: product(after)?, inner: 1 })
    }

    /// Applies a function to each lane and joins the results along the same axis.
    ///
    /// The function must return `extent` elements. If there are no elements, the function is not called.
    pub(super) fn map<T: Copy, U: Copy + Default>(
        &self,
        values: &[T],
        extent: usize,
        mut each: impl FnMut(&[T]) -> Vec<U>,
    ) -> Vec<U> {
        if values.is_empty() || extent == 0 {
            return Vec::new();
        }
        let mut made = vec![U::default(); self.outer * extent * self.inner];
        for outer in 0..self.outer {
            for inner in 0..self.inner {
                let at = |step: usize| (outer * self.extent + step) * self.inner + inner;
                let lane: Vec<T> = (0..self.extent).map(|step| values[at(step)]).collect();
                for (step, value) in each(&lane).into_iter().take(extent).enumerate() {
                    made[(outer * extent + step) * self.inner + inner] = value;
                }
            }
        }
        made
    }
}

/// The position of an axis. A scalar has none.
pub(super) fn place_of(shape: &[usize], axis: i64) -> Result<usize, Refused> {
    if shape.is_empty() { Err("a scalar has no axis".into()) } else { axis_of(axis, shape.len()) }
}

fn product(shape: &[usize]) -> Result<usize, Refused> {
    element_count(shape).ok_or_else(|| "the shape overflows".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_lie_along_the_axis() {
        let lanes = AxisLanes::along(&[2, 3, 4], -2).unwrap();
        assert_eq!(lanes, AxisLanes { outer: 2, extent: 3, inner: 4 });
        assert_eq!(
            AxisLanes::from(&[2, 3, 4], 1).unwrap(),
            AxisLanes { outer: 2, extent: 12, inner: 1 }
        );
        assert!(AxisLanes::along(&[], 0).is_err() && AxisLanes::along(&[2], 1).is_err());
        assert!(AxisLanes::along(&[2], i64::MIN).is_err());
    }

    #[test]
    fn each_lane_is_put_back_where_it_was() {
        let values: Vec<i32> = (0..24).collect();
        for axis in 0..3 {
            let lanes = AxisLanes::along(&[2, 3, 4], axis).unwrap();
            assert_eq!(lanes.map(&values, lanes.extent, <[i32]>::to_vec), values);
        }
        let last = AxisLanes::along(&[2, 3], 0).unwrap();
        assert_eq!(last.map(&[1, 2, 3, 4, 5, 6], 1, |lane| vec![lane[1]]), [4, 5, 6]);
    }

    #[test]
    fn huge_empty_tensors_cost_nothing() {
        let lanes = AxisLanes::along(&[1 << 40, 0], 1).unwrap();
        assert_eq!(lanes.map(&[0_u8; 0], 0, |_| Vec::<u8>::new()), [0_u8; 0]);
    }
}
