//! The position of a convolution's or pool's window for one element of its output.

use super::contract::Anatomy;
use crate::tensor::multi_index;

/// The window of an operator, along each of its spatial axes.
pub(super) struct NodeWindow {
    extents: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<usize>,
}

impl NodeWindow {
    /// Reads the window from the attributes, with the extents of the weights if the operator has some. `None` if the
    /// attributes do not define it: padding that depends on the sizes of input and output is not computed.
    pub(super) fn new(anatomy: &Anatomy, weights: Option<&[usize]>) -> Option<Self> {
        let named = anatomy.ints("kernel_shape");
        let extents = match (named, weights) {
            (Some(extents), _) => sizes(&extents)?,
            (None, Some(extents)) => extents.to_vec(),
            (None, None) => return None,
        };
        let auto = anatomy.text("auto_pad").unwrap_or_else(|| "NOTSET".into());
        if !["NOTSET", "VALID"].contains(&auto.as_str()) {
            return None;
        }
        let rank = extents.len();
        let of = |name: &str, default: usize| match anatomy.ints(name) {
            Some(given) => sizes(&given),
            None => Some(vec![default; rank]),
        };
        let (strides, dilations) = (of("strides", 1)?, of("dilations", 1)?);
        let pads = if auto == "VALID" { vec![0; rank] } else { of("pads", 0)? };
        (anatomy.is_known && strides.len() == rank && dilations.len() == rank && pads.len() >= rank)
            .then_some(NodeWindow { extents, strides, dilations, pads })
    }

    /// The positions under the window for an element, in row-major order; `None` for a position beyond the edge.
    pub(super) fn taps(&self, at: &[usize], shape: &[usize]) -> Option<Vec<Option<Vec<usize>>>> {
        if at.len() != self.extents.len() || shape.len() != self.extents.len() {
            return None;
        }
        let count = self.extents.iter().product();
        let tap = |number| {
            let inside = multi_index(number, &self.extents);
            let place = |axis: usize| {
                let from = at[axis] * self.strides[axis] + inside[axis] * self.dilations[axis];
                from.checked_sub(self.pads[axis]).filter(|place| *place < shape[axis])
            };
            (0..at.len()).map(place).collect()
        };
        Some((0..count).map(tap).collect())
    }
}

fn sizes(given: &[i64]) -> Option<Vec<usize>> {
    given.iter().map(|size| usize::try_from(*size).ok()).collect()
}
