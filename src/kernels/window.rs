//! Windows that slide over the spatial axes of a tensor, for convolutions and pools.
//!
//! The attributes `strides`, `dilations`, `pads`, `auto_pad` and `ceil_mode` are read here once.
//! A window position in the padding has no tap.

use super::layout::{count, ints, per_axis, strides, text};
use super::{Call, Refused};
use crate::tensor::multi_index;

/// How a window slides over the spatial axes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Windows {
    /// The extents of the input.
    pub(super) input: Vec<usize>,
    /// The extents of the window.
    pub(super) kernel: Vec<usize>,
    /// The extents of the output.
    pub(super) output: Vec<usize>,
    /// The window's step along each axis.
    pub(super) strides: Vec<i64>,
    /// The distance between two neighbours in the window along each axis.
    pub(super) dilations: Vec<i64>,
    /// The padding before the first element of each axis.
    pub(super) begin: Vec<i64>,
    /// The padding after the last element of each axis.
    pub(super) end: Vec<i64>,
}

/// One element of a window, inside the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowTap {
    /// The flat position in the window.
    pub(super) kernel: usize,
    /// The flat position among the spatial axes of the input.
    pub(super) input: usize,
}

/// The padding that a node asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AutoPad {
    /// The padding in the attribute `pads`.
    Given,
    /// No padding.
    Valid,
    /// As much padding as the output's extent needs, with the odd element at the end.
    SameUpper,
    /// As much padding as the output's extent needs, with the odd element at the beginning.
    SameLower,
}

impl AutoPad {
    /// Reads `auto_pad`. Padding in `pads` that `auto_pad` would override is refused.
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Refused> {
        let auto = match text(call, "auto_pad", "NOTSET")? {
            "" | "NOTSET" => return Ok(AutoPad::Given),
            "VALID" => AutoPad::Valid,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            other => return Err(format!("auto_pad {other} is unknown")),
        };
        match ints(call, "pads")? {
            Some(pads) if pads.iter().any(|&pad| pad != 0) => {
                Err("pads and auto_pad cannot both be given".to_owned())
            }
            _ => Ok(auto),
        }
    }

    /// Shares a total between the two ends of an axis.
    pub(super) fn share(self, total: i64) -> (i64, i64) {
        let small = total / 2;
        match self {
            AutoPad::SameUpper => (small, total - small),
            _ => (total - small, small),
        }
    }
}

impl Windows {
    /// The windows of a convolution or a pool.
    pub(super) fn of(
        call: &Call<'_>,
        input: &[usize],
        kernel: &[usize],
        ceil: bool,
    ) -> Result<Self, Refused> {
        let axes = input.len();
        if axes == 0 || kernel.len() != axes || kernel.contains(&0) {
            return Err(format!("a window {kernel:?} does not fit an input {input:?}"));
        }
        let pads = per_axis(call, "pads", 2 * axes, 0)?;
        let mut windows = Windows {
            input: input.to_vec(),
            kernel: kernel.to_vec(),
            output: vec![0; axes],
            strides: per_axis(call, "strides", axes, 1)?,
            dilations: per_axis(call, "dilations", axes, 1)?,
            begin: pads[..axes].to_vec(),
            end: pads[axes..].to_vec(),
        };
        let auto = AutoPad::of(call)?;
        for axis in 0..axes {
            windows.output[axis] = windows.place(axis, auto, ceil)?;
        }
        count(&windows.output)?;
        Ok(windows)
    }

    /// The number of elements that a window spans along an axis.
    pub(super) fn span(&self, axis: usize) -> Result<i64, Refused> {
        let steps = i64::try_from(self.kernel[axis] - 1).ok();
        let span = steps.and_then(|steps| steps.checked_mul(self.dilations[axis]));
        span.filter(|&span| span < 1 << 40)
            .map(|span| span + 1)
            .ok_or_else(|| "a window is too large".to_owned())
    }

    /// Sets the padding of an axis and returns the number of windows.
    fn place(&mut self, axis: usize, auto: AutoPad, ceil: bool) -> Result<usize, Refused> {
        let (span, stride) = (self.span(axis)?, self.strides[axis]);
        let extent = i64::try_from(self.input[axis]).map_err(|error| error.to_string())?;
        if matches!(auto, AutoPad::SameUpper | AutoPad::SameLower) {
            if extent == 0 {
                return Ok(0);
            }
            let windows = (extent - 1) / stride + 1;
            let total = ((windows - 1) * stride + span - extent).max(0);
            (self.begin[axis], self.end[axis]) = auto.share(total);
            return usize::try_from(windows).map_err(|error| error.to_string());
        }
        let padded = extent + self.begin[axis] + self.end[axis];
        let room = padded - span;
        if room < 0 {
            return Err(format!("a window of {span} is larger than a padded input of {padded}"));
        }
        let mut windows = room / stride + 1;
        // A last window that passes the end counts only if it begins before the right padding.
        let over = room % stride != 0 && windows * stride < extent + self.begin[axis];
        windows += i64::from(ceil && over);
        usize::try_from(windows).map_err(|error| error.to_string())
    }

    /// The taps of the window at a flat position of the output.
    pub(super) fn taps(&self, position: usize) -> Vec<WindowTap> {
        let at = multi_index(position, &self.output);
        let (inner, outer) = (strides(&self.kernel), strides(&self.input));
        let mut taps = vec![WindowTap { kernel: 0, input: 0 }];
        for axis in 0..at.len() {
            let first = at[axis] as i64 * self.strides[axis] - self.begin[axis];
            let inside = self.before(axis, first, 0)..self.before(axis, first, self.input[axis]);
            let place = |k: usize| (first + k as i64 * self.dilations[axis]) as usize;
            let longer = taps.iter().flat_map(|tap| {
                inside.clone().map(|k| WindowTap {
                    kernel: tap.kernel + k * inner[axis],
                    input: tap.input + place(k) * outer[axis],
                })
            });
            taps = longer.collect();
        }
        taps
    }

    /// The number of a window's elements in the input or in its padding.
    pub(super) fn within_padding(&self, position: usize) -> usize {
        let at = multi_index(position, &self.output);
        let inside = (0..at.len()).map(|axis| {
            let first = at[axis] as i64 * self.strides[axis] - self.begin[axis];
            self.before(axis, first, self.input[axis] + self.end[axis] as usize)
        });
        inside.fold(1, usize::saturating_mul)
    }

    /// The number of elements before `limit` in a window that begins at `first`.
    fn before(&self, axis: usize, first: i64, limit: usize) -> usize {
        let room = (limit as i64 - first).max(0) as u64;
        let elements = room.div_ceil(self.dilations[axis] as u64);
        self.kernel[axis].min(elements as usize)
    }
}

/// The batch and the channels of a tensor, and its spatial extents.
pub(super) fn split(shape: &[usize]) -> Result<(usize, usize, &[usize]), Refused> {
    match shape {
        [batch, channels, spatial @ ..] if !spatial.is_empty() => Ok((*batch, *channels, spatial)),
        _ => Err(format!("an input of shape {shape:?} has no spatial axis")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn windows(
        attributes: &[(&str, Attribute)],
        input: &[usize],
        kernel: &[usize],
        ceil: bool,
    ) -> Result<Windows, Refused> {
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let call =
            Call { op_type: "Conv", opset: 13, attributes: &attributes, inputs: &[], outputs: 1 };
        Windows::of(&call, input, kernel, ceil)
    }

    #[test]
    fn padding_of_the_same_extent_is_shared() {
        let upper = [("auto_pad", Attribute::Text("SAME_UPPER".to_owned()))];
        let placed = windows(&upper, &[5], &[2], false).unwrap();
        assert_eq!((placed.output[0], placed.begin[0], placed.end[0]), (5, 0, 1));
        let lower = [("auto_pad", Attribute::Text("SAME_LOWER".to_owned()))];
        let placed = windows(&lower, &[5], &[2], false).unwrap();
        assert_eq!((placed.output[0], placed.begin[0], placed.end[0]), (5, 1, 0));
    }

    #[test]
    fn a_last_window_must_begin_before_the_right_padding() {
        let strides = ("strides", Attribute::Ints(vec![2]));
        let pads = ("pads", Attribute::Ints(vec![0, 1]));
        assert_eq!(windows(std::slice::from_ref(&strides), &[4], &[3], true).unwrap().output, [2]);
        assert_eq!(windows(std::slice::from_ref(&strides), &[4], &[3], false).unwrap().output, [1]);
        assert_eq!(windows(&[strides, pads], &[2], &[2], true).unwrap().output, [1]);
    }

    #[test]
    fn taps_leave_out_the_padding() {
        let pads = [("pads", Attribute::Ints(vec![1, 1]))];
        let placed = windows(&pads, &[3], &[3], false).unwrap();
        let taps = placed.taps(0);
        assert_eq!(taps, [WindowTap { kernel: 1, input: 0 }, WindowTap { kernel: 2, input: 1 }]);
        assert_eq!(placed.within_padding(0), 3);
    }

    #[test]
    fn hostile_attributes_are_refused() {
        for values in [vec![0], vec![-1], vec![i64::MAX], vec![1, 1], vec![]] {
            let strides = [("strides", Attribute::Ints(values))];
            assert!(windows(&strides, &[4], &[2], false).is_err());
        }
        assert!(windows(&[("pads", Attribute::Ints(vec![-1, 0]))], &[4], &[2], false).is_err());
        assert!(windows(&[("pads", Attribute::Int(1))], &[4], &[2], false).is_err());
        assert!(windows(&[], &[4], &[0], false).is_err());
        assert!(windows(&[], &[1], &[2], false).is_err());
    }
}
