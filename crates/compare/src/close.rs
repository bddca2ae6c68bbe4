//! The check behind `assert_close!`: two tensors agree within a tolerance, or the message says where they do not.

use crate::compare::{
    CompareOptions, Comparison, Incomparable, Tolerance, Worst, compare_with, count_exceeding,
};
use crate::tensor::Tensor;
use std::fmt;

/// How many elements a message lists.
const LISTED: usize = 5;

/// Why two tensors are not close.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Apart {
    /// Shapes or element types differ.
    Incomparable(Incomparable),
    /// Elements exceed the tolerance.
    Exceeding {
        /// How many.
        count: u64,
        /// The tolerance.
        tolerance: Tolerance,
        /// All measurements, with the worst elements.
        comparison: Box<Comparison>,
    },
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Apart::Incomparable(reason) => write!(f, "{reason}"),
            Apart::Exceeding { count, tolerance, comparison } => {
                let Tolerance { rtol, atol, atol_typical } = tolerance;
                write!(
                    f,
                    "{count} of {} elements exceed rtol {rtol:e}, atol {atol:e} and {atol_typical:e} of the typical magnitude {:e}; relative L2 {:.2e}",
                    comparison.elements, comparison.typical, comparison.rel_l2
                )?;
                for Worst { index, reference, candidate, .. } in &comparison.worst {
                    write!(f, "\n  at {index:?}: {reference} is right, {candidate} is there")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Apart {}

/// Compares two tensors, and fails if an element exceeds the tolerance. Non-finite elements must be alike.
///
/// # Errors
/// If the tensors cannot be compared or are not close.
pub fn close(
    reference: &Tensor,
    candidate: &Tensor,
    tolerance: Tolerance,
) -> Result<Comparison, Apart> {
    let options = CompareOptions { worst: LISTED, extra_rtol: Some(tolerance.rtol) };
    let comparison = compare_with(reference, candidate, &options).map_err(Apart::Incomparable)?;
    if tolerance.is_met_by(&comparison) {
        return Ok(comparison);
    }
    let count = count_exceeding(reference, candidate, &tolerance, comparison.typical)
        .map_err(Apart::Incomparable)?;
    let comparison = Box::new(comparison);
    Err(Apart::Exceeding { count, tolerance, comparison })
}

/// Fails the test if two tensors are not close, and prints the worst elements.
///
/// ```should_panic
/// use offby_compare::{Tensor, Tolerance, assert_close};
/// let reference = Tensor::from_f32(&[2], vec![1.0, 2.0]).unwrap();
/// let candidate = Tensor::from_f32(&[2], vec![1.0, 2.1]).unwrap();
/// assert_close!(reference, candidate, Tolerance::F32);
/// ```
#[macro_export]
macro_rules! assert_close {
    ($reference:expr, $candidate:expr, $tolerance:expr $(,)?) => {
        if let Err(apart) = $crate::close(&$reference, &$candidate, $tolerance) {
            panic!("the tensors are not close: {apart}");
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_f32(&[values.len()], values.to_vec()).unwrap()
    }

    #[test]
    fn the_message_names_the_worst_element() {
        let apart = close(&tensor(&[1.0, 2.0, 3.0]), &tensor(&[1.0, 2.5, 3.0]), Tolerance::F16);
        let text = apart.unwrap_err().to_string();
        assert!(text.starts_with("1 of 3 elements exceed"), "{text}");
        assert!(text.contains("at [1]: 2 is right, 2.5 is there"), "{text}");
    }

    #[test]
    fn one_nan_is_far_and_two_are_close() {
        let nan = tensor(&[f32::NAN, 1.0]);
        assert!(close(&nan, &nan, Tolerance::EXACT).is_ok());
        assert!(close(&tensor(&[0.0, 1.0]), &nan, Tolerance::user(f64::MAX, 1.0)).is_err());
    }

    #[test]
    fn other_shapes_are_no_numbers_to_compare() {
        let apart = close(&tensor(&[1.0]), &tensor(&[1.0, 2.0]), Tolerance::F32).unwrap_err();
        assert!(matches!(apart, Apart::Incomparable(_)), "{apart}");
    }
}
