//! The worst elements of an output: of the whole, and of each part, so that a reader can look at more than one.

use super::resum::Resummed;
use crate::kernels::ReadBox;
use crate::tensor::{Tensor, map_extents, multi_index, place_in_map};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An element, and its distance from the right value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorstElement {
    /// The number of the operator's output.
    pub output: usize,
    /// The element's index in the output.
    pub index: Vec<usize>,
    /// The right value, in `f64`.
    pub right: f64,
    /// The candidate's value.
    pub found: f64,
    /// The allowed difference.
    pub bound: f64,
    /// The elements of the inputs that it is computed from, if it is beyond its bound and no sum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ReadBox>,
    /// Its addends, if it is a sum that is beyond its bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<Box<Resummed>>,
}

impl WorstElement {
    /// An element of an output, with its right value, the candidate's value, and its bound.
    pub(super) fn new(output: usize, index: Vec<usize>, [right, found, bound]: [f64; 3]) -> Self {
        WorstElement { output, index, right, found, bound, reads: Vec::new(), sum: None }
    }
}

/// The map of an output has so many rows and columns of parts. More would make reports large.
const PARTS: usize = 5;

/// An element beyond its bound, before its index is needed.
#[derive(Clone, Copy)]
pub(super) struct ElementBeyond {
    /// The difference in units of the bound.
    pub(super) excess: f64,
    /// The flat position.
    pub(super) place: usize,
    pub(super) right: f64,
    pub(super) found: f64,
    pub(super) bound: f64,
}

/// The worst element of each part, keyed by the output's number and the part's row and column.
#[derive(Default)]
pub(super) struct WorstOfParts(BTreeMap<(usize, [usize; 2]), ElementBeyond>);

impl WorstOfParts {
    /// Adds an element of an output with this shape.
    pub(super) fn put(&mut self, output: usize, shape: &[usize], element: ElementBeyond) {
        let extents = map_extents(shape);
        let at = place_in_map(element.place, extents);
        let part = [at[0] * PARTS / extents[0], at[1] * PARTS / extents[1]];
        self.keep((output, part), element);
    }

    /// Adds later elements.
    pub(super) fn merge(&mut self, later: WorstOfParts) {
        later.0.into_iter().for_each(|(part, element)| self.keep(part, element));
    }

    fn keep(&mut self, part: (usize, [usize; 2]), element: ElementBeyond) {
        let kept = self.0.entry(part).or_insert(element);
        if element.excess > kept.excess {
            *kept = element;
        }
    }

    /// The elements with their indices, part by part.
    pub(super) fn elements(self, outputs: &[&Tensor]) -> Vec<WorstElement> {
        let element = |((output, _), element): ((usize, [usize; 2]), ElementBeyond)| {
            let ElementBeyond { place, right, found, bound, .. } = element;
            let index = multi_index(place, outputs[output].shape());
            WorstElement::new(output, index, [right, found, bound])
        };
        self.0.into_iter().map(element).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beyond(place: usize, excess: f64) -> ElementBeyond {
        ElementBeyond { excess, place, right: 0.0, found: excess, bound: 1.0 }
    }

    #[test]
    fn each_part_keeps_its_worst_element() {
        let output = Tensor::from_f32(&[10, 20], vec![0.0; 200]).unwrap();
        let [mut first, mut later] = [WorstOfParts::default(), WorstOfParts::default()];
        first.put(0, output.shape(), beyond(0, 2.0));
        first.put(0, output.shape(), beyond(21, 3.0));
        later.put(0, output.shape(), beyond(1, 3.0));
        later.put(0, output.shape(), beyond(199, 9.0));
        first.merge(later);
        let kept: Vec<_> = first.elements(&[&output]).into_iter().map(|of| of.index).collect();
        // Of equally bad elements the first counts.
        assert_eq!(kept, [vec![1, 1], vec![9, 19]]);
    }
}
