//! What the counts say about unseen inputs: intervals for shares and for their difference, and whether two
//! lanes are right equally often.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF as _, DiscreteCDF as _, Normal};

/// The confidence level of the intervals.
pub(super) const CONFIDENCE: f64 = 0.95;
/// Below this many inputs with only one right lane, their number is not near enough to chi square.
const EXACT_BELOW: u64 = 25;

/// The lower and upper end of an interval.
pub(super) type Interval = (f64, f64);

/// Wilson's score interval for a share of `count` in `of`; 0 to 1 if `of` is 0.
pub(super) fn wilson(count: u64, of: u64) -> Interval {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, z) = (of as f64, normal_quantile());
    let p = count as f64 / n;
    let centre = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    // At a share of 0 or 1 the interval ends exactly there; rounding must not move that end.
    let low = if count == 0 { 0.0 } else { (centre - half) / scale };
    let high = if count == of { 1.0 } else { (centre + half) / scale };
    (low.max(0.0), high.min(1.0))
}

fn normal_quantile() -> f64 {
    Normal::standard().inverse_cdf(f64::midpoint(1.0, CONFIDENCE))
}

/// How often two lanes are right on the same inputs: both, only the reference, only the target, or neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairs {
    /// Inputs that both get right.
    pub both: u64,
    /// Inputs that only the reference gets right.
    pub only_reference: u64,
    /// Inputs that only the target gets right.
    pub only_target: u64,
    /// Inputs that neither gets right.
    pub neither: u64,
}

impl Pairs {
    /// The number of inputs.
    pub fn count(&self) -> u64 {
        self.both + self.only_reference + self.only_target + self.neither
    }

    /// By how much the share of the target's right answers is below the reference's.
    pub(super) fn drop(&self) -> f64 {
        (self.only_reference as f64 - self.only_target as f64) / self.count().max(1) as f64
    }

    /// An interval for [`Pairs::drop`]: Newcombe's hybrid score interval for paired shares (Statistics in
    /// Medicine 17, 1998, 2635-2650, method 10). It also holds for few inputs and for shares near 1.
    pub(super) fn drop_interval(&self) -> Interval {
        let n = self.count();
        if n == 0 {
            return (-1.0, 1.0);
        }
        let share = |count: u64| (count as f64 / n as f64, wilson(count, n));
        let (p, (p_low, p_high)) = share(self.both + self.only_reference);
        let (q, (q_low, q_high)) = share(self.both + self.only_target);
        let phi = self.correlation();
        let side = |a: f64, b: f64| (a * a - 2.0 * phi * a * b + b * b).max(0.0).sqrt();
        let low = self.drop() - side(p - p_low, q_high - q);
        let high = self.drop() + side(p_high - p, q - q_low);
        (low.max(-1.0), high.min(1.0))
    }

    /// The correlation between the two lanes' right answers, with Newcombe's correction for continuity.
    fn correlation(&self) -> f64 {
        let Pairs { both, only_reference, only_target, neither } = *self;
        let [a, b, c, d] = [both, only_reference, only_target, neither].map(|count| count as f64);
        let margins = (a + b) * (c + d) * (a + c) * (b + d);
        if margins == 0.0 {
            return 0.0;
        }
        let product = a * d - b * c;
        let corrected =
            if product > 0.0 { (product - self.count() as f64 / 2.0).max(0.0) } else { product };
        corrected / margins.sqrt()
    }

    /// McNemar's test: how likely a difference at least this large is if both lanes are right equally often.
    pub(super) fn mcnemar(&self) -> McNemar {
        let (b, c) = (self.only_reference, self.only_target);
        if b + c < EXACT_BELOW {
            McNemar { p: exact(b.min(c), b + c), exact: true }
        } else {
            let distance = (b.abs_diff(c) as f64 - 1.0).max(0.0);
            let statistic = distance * distance / (b + c) as f64;
            let p = ChiSquared::new(1.0).map_or(1.0, |chi| chi.sf(statistic));
            McNemar { p, exact: false }
        }
    }
}

/// The result of McNemar's test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// The two-sided p-value.
    pub p: f64,
    /// Whether the p-value is the exact binomial's, and not chi square's with a correction for continuity.
    pub exact: bool,
}

/// Twice the probability of at most `few` heads in `of` throws.
fn exact(few: u64, of: u64) -> f64 {
    let binomial = Binomial::new(0.5, of);
    binomial.map_or(1.0, |binomial| (2.0 * binomial.cdf(few)).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Random;

    fn near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    }

    #[test]
    fn wilson_is_as_in_newcombes_table() {
        // Newcombe, Statistics in Medicine 17, 1998, 857-872, table I, method 3.
        for (count, of, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (found_low, found_high) = wilson(count, of);
            near(found_low, low, 5e-5);
            near(found_high, high, 5e-5);
        }
        assert_eq!((wilson(0, 0), wilson(7, 7).1), ((0.0, 1.0), 1.0));
    }

    #[test]
    fn mcnemar_is_exact_for_few_and_chi_square_for_many() {
        let test = |b, c| Pairs { only_reference: b, only_target: c, ..Pairs::default() }.mcnemar();
        // By hand: 2·(1 + 6)/64 for six throws, and 2·1/32 for five.
        near(test(5, 1).p, 14.0 / 64.0, 1e-12);
        near(test(0, 5).p, 2.0 / 32.0, 1e-12);
        assert_eq!((test(0, 0).p, test(3, 3).p), (1.0, 1.0));
        // Agresti's approval ratings: 150 and 86, (64 - 1)²/236 = 16.82, p = 4.1e-5.
        let many = test(150, 86);
        assert!(!many.exact);
        near(many.p, 4.115e-5, 1e-7);
    }

    #[test]
    fn a_drop_changes_its_sign_with_its_sides() {
        let pairs = Pairs { both: 20, only_reference: 12, only_target: 2, neither: 16 };
        let swapped = Pairs { only_reference: 2, only_target: 12, ..pairs };
        let ((low, high), (swapped_low, swapped_high)) =
            (pairs.drop_interval(), swapped.drop_interval());
        near(low, -swapped_high, 1e-12);
        near(high, -swapped_low, 1e-12);
        near(pairs.drop(), 0.2, 1e-12);
        assert!(0.0 < low && low < 0.2 && 0.2 < high && high < 0.4);
        assert_eq!(Pairs::default().drop_interval(), (-1.0, 1.0));
    }

    /// The meaning of 95 %: the interval holds the true drop in 95 of a hundred samples.
    #[test]
    fn the_interval_of_a_drop_holds_it_as_often_as_it_says() {
        let mut random = Random::new(1);
        let (samples, n) = (2000, 360);
        let mut held = 0;
        for _ in 0..samples {
            let mut pairs = Pairs::default();
            for _ in 0..n {
                let draw = random.unit();
                let count = if draw < 0.90 {
                    &mut pairs.both
                } else if draw < 0.95 {
                    &mut pairs.only_reference
                } else if draw < 0.97 {
                    &mut pairs.only_target
                } else {
                    &mut pairs.neither
                };
                *count += 1;
            }
            let (low, high) = pairs.drop_interval();
            held += u32::from(low <= 0.03 && 0.03 <= high);
        }
        let share = f64::from(held) / f64::from(samples);
        assert!((0.94..=0.975).contains(&share), "{share}");
    }
}
