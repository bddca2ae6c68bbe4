//! The typical magnitude of a tensor: the median over the elements that are numbers and not sentinels.
//!
//! Attention adds a huge negative number to the scores that must not count. Such a sentinel does not measure the
//! other scores. A scale of half of 1e9 would allow any error in a real score. Its value carries no information
//! beyond "far away". So a sentinel is still judged by the relative tolerance, but left out of the scale.

use super::element;
use crate::tensor::Tensor;

/// Number of elements in the sample for the median.
const SAMPLE: usize = 4096;
/// Half of 10,000, the smallest mask value in use (BERT's), so scores added to the mask do not matter. Ordinary
/// numbers that repeat, such as classes, pixels and positions, are smaller.
const LEAST: f64 = 5e3;
/// A sentinel is at least this many times as large as every ordinary element. An example is 10,000 with
/// scores up to 100. Neighbours in honest data, such as an outlier channel of 3,000, are nearer to each
/// other or spread more widely.
const GAP: f64 = 100.0;
/// At least one element in this many is a sentinel. With fewer, the median hardly moves. A few huge elements are
/// outliers of the data: one channel of many, or the massive activations of one position.
const SHARE: usize = 8;
/// A padding mask, a causal mask, the sum of both, and a mask of a different constant.
const MOST_SENTINELS: usize = 4;

/// See [`Comparison::typical`](super::Comparison::typical). The stride is odd, because an even stride may stay
/// within one column or channel.
pub fn typical_magnitude(reference: &Tensor) -> f64 {
    let stride = reference.len().div_ceil(SAMPLE) | 1;
    let magnitudes = element::strided(reference, stride).into_iter().map(f64::abs);
    typical(magnitudes.filter(|magnitude| magnitude.is_finite()))
}

fn typical(magnitudes: impl Iterator<Item = f64>) -> f64 {
    // Numbers that are not negative sort like their bits, and integers sort faster.
    let mut bits: Vec<u64> = magnitudes.map(f64::to_bits).collect();
    // Only large numbers can be sentinels.
    if bits.iter().any(|magnitude| *magnitude >= LEAST.to_bits()) {
        bits.sort_unstable();
        let magnitudes: Vec<f64> = bits.iter().copied().map(f64::from_bits).collect();
        bits.truncate(without_sentinels(&magnitudes).len());
    }
    // Zeros from a ReLU or a mask do not show the scale.
    bits.retain(|magnitude| *magnitude > 0);
    median(&mut bits)
}

/// The median of numbers given by their bits, or 0 without any. It does not sort all of them.
fn median(bits: &mut [u64]) -> f64 {
    if bits.is_empty() {
        return 0.0;
    }
    let is_odd = bits.len() % 2 == 1;
    let (below, upper, _) = bits.select_nth_unstable(bits.len() / 2);
    let lower = below.iter().max().filter(|_| !is_odd).unwrap_or(upper);
    f64::midpoint(f64::from_bits(*lower), f64::from_bits(*upper))
}

/// How many of the ascending magnitudes are 0.
fn zeros(magnitudes: &[f64]) -> usize {
    magnitudes.partition_point(|magnitude| *magnitude == 0.0)
}

/// The ascending magnitudes up to a gap above which all are sentinels, or all magnitudes without such a gap.
fn without_sentinels(magnitudes: &[f64]) -> &[f64] {
    let first = magnitudes.partition_point(|magnitude| *magnitude < LEAST).max(1);
    let is_gap = |at: &usize| magnitudes[*at] >= GAP * magnitudes[at - 1];
    let least = (magnitudes.len() - zeros(magnitudes)).div_ceil(SHARE);
    let end = (first..magnitudes.len()).filter(is_gap).find(|&at| {
        let (ordinary, far) = magnitudes.split_at(at);
        far.len() >= least && are_sentinels(far, ordinary.last().copied().unwrap_or_default())
    });
    &magnitudes[..end.unwrap_or(magnitudes.len())]
}

/// Whether ascending magnitudes are a few repeated values, each with or without an ordinary number added.
///
/// In any format, a score s added to S rounds to within 2|s| of S. The reason is that s moves S only if s is at least
/// half a step. So all sums with one S span at most 4 times the largest score.
fn are_sentinels(far: &[f64], largest_ordinary: f64) -> bool {
    let (mut values, mut begin) = (0, f64::NEG_INFINITY);
    for &magnitude in far {
        if magnitude - begin > 4.0 * largest_ordinary {
            values += 1;
            begin = magnitude;
        }
    }
    values <= MOST_SENTINELS && 2 * values <= far.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Agreement, Judging, Storage, compare, judge};

    /// Numbers evenly distributed in (-1, 1), the same each time.
    fn even(count: usize) -> Vec<f64> {
        let golden = (5f64.sqrt() - 1.0) / 2.0;
        (1..=count).map(|i| 2.0 * (i as f64 * golden).fract() - 1.0).collect()
    }

    /// Roughly normal numbers: each is a sum of a few evenly distributed ones.
    fn normal(count: usize) -> Vec<f64> {
        even(4 * count).chunks(4).map(|some| some.iter().sum::<f64>()).collect()
    }

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::from_f32(&[values.len()], values.iter().map(|&v| v as f32).collect()).unwrap()
    }

    /// The median rule without sentinels.
    fn median(values: &[f64]) -> f64 {
        let mut sizes: Vec<f64> = values.iter().map(|v| f64::from((*v as f32).abs())).collect();
        sizes.retain(|size| *size > 0.0);
        sizes.sort_by(f64::total_cmp);
        f64::midpoint(sizes[(sizes.len() - 1) / 2], sizes[sizes.len() / 2])
    }

    /// Scores, with the mask added at the positions that `is_masked` selects.
    fn masked(scores: &[f64], mask: f64, is_masked: fn(usize) -> bool) -> Vec<f64> {
        let one = |(at, score): (usize, &f64)| {
            // In f32, adding 1e9 removes most of the score.
            if is_masked(at) { f64::from(*score as f32 + mask as f32) } else { *score }
        };
        scores.iter().enumerate().map(one).collect()
    }

    #[test]
    fn masked_scores_are_no_scale() {
        let scores: Vec<f64> = normal(4000).iter().map(|score| 20.0 * score).collect();
        let masks = [-1e4, -65504.0, -1e9, 1e9, -1e30, f64::from(f32::MIN)];
        let shares: [fn(usize) -> bool; 4] =
            [|at| at % 7 == 0, |at| at % 2 == 0, |at| at % 64 > 30, |at| at % 10 != 0];
        for mask in masks {
            for is_masked in shares {
                let real: Vec<f64> = scores
                    .iter()
                    .enumerate()
                    .filter_map(|(at, score)| (!is_masked(at)).then_some(*score))
                    .collect();
                let all = tensor(&masked(&scores, mask, is_masked));
                assert_eq!(typical_magnitude(&all), median(&real), "{mask}");
            }
        }
    }

    #[test]
    fn two_masks_and_scores_of_zero_are_seen_through() {
        let twice: Vec<f64> = (0..400).map(|at| [1.0, -1e9, -2e9, 0.5][at % 4]).collect();
        assert_eq!(typical_magnitude(&tensor(&twice)), 0.75);
        let nothing: Vec<f64> = (0..400).map(|at| if at % 2 == 0 { 0.0 } else { -1e9 }).collect();
        assert_eq!(typical_magnitude(&tensor(&nothing)), 0.0);
    }

    #[test]
    fn honest_data_of_a_wide_range_keeps_its_median() {
        let normal = normal(4000);
        let channel = |of: usize, scale: fn(f64) -> f64| -> Vec<f64> {
            let one = |(at, v): (usize, &f64)| if at % of == 0 { scale(*v) } else { *v };
            normal.iter().enumerate().map(one).collect()
        };
        let data = [
            ("normal", normal.clone()),
            ("log-normal", normal.iter().map(|v| (5.0 * v).exp()).collect()),
            ("an outlier channel", channel(64, |v| 3000.0 * v)),
            ("a constant one", channel(64, |_| 3000.0)),
            ("a huge constant one", channel(64, |_| 1e6)),
            ("half the channels", channel(2, |v| 1e6 * v)),
            ("classes and pixels", channel(2, |v| (640.0 * v).round())),
            ("one value", vec![1e9; 100]),
            ("a single huge one", vec![0.5, 0.25, 1e9]),
            ("ReLU", normal.iter().map(|v| 1e5 * v.max(0.0)).collect()),
        ];
        for (what, values) in data {
            assert_eq!(typical_magnitude(&tensor(&values)), median(&values), "{what}");
        }
    }

    #[test]
    fn a_masked_product_of_zeros_diverges_and_honest_rounding_does_not() {
        let scores: Vec<f64> = normal(4000).iter().map(|score| 20.0 * score).collect();
        let half = |scores: &[f64], mask| tensor(&masked(scores, mask, |at| at % 2 == 0));
        let says = |candidate: &Tensor| {
            let comparison = compare(&half(&scores, -1e9), candidate).unwrap();
            judge(&comparison, &Judging::strict(Storage::named("f32").unwrap())).agreement
        };
        assert_eq!(says(&half(&vec![0.0; 4000], -1e9)), Agreement::Diverges);
        // The masked values themselves are also judged.
        assert_eq!(says(&half(&scores, -1.1e9)), Agreement::Diverges);
        let near: Vec<f64> = scores.iter().map(|score| score * (1.0 + 1e-6)).collect();
        assert_eq!(says(&half(&near, -1e9)), Agreement::Agrees);
    }
}
