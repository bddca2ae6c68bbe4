//! The tensors of one operator, laid out for the rules of [`recognize`](super::recognize).

use crate::tensor::Tensor;

/// An element is wrong if its error exceeds this share of its reference and of the typical magnitude.
const WRONG: f32 = 1e-2;

/// The tensors of one operator, and the positions of the wrong elements.
pub(super) struct OperatorSample<'a> {
    /// The elements of each operand that is a value.
    pub(super) inputs: Vec<&'a [f32]>,
    /// The output's shape.
    pub(super) shape: &'a [usize],
    /// The right output.
    pub(super) reference: &'a [f32],
    /// The candidate's output.
    pub(super) candidate: &'a [f32],
    /// The flat positions of the wrong elements, ascending.
    pub(super) wrong: Vec<usize>,
}

impl<'a> OperatorSample<'a> {
    /// Returns `None` if the outputs are not `f32`, or if no element is wrong.
    pub(super) fn look_at(
        inputs: &[&'a Tensor],
        reference: &'a Tensor,
        candidate: &'a Tensor,
    ) -> Option<Self> {
        let (Tensor::F32(r), Tensor::F32(c)) = (reference, candidate) else { return None };
        let (r, c, shape) = (r.as_slice()?, c.as_slice()?, r.shape());
        let sum: f64 = r.iter().filter(|v| v.is_finite()).map(|v| f64::from(v.abs())).sum();
        let typical = (sum / r.len().max(1) as f64) as f32;
        // For NaN, this condition is true.
        let is_wrong = |r: f32, c: f32| !((c - r).abs() <= WRONG * r.abs().max(typical) || r == c);
        let wrong: Vec<usize> = (0..r.len()).filter(|&i| is_wrong(r[i], c[i])).collect();
        if r.len() != c.len() || wrong.is_empty() {
            return None;
        }
        let inputs = inputs
            .iter()
            .filter_map(|input| match input {
                Tensor::F32(array) => array.as_slice(),
                _ => None,
            })
            .collect();
        Some(OperatorSample { inputs, shape, reference: r, candidate: c, wrong })
    }

    /// Reference and candidate of every element.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (f32, f32)> {
        self.reference.iter().copied().zip(self.candidate.iter().copied())
    }

    /// The number of elements.
    pub(super) fn len(&self) -> usize {
        self.reference.len()
    }

    /// Elements per row of the last axis.
    pub(super) fn row(&self) -> usize {
        self.shape.last().copied().unwrap_or(1).max(1)
    }

    /// The places, out of `count`, that contain wrong elements, ascending.
    pub(super) fn places(&self, count: usize, place: impl Fn(usize) -> usize) -> Vec<usize> {
        let mut hit = vec![false; count];
        for &flat in &self.wrong {
            hit[place(flat) % count] = true;
        }
        (0..count).filter(|&at| hit[at]).collect()
    }
}

/// The correlation of right and found values, at least 0; values that do not vary have none.
pub(super) fn correlation(pairs: impl Iterator<Item = (f32, f32)>) -> f64 {
    let (mut n, mut sums, mut squares, mut product) = (0.0, [0.0; 2], [0.0; 2], 0.0);
    for (right, found) in pairs.filter(|(right, found)| right.is_finite() && found.is_finite()) {
        let pair = [f64::from(right), f64::from(found)];
        n += 1.0;
        for at in 0..2 {
            sums[at] += pair[at];
            squares[at] += pair[at] * pair[at];
        }
        product += pair[0] * pair[1];
    }
    let spread = |at: usize| (n * squares[at] - sums[at] * sums[at]).max(0.0);
    let both = (spread(0) * spread(1)).sqrt();
    if both > 0.0 { ((n * product - sums[0] * sums[1]) / both).max(0.0) } else { 0.0 }
}
