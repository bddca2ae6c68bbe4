//! Sums that do not lose small terms: Neumaier's compensated summation.

/// A running sum, and the rounding loss so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunningSum {
    total: f64,
    lost: f64,
}

impl RunningSum {
    /// Adds one term.
    pub(super) fn add(&mut self, term: f64) {
        let next = self.total + term;
        self.lost += if self.total.abs() >= term.abs() {
            (self.total - next) + term
        } else {
            (term - next) + self.total
        };
        self.total = next;
    }

    /// The sum so far.
    pub(super) fn value(self) -> f64 {
        // The loss of an infinite sum is NaN, so the loss must not be added.
        if self.total.is_finite() { self.total + self.lost } else { self.total }
    }
}

/// The sum of some terms.
pub(super) fn sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    let mut sum = RunningSum::default();
    terms.into_iter().for_each(|term| sum.add(term));
    sum.value()
}

/// The largest value; NaN if there is one, and minus infinity if there are no values.
pub(super) fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, greater)
}

/// The greater of two; NaN if either is.
pub(super) fn greater(a: f64, b: f64) -> f64 {
    if a.is_nan() || a >= b { a } else { b }
}

/// The smaller of two; NaN if either is.
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || a <= b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_are_kept() {
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum([0.1; 10]), 1.0);
        assert_eq!(sum([]), 0.0);
    }

    #[test]
    fn infinities_stay() {
        assert_eq!(sum([1.0, f64::INFINITY, 2.0]), f64::INFINITY);
        assert_eq!(sum([f64::NEG_INFINITY, 2.0]), f64::NEG_INFINITY);
        assert!(sum([f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(sum([f64::NAN, 1.0]).is_nan());
    }

    #[test]
    fn nan_is_both_greater_and_smaller() {
        for pick in [greater, smaller] {
            assert!(pick(f64::NAN, 1.0).is_nan() && pick(1.0, f64::NAN).is_nan());
        }
        assert_eq!((greater(1.0, 2.0), smaller(1.0, 2.0)), (2.0, 1.0));
        assert_eq!(largest(&[]), f64::NEG_INFINITY);
    }
}
