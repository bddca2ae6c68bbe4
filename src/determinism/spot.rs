//! Where two tensors of the same shape differ, in words.

use crate::tensor::{Tensor, multi_index};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The elements that differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spot {
    /// How many elements differ.
    pub elements: usize,
    /// The number of all elements.
    pub of: usize,
    /// The largest difference; absent if one side is not finite there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest: Option<f64>,
    /// Where they are, one entry for each axis that they do not fill.
    pub places: Vec<String>,
}

/// The elements that differ between two tensors; `None` if their shapes or types differ, or no element does.
pub fn spot(usual: &Tensor, other: &Tensor) -> Option<Spot> {
    if usual.shape() != other.shape() || usual.dtype() != other.dtype() {
        return None;
    }
    let size = usual.dtype().size();
    let (usual_bytes, other_bytes) = (usual.bytes(), other.bytes());
    let pairs = usual_bytes.chunks(size).zip(other_bytes.chunks(size));
    let apart: Vec<usize> =
        pairs.enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect();
    if apart.is_empty() {
        return None;
    }
    let (a, b) = (usual.numbers(1), other.numbers(1));
    let largest = apart.iter().map(|&at| (a[at] - b[at]).abs()).fold(0.0, f64::max);
    let is_finite = apart.iter().all(|&at| a[at].is_finite() && b[at].is_finite());
    let shape = usual.shape();
    let mut indices: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); shape.len()];
    for &at in &apart {
        for (axis, index) in multi_index(at, shape).into_iter().enumerate() {
            indices[axis].insert(index);
        }
    }
    let axes = indices.iter().enumerate().filter(|(axis, found)| found.len() < shape[*axis]);
    let places = axes.map(|(axis, found)| words(&name(axis, shape.len()), found, shape[axis]));
    Some(Spot {
        elements: apart.len(),
        of: usual.len(),
        largest: is_finite.then_some(largest),
        places: places.collect(),
    })
}

/// Axes of matrices have names.
fn name(axis: usize, rank: usize) -> String {
    match (axis, rank) {
        (0, 2) => "row".into(),
        (1, 2) => "column".into(),
        _ => format!("axis-{axis} index"),
    }
}

fn words(axis: &str, found: &BTreeSet<usize>, extent: usize) -> String {
    let ranges = ranges(found);
    let many = |axis: &str| match axis.strip_suffix("index") {
        Some(rest) => format!("{rest}indices"),
        None => format!("{axis}s"),
    };
    match ranges.as_slice() {
        [] => String::new(),
        [(from, to)] if from == to => format!("{axis} {from} of {extent}"),
        [(from, to)] => format!("{} {from} to {to} of {extent}", many(axis)),
        [(from, to), rest @ ..] => {
            let length = to - from + 1;
            // The last band may be cut off by the end.
            let whole = rest.iter().all(|(from, to)| to - from + 1 == length || *to == extent - 1);
            let steps: BTreeSet<usize> = ranges.windows(2).map(|two| two[1].0 - two[0].0).collect();
            let step = steps.iter().next().copied().unwrap_or_default();
            match whole && steps.len() == 1 {
                true => format!(
                    "{} bands of {length} {}, one in {step}, the first at {from}",
                    ranges.len(),
                    many(axis)
                ),
                false => format!("{} of {extent} {}, the first {from}", found.len(), many(axis)),
            }
        }
    }
}

/// Consecutive numbers as ranges, both ends included.
fn ranges(found: &BTreeSet<usize>) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &index in found {
        match ranges.last_mut() {
            Some((_, to)) if *to + 1 == index => *to = index,
            _ => ranges.push((index, index)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(shape: &[usize], is_other: impl Fn(&[usize]) -> bool) -> Vec<String> {
        let count = shape.iter().product();
        let usual = Tensor::from_f32(shape, vec![1.0; count]).unwrap();
        let value = |at: usize| if is_other(&multi_index(at, shape)) { 2.0 } else { 1.0 };
        let other = Tensor::from_f32(shape, (0..count).map(value).collect()).unwrap();
        spot(&usual, &other).unwrap().places
    }

    #[test]
    fn places_have_words() {
        assert_eq!(places(&[8, 4], |at| at[0] >= 6), ["rows 6 to 7 of 8"]);
        assert_eq!(places(&[8, 4], |at| at[1] == 3), ["column 3 of 4"]);
        assert_eq!(places(&[1, 3, 4], |at| at[1] == 2), ["axis-1 index 2 of 3"]);
        assert_eq!(
            places(&[2, 16], |at| at[1] / 2 % 2 == 1),
            ["4 bands of 2 columns, one in 4, the first at 2"]
        );
        assert_eq!(
            places(&[2, 16], |at| [1, 2, 9].contains(&at[1])),
            ["3 of 16 columns, the first 1"]
        );
        assert!(places(&[2, 2], |_| true).is_empty());
    }
}
