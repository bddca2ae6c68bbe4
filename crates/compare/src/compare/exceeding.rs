//! Counts the elements beyond a tolerance. This second pass runs only if a sentence names the count.

use super::element::{numbers, row_major};
use super::measure::chunks;
use super::metrics::{Incomparable, same};
use super::tolerance::Tolerance;
use crate::tensor::{Number, Tensor};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

/// The number of elements beyond a tolerance, given the comparison's `typical` magnitude.
///
/// A pair with a non-finite value is beyond any tolerance unless both values are the same.
///
/// # Errors
/// If the tensors cannot be compared, as for [`super::compare`].
pub fn count_exceeding(
    reference: &Tensor,
    candidate: &Tensor,
    tolerance: &Tolerance,
    typical: f64,
) -> Result<u64, Incomparable> {
    Incomparable::check(reference, candidate)?;
    let (reference, candidate) = (row_major(reference), row_major(candidate));
    let beyond = |(r, c)| !within(r, c, tolerance, typical);
    let count = |chunk: std::ops::Range<usize>| {
        let pairs = numbers(&reference, chunk.clone()).into_iter().zip(numbers(&candidate, chunk));
        pairs.filter(|&pair| beyond(pair)).count() as u64
    };
    Ok(chunks(reference.len()).into_par_iter().map(count).sum())
}

fn within(reference: Number, candidate: Number, tolerance: &Tolerance, typical: f64) -> bool {
    match (reference, candidate) {
        (Number::Float(r), Number::Float(c)) if !(r.is_finite() && c.is_finite()) => same(r, c),
        (Number::Integer(r), Number::Integer(c)) => {
            tolerance.allows((c - r).unsigned_abs() as f64, r as f64, typical)
        }
        _ => tolerance.allows(
            (candidate.value() - reference.value()).abs(),
            reference.value(),
            typical,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_beyond_is_counted() {
        let tensor = |elements: [f32; 5]| Tensor::from_f32(&[5], elements.to_vec()).unwrap();
        let reference = tensor([1.0, 2.0, f32::NAN, f32::NAN, f32::INFINITY]);
        let candidate = tensor([1.5, 2.0, f32::NAN, 0.0, f32::NEG_INFINITY]);
        let count =
            |atol| count_exceeding(&reference, &candidate, &Tolerance::user(atol, 0.0), 1.0);
        assert_eq!(count(0.5), Ok(2));
        assert_eq!(count(0.4), Ok(3));
        assert_eq!(count(f64::NAN), Ok(4));
    }
}
