//! Quantiles and means of any number of values in fixed room. The order of the values and of merged shares does
//! not change the result.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bits of the significand that are cut off. Five bits stay, so a bin is at most 1/32 of its value wide.
const CUT: u32 = 52 - 5;

/// Counts of non-negative values in fixed bins, 32 for each power of two; minimum and maximum are exact.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sketch {
    /// How many values are exactly 0.
    zeros: u64,
    /// The number of values in each bin; a bin is the upper bits of its values as `f64`.
    bins: BTreeMap<u64, u64>,
    /// The minimum and the maximum.
    range: Option<(f64, f64)>,
}

impl Sketch {
    /// Counts a value; non-finite and negative values are ignored.
    pub fn add(&mut self, value: f64) {
        if !(value.is_finite() && value >= 0.0) {
            return;
        }
        self.range = widened(self.range, Some((value, value)));
        if value == 0.0 {
            self.zeros += 1;
        } else {
            *self.bins.entry(value.to_bits() >> CUT).or_default() += 1;
        }
    }

    /// Adds the counts of a second sketch.
    pub fn merge(&mut self, other: &Sketch) {
        self.zeros += other.zeros;
        for (bin, count) in &other.bins {
            *self.bins.entry(*bin).or_default() += count;
        }
        self.range = widened(self.range, other.range);
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.zeros + self.bins.values().sum::<u64>()
    }

    /// The largest value.
    pub fn max(&self) -> Option<f64> {
        self.range.map(|(_, max)| max)
    }

    /// The value that a share `q` (0 to 1) of all values does not exceed, by nearest rank; 1.6 % off at most.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let (min, max) = self.range?;
        let rank = ((q * self.count() as f64).ceil() as u64).max(1);
        let mut below = self.zeros;
        if rank <= below {
            return Some(0.0);
        }
        for (bin, count) in &self.bins {
            below += count;
            if rank <= below {
                let edge = |bin: u64| f64::from_bits(bin << CUT);
                return Some(f64::midpoint(edge(*bin), edge(bin + 1)).clamp(min, max));
            }
        }
        Some(max)
    }
}

fn widened(a: Option<(f64, f64)>, b: Option<(f64, f64)>) -> Option<(f64, f64)> {
    match (a, b) {
        (Some((low, high)), Some((other_low, other_high))) => {
            Some((low.min(other_low), high.max(other_high)))
        }
        (a, b) => a.or(b),
    }
}

/// The mean of values from -1 to 1, each rounded to 2^-32 first. So the sum is exact in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mean {
    /// The sum, in units of 2^-32.
    sum: i64,
    count: u64,
}

const UNIT: f64 = 4_294_967_296.0;

impl Mean {
    /// Counts a value; NaN is ignored.
    pub fn add(&mut self, value: f64) {
        if !value.is_nan() {
            self.sum += (value.clamp(-1.0, 1.0) * UNIT).round() as i64;
            self.count += 1;
        }
    }

    /// Adds the values of a second mean.
    pub fn merge(&mut self, other: Mean) {
        self.sum += other.sum;
        self.count += other.count;
    }

    /// The mean; `None` without values.
    pub fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / UNIT / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|&value| sketch.add(value));
        sketch
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!((sketch(&[]).quantile(0.5), sketch(&[f64::NAN, -1.0]).max()), (None, None));
        assert_eq!(Mean::default().value(), None);
    }

    proptest! {
        #[test]
        fn quantiles_are_near_those_of_the_sorted_values(
            values in prop::collection::vec((0.0f64..1.0, -30i32..30), 1..200),
            q in 0.0f64..=1.0,
        ) {
            let mut values: Vec<f64> = values.iter().map(|(v, e)| v * 2f64.powi(*e)).collect();
            let found = sketch(&values).quantile(q).unwrap();
            values.sort_by(f64::total_cmp);
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1];
            prop_assert!((found - exact).abs() <= exact / 60.0, "{found} {exact}");
        }

        #[test]
        fn merging_is_exact_in_any_order(
            values in prop::collection::vec(0.0f64..10.0, 0..60),
            at in 0usize..60,
        ) {
            let (first, second) = values.split_at(at.min(values.len()));
            let (whole, first, mut second) = (sketch(&values), sketch(first), sketch(second));
            second.merge(&first);
            prop_assert_eq!(&second, &whole);
            let text = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<Sketch>(&text).unwrap(), whole);
        }

        #[test]
        fn a_mean_does_not_depend_on_the_order(
            mut values in prop::collection::vec(-1.0f64..1.0, 1..60),
        ) {
            let mean = |values: &[f64]| {
                let mut mean = Mean::default();
                values.iter().for_each(|&value| mean.add(value));
                mean
            };
            let forward = mean(&values);
            let exact = values.iter().sum::<f64>() / values.len() as f64;
            values.reverse();
            prop_assert_eq!(mean(&values), forward);
            prop_assert!((forward.value().unwrap() - exact).abs() < 1e-9);
        }
    }
}
