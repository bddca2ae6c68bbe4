//! A state seen as heads, positions and elements.

use super::interface::DecoderState;
use crate::tensor::Tensor;

/// The numbers of a state, by outer index (batch and heads), position and element.
#[derive(Debug, Clone)]
pub struct Plane {
    numbers: Vec<f64>,
    /// The number of outer indices.
    pub heads: usize,
    /// The number of positions.
    pub positions: usize,
    /// The number of elements of one head at one position.
    pub width: usize,
}

impl Plane {
    /// A state as a plane. A state that does not grow is one position.
    pub fn of(state: &DecoderState, tensor: &Tensor) -> Self {
        let shape = tensor.shape();
        let numbers = tensor.numbers(1);
        let axis = state.axis.filter(|&axis| axis < shape.len());
        let (heads, positions) = match axis {
            Some(axis) => (shape[..axis].iter().product(), shape[axis]),
            None => (1, 1),
        };
        let width = numbers.len().checked_div(heads * positions).unwrap_or(0);
        Plane { numbers, heads, positions, width }
    }

    /// The elements of one head at one position.
    pub fn at(&self, head: usize, position: usize) -> &[f64] {
        let start = (head * self.positions + position) * self.width;
        self.numbers.get(start..start + self.width).unwrap_or_default()
    }

    /// All elements of the positions from `first` on.
    pub fn from(&self, first: usize) -> Vec<f64> {
        let rows = (0..self.heads)
            .flat_map(|head| (first..self.positions).map(move |position| (head, position)));
        rows.flat_map(|(head, position)| self.at(head, position).iter().copied()).collect()
    }

    /// The elements of one head from a position on.
    pub fn head_from(&self, head: usize, first: usize) -> Vec<f64> {
        (first..self.positions).flat_map(|at| self.at(head, at).iter().copied()).collect()
    }

    /// Whether two planes have the same form.
    pub fn is_like(&self, other: &Plane) -> bool {
        (self.heads, self.positions, self.width) == (other.heads, other.positions, other.width)
    }
}

/// The relative L2 error; infinite if the lengths differ or the error is no number.
pub fn relative(want: &[f64], got: &[f64]) -> f64 {
    if want.len() != got.len() {
        return f64::INFINITY;
    }
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let error = square(&mut want.iter().zip(got).map(|(w, g)| if w == g { 0.0 } else { w - g }));
    let size = square(&mut want.iter().copied());
    match (error, size) {
        (0.0, _) => 0.0,
        (error, size) if error.is_finite() && size > 0.0 => (error / size).sqrt(),
        _ => f64::INFINITY,
    }
}
