//! A sample of a value: elements at positions drawn by a seed, moments and a digest, for values that do not fit into
//! memory together.

use crate::inputs::Random;
use crate::tensor::{Digest, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Elements that are read at once.
const AT_ONCE: usize = 1 << 16;

/// Which elements of each value are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// How many elements; a value with fewer is kept whole.
    pub elements: usize,
    /// The seed of their positions.
    pub seed: u64,
}

impl FromStr for Sampling {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (elements, seed) = text.split_once(',').unwrap_or((text, "1"));
        match (elements.trim().parse(), seed.trim().parse()) {
            (Ok(elements), Ok(seed)) if elements > 0 => Ok(Sampling { elements, seed }),
            _ => Err("a sample is ELEMENTS or ELEMENTS,SEED, such as 4096 or 4096,7"),
        }
    }
}

impl Sampling {
    /// The share of wrong elements, scattered over a value, that the sample has at least one of in 95 % of all cases:
    /// 1 - 0.05^(1/n).
    pub fn seen_share(self) -> f64 {
        -(0.05f64.ln() / self.elements as f64).exp_m1()
    }

    /// Flat positions in ascending order: one at random in each of as many parts of equal length. So a wrong block of
    /// two such parts is never missed.
    fn positions(self, len: usize) -> Vec<usize> {
        if len <= self.elements {
            return (0..len).collect();
        }
        let mut random = Random::new(self.seed);
        let begin = |part: usize| (part as u128 * len as u128 / self.elements as u128) as usize;
        let drawn = |part: usize| {
            let (from, to) = (begin(part), begin(part + 1));
            from + random.below((to - from) as u128) as usize
        };
        (0..self.elements).map(drawn).collect()
    }
}

/// A sample of one value.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueSample {
    /// The number of all elements.
    pub len: usize,
    /// The digest of element type, shape and bytes.
    digest: Digest,
    /// The elements at the drawn positions.
    drawn: Vec<f64>,
    /// How many of all elements are NaN, infinite, and negative infinite.
    nonfinite: [u64; 3],
    /// The mean of the finite elements.
    mean: f64,
    /// The largest finite magnitude.
    largest: f64,
}

/// How a sampled walk looked at the values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SampledWalk {
    /// Elements that were drawn of each value that has more.
    pub elements: usize,
    /// The seed of their positions.
    pub seed: u64,
    /// The number of values that offby compared by their samples.
    pub values: usize,
    /// The number of values that offby compared whole.
    pub whole: usize,
    /// Suspected operators that were not compared whole, for want of memory.
    pub left: usize,
    /// A random error of this share of a value's elements, or more, is in the sample with a chance of 95 %.
    pub seen_share: f64,
}

/// How far a value is from another, by their samples. Each number is relative to the other value's size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampledDistance {
    /// Relative L2 distance over the drawn elements.
    pub drawn: f64,
    /// The difference of the means.
    pub mean: f64,
    /// The difference of the largest magnitudes.
    pub largest: f64,
    /// Whether both have as many NaN and infinities of each sign, and no drawn element is one on one side only.
    pub same_nonfinite: bool,
}

impl ValueSample {
    /// The sample of a value.
    pub fn of(value: &Tensor, sampling: Sampling) -> Self {
        let positions = sampling.positions(value.len());
        let mut wanted = positions.iter().copied().peekable();
        let mut drawn = Vec::with_capacity(positions.len());
        let (mut nonfinite, mut sum, mut largest) = ([0; 3], 0.0, 0.0f64);
        for begin in (0..value.len()).step_by(AT_ONCE) {
            let numbers = value.numbers_in(begin..value.len().min(begin + AT_ONCE));
            while let Some(at) = wanted.next_if(|at| *at < begin + numbers.len()) {
                drawn.push(numbers[at - begin]);
            }
            for number in numbers {
                match class(number) {
                    None => (sum, largest) = (sum + number, largest.max(number.abs())),
                    Some(class) => nonfinite[class] += 1,
                }
            }
        }
        let finite = value.len() as u64 - nonfinite.iter().sum::<u64>();
        let mean = sum / finite.max(1) as f64;
        ValueSample { len: value.len(), digest: value.digest(), drawn, nonfinite, mean, largest }
    }

    /// How far this value is from the right one. `None` if one has other elements.
    pub fn distance(&self, right: &ValueSample) -> Option<SampledDistance> {
        if self.len != right.len || self.drawn.len() != right.drawn.len() {
            return None;
        }
        if self.digest == right.digest {
            return Some(SampledDistance {
                drawn: 0.0,
                mean: 0.0,
                largest: 0.0,
                same_nonfinite: true,
            });
        }
        let pairs = || self.drawn.iter().zip(&right.drawn);
        let same_drawn = pairs().all(|(found, right)| class(*found) == class(*right));
        let finite = pairs().filter(|(found, right)| found.is_finite() && right.is_finite());
        let (apart, size) = finite.fold((0.0, 0.0), |(apart, size), (found, right)| {
            (apart + (found - right).powi(2), size + right.powi(2))
        });
        let typical = (size / right.drawn.len().max(1) as f64).sqrt();
        Some(SampledDistance {
            drawn: relative(apart.sqrt(), size.sqrt()),
            mean: relative((self.mean - right.mean).abs(), typical),
            largest: relative((self.largest - right.largest).abs(), right.largest),
            same_nonfinite: same_drawn && self.nonfinite == right.nonfinite,
        })
    }
}

/// Which kind of number that is not finite; `None` for a finite one.
fn class(number: f64) -> Option<usize> {
    match number {
        number if number.is_nan() => Some(0),
        f64::INFINITY => Some(1),
        f64::NEG_INFINITY => Some(2),
        _ => None,
    }
}

/// `apart / size`; 1 if only the size is zero.
fn relative(apart: f64, size: f64) -> f64 {
    match (apart == 0.0, size == 0.0) {
        (true, _) => 0.0,
        (false, true) => 1.0,
        (false, false) => apart / size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLING: Sampling = Sampling { elements: 100, seed: 1 };

    fn ramp(len: usize, change: impl Fn(usize) -> f32) -> ValueSample {
        let elements = (0..len).map(|at| at as f32 + change(at)).collect();
        ValueSample::of(&Tensor::from_f32(&[len], elements).unwrap(), SAMPLING)
    }

    #[test]
    fn positions_are_one_in_each_part_and_the_same_every_time() {
        let positions = SAMPLING.positions(150_001);
        assert_eq!(positions, SAMPLING.positions(150_001));
        assert!(
            positions.iter().enumerate().all(|(part, at)| at / 1501 <= part && part <= at / 1500)
        );
        assert_ne!(positions, Sampling { seed: 2, ..SAMPLING }.positions(150_001));
        assert_eq!(SAMPLING.positions(7), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_sample_sees_blocks_scattered_elements_outliers_and_nan() {
        let right = ramp(200_000, |_| 0.0);
        let apart = |change: &dyn Fn(usize) -> f32| ramp(200_000, change).distance(&right).unwrap();
        assert_eq!(apart(&|_| 0.0).drawn, 0.0);
        assert!(apart(&|at| if (70_000..74_000).contains(&at) { 9.0 } else { 0.0 }).drawn > 0.0);
        assert!(apart(&|at| if at == 5 { 1e6 } else { 0.0 }).largest > 1.0);
        assert!(!apart(&|at| if at == 5 { f32::NAN } else { 0.0 }).same_nonfinite);
        let masked = |mask: f32| ramp(200_000, |at| if at % 2 == 0 { mask } else { 0.0 });
        let swapped = masked(f32::INFINITY).distance(&masked(f32::NEG_INFINITY)).unwrap();
        assert!(!swapped.same_nonfinite);
        assert!(ramp(9, |_| 0.0).distance(&right).is_none());
    }

    #[test]
    fn what_a_sample_may_miss_is_stated() {
        let share = Sampling { elements: 4096, seed: 1 }.seen_share();
        assert!((share - 7.3e-4).abs() < 1e-5, "{share}");
        assert_eq!("4096,7".parse(), Ok(Sampling { elements: 4096, seed: 7 }));
        assert_eq!("16".parse(), Ok(Sampling { elements: 16, seed: 1 }));
        assert!("0".parse::<Sampling>().is_err() && "4096,x".parse::<Sampling>().is_err());
    }
}
