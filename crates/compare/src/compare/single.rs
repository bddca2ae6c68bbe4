//! The fast pass, block by block, for tensors whose elements are all exactly `f32`.
//!
//! The sums need every element, but the maxima do not. A cheap upper bound says whether a block can hold a new
//! maximum. Only such a block, one in hundreds, is measured exactly.

use super::element::singles;
use super::kernel::{self, BLOCK, Bounds, Chunk};
use super::scalar::observe_nonfinite;
use super::tally::ChunkTally;
use crate::tensor::Tensor;
use pulp::Arch;
use std::ops::Range;

/// 2^180, the least energy of a block with a value of 2^90. From there on, the scaled bounds of
/// [`Bounds`] may overflow.
const LARGE: f64 = (1u128 << 90) as f64 * (1u128 << 90) as f64;
/// The fewest steps of `f32` in one step of `f16`.
const STEPS_F16: u64 = 1 << 13;

/// A block of the reference and the same block of the candidate.
type Pair<'a> = [&'a Chunk; 2];

/// Adds the pairs at the given positions of two row-major tensors.
pub(super) fn observe(
    tally: &mut ChunkTally,
    grid: &[f64],
    tensors: [&Tensor; 2],
    chunk: Range<usize>,
) {
    let arch = Arch::new();
    let mut scratch = [[0.0; BLOCK]; 2];
    for start in chunk.clone().step_by(BLOCK) {
        let flat = start..chunk.end.min(start + BLOCK);
        let [left, right] = &mut scratch;
        let [reference, candidate] = tensors;
        let pair =
            [singles(reference, flat.clone(), left), singles(candidate, flat.clone(), right)];
        tally.finite += flat.len() as u64;
        Pass { arch, grid, start }.observe(tally, pair);
    }
}

/// What the pass over one block needs apart from the block.
struct Pass<'a> {
    arch: Arch,
    grid: &'a [f64],
    /// The flat position of the block's first pair.
    start: usize,
}

impl Pass<'_> {
    /// Adds one block, padded with pairs of zeros.
    fn observe(&self, tally: &mut ChunkTally, pair: Pair<'_>) {
        let sums = kernel::sums(self.arch, pair);
        let energy = sums.squared_reference + sums.squared_candidate;
        if !energy.is_finite() {
            let [reference, candidate] = set_aside_nonfinite(tally, self.start, pair);
            return self.observe(tally, [&reference, &candidate]);
        }
        tally.sums.add(&sums);
        if sums.difference == 0.0 {
            return;
        }
        self.count(tally, pair);
        self.raise_maxima(tally, pair, energy >= LARGE);
    }

    fn count(&self, tally: &mut ChunkTally, pair: Pair<'_>) {
        let counts = kernel::counts(self.arch, pair);
        tally.mismatched += u64::from(counts.mismatched);
        tally.ulps.f32 = tally.ulps.f32.max(counts.ulps.into());
        // Rounding to f16 merges steps, and can move two values apart by one more step.
        if tally.ulps.f16 <= u64::from(counts.ulps) / STEPS_F16 {
            tally.ulps.f16 = tally.ulps.f16.max(kernel::ulps_f16(self.arch, pair).into());
        }
        if counts.short > 0 {
            let explained = kernel::explained(self.arch, pair);
            for (count, more) in tally.explained.iter_mut().zip(explained) {
                *count += more;
            }
        }
    }

    /// Bounds of `large` values may have overflowed, so such values are always measured exactly.
    fn raise_maxima(&self, tally: &mut ChunkTally, pair: Pair<'_>, large: bool) {
        let bounds = Bounds::new(self.arch, pair, tally.max_rel);
        let mut ceiling = bounds.largest;
        for (needed, &rtol) in tally.needed.iter_mut().zip(self.grid) {
            // |d| − rtol·|r| falls as rtol grows, so a bound for one rtol also holds for every larger rtol.
            if large || ceiling > *needed {
                ceiling = bounds.excess(self.arch, rtol);
            }
            if large || ceiling > *needed {
                *needed = needed.max(kernel::needed(self.arch, pair, rtol));
            }
        }
        if large || bounds.ratio_beyond {
            tally.max_rel = tally.max_rel.max(kernel::max_ratio(self.arch, pair));
        }
        let threshold = tally.worst.threshold();
        if (large || bounds.largest > threshold) && kernel::needed(self.arch, pair, 0.0) > threshold
        {
            rank(tally, self.start, pair);
        }
    }
}

/// Number of pairs that [`rank`] tests at a time.
const GROUP: usize = 64;

fn rank(tally: &mut ChunkTally, start: usize, [reference, candidate]: Pair<'_>) {
    let groups = reference.as_chunks::<GROUP>().0.iter().zip(candidate.as_chunks::<GROUP>().0);
    for (group, (r, c)) in groups.enumerate() {
        // A difference above the threshold does not fall below it when both are rounded.
        let least = tally.worst.threshold() as f32;
        let reaches = |any, (r, c): (&f32, &f32)| any | ((c - r).abs() >= least);
        if !r.iter().zip(c).fold(false, reaches) {
            continue;
        }
        for (i, (&r, &c)) in r.iter().zip(c).enumerate() {
            let difference = (f64::from(c) - f64::from(r)).abs();
            if difference > tally.worst.threshold() {
                tally.worst.observe(difference, start + group * GROUP + i);
            }
        }
    }
}

/// Counts the non-finite pairs, and returns the blocks with zeros in their place.
fn set_aside_nonfinite(tally: &mut ChunkTally, start: usize, pair: Pair<'_>) -> [Chunk; 2] {
    let [mut reference, mut candidate] = pair.map(|block| *block);
    for (i, (r, c)) in reference.iter_mut().zip(&mut candidate).enumerate() {
        if observe_nonfinite(tally, start + i, (*r).into(), (*c).into()) {
            tally.finite -= 1;
            (*r, *c) = (0.0, 0.0);
        }
    }
    [reference, candidate]
}
