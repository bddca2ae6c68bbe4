//! Computes the reported numbers from the seconds of single runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The measured times of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bench {
    /// Seconds from the start of opening to the first outputs, kernel compilation and tuning included.
    pub first_result: f64,
    /// The runs after the first result.
    pub latency: Latency,
    /// The ratio to the first timed target; absent for the first target itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
}

/// Seconds of one run, feeding and reading included, over many runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// The number of runs.
    pub iterations: usize,
    /// The shortest run.
    pub min: f64,
    /// As many runs are shorter as are longer.
    pub median: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// At least 95 % of the runs are no longer (the nearest rank).
    pub p95: f64,
    /// The longest run.
    pub max: f64,
}

/// How many times as long as a second target: the shortest run of a turn over the shortest run of the
/// second target's same turn. Other work of the machine only makes runs longer, and affects adjacent
/// turns alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ratio {
    /// The median over the turns.
    pub median: f64,
    /// A quarter of the turns are below this ratio.
    pub low: f64,
    /// A quarter of the turns are above this ratio.
    pub high: f64,
}

impl Latency {
    /// The latency from the seconds of single runs; `None` without any runs.
    pub fn of(seconds: &[f64]) -> Option<Self> {
        let sorted = sorted(seconds);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        Some(Latency {
            iterations: sorted.len(),
            min,
            median: median(&sorted),
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            p95: nearest_rank(&sorted, 0.95),
            max,
        })
    }
}

impl Ratio {
    /// A ratio is steady if its quartiles are no further apart than this share of the median.
    const STEADY: f64 = 0.1;

    /// Whether the turns agree well enough to trust the median.
    pub fn is_steady(&self) -> bool {
        self.high - self.low <= Self::STEADY * self.median
    }

    /// The ratio of one target's turns to a second target's, both in order; `None` without any turns.
    pub fn of(turns: &[Vec<f64>], to: &[Vec<f64>]) -> Option<Self> {
        let shortest = |turn: &[f64]| turn.iter().copied().fold(f64::INFINITY, f64::min);
        let ratio = |(mine, other): (&Vec<f64>, &Vec<f64>)| shortest(mine) / shortest(other);
        let ratios = sorted(&turns.iter().zip(to).map(ratio).collect::<Vec<f64>>());
        let (low, high) = (nearest_rank(&ratios, 0.25), nearest_rank(&ratios, 0.75));
        (!ratios.is_empty()).then(|| Ratio { median: median(&ratios), low, high })
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The middle value, or halfway between the two middle values; NaN without any values.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The least value that at least this share of all values does not exceed; NaN without any values.
fn nearest_rank(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn the_five_numbers_of_known_times() {
        let seconds: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let latency = Latency::of(&seconds).unwrap();
        assert_eq!((latency.iterations, latency.min, latency.max), (100, 1.0, 100.0));
        assert_eq!((latency.median, latency.mean, latency.p95), (50.5, 50.5, 95.0));
        let one = Latency::of(&[0.25]).unwrap();
        assert_eq!((one.min, one.median, one.p95, one.max), (0.25, 0.25, 0.25, 0.25));
        assert_eq!(Latency::of(&[]), None);
    }

    /// The machine becomes ten times as slow half-way, and is interrupted in two of three runs. The ratio of
    /// two targets stays the same.
    #[test]
    fn a_ratio_outlives_a_machine_with_other_work() {
        let turns = |factor: f64, late: f64| -> Vec<Vec<f64>> {
            let slow = |turn: usize| if turn < 4 { factor } else { 10.0 * factor };
            (0..8).map(|turn| vec![slow(turn) + late, slow(turn), slow(turn) + 5.0]).collect()
        };
        let ratio = Ratio::of(&turns(3.0, 40.0), &turns(1.5, 0.1)).unwrap();
        assert_relative_eq!(ratio.median, 2.0);
        assert_relative_eq!(ratio.high - ratio.low, 0.0);
        assert!(ratio.is_steady());
        assert!(!Ratio { high: 2.3, ..ratio }.is_steady());
        assert_eq!(Ratio::of(&[], &turns(1.0, 0.0)), None);
    }
}
