//! The fast pass, block by block: for tensors whose elements all are exactly `f32`.
//!
//! The sums need every element. Maxima do not: a cheap upper bound of a block says whether it can
//! hold a new maximum, and only such a block, one in hundreds, is measured exactly.

use super::element::{full_block, singles};
use super::kernel::{self, BLOCK, Block, Errors};
use super::scalar::observe_nonfinite;
use super::tally::Tally;
use crate::tensor::Tensor;
use pulp::Arch;
use std::ops::Range;

/// 2^180, the least energy of a block with a value of 2^90: there the scaled bounds of [`Errors`] may overflow.
const LARGE: f64 = (1u128 << 90) as f64 * (1u128 << 90) as f64;
/// Steps of `f32` that `f16` takes as one, at least.
const STEPS_F16: u64 = 1 << 13;

/// The block of the reference and that of the candidate.
type Pair<'a> = [&'a Block; 2];

/// Adds the pairs at the given positions of two row-major tensors.
pub(super) fn observe(tally: &mut Tally, grid: &[f64], tensors: [&Tensor; 2], chunk: Range<usize>) {
    let arch = Arch::new();
    let mut scratch = [[0.0; BLOCK]; 2];
    for start in chunk.clone().step_by(BLOCK) {
        let flat = start..chunk.end.min(start + BLOCK);
        let next = flat.end..chunk.end.min(flat.end + BLOCK);
        let [left, right] = &mut scratch;
        let blocks =
            [singles(tensors[0], flat.clone(), left), singles(tensors[1], flat.clone(), right)];
        let ahead =
            [0, 1].map(|side| full_block(tensors[side], next.clone()).unwrap_or(blocks[side]));
        tally.finite += flat.len() as u64;
        Pass { arch, grid, start, ahead }.observe(tally, blocks);
    }
}

/// What the pass over one block needs beside the block.
struct Pass<'a> {
    arch: Arch,
    grid: &'a [f64],
    /// The flat position of the block's first pair.
    start: usize,
    /// The blocks that come next, where they lie in memory.
    ahead: Pair<'a>,
}

impl Pass<'_> {
    /// Adds one block, filled up with pairs of zeros.
    fn observe(&self, tally: &mut Tally, blocks: Pair<'_>) {
        let sums = kernel::sums(self.arch, blocks);
        let energy = sums.squared_reference + sums.squared_candidate;
        if !energy.is_finite() {
            let [reference, candidate] = set_aside_nonfinite(tally, self.start, blocks);
            return self.observe(tally, [&reference, &candidate]);
        }
        tally.sums.add(&sums);
        if sums.difference == 0.0 {
            return;
        }
        let errors = Errors::new(self.arch, blocks, tally.max_rel, self.ahead);
        self.count(tally, blocks, &errors);
        self.raise_maxima(tally, blocks, &errors, energy >= LARGE);
    }

    fn count(&self, tally: &mut Tally, blocks: Pair<'_>, errors: &Errors<'_>) {
        tally.mismatched += u64::from(errors.mismatched);
        tally.ulps.f32 = tally.ulps.f32.max(errors.ulps.into());
        // Rounding to f16 merges steps, and can part two values by one step more.
        if tally.ulps.f16 <= u64::from(errors.ulps) / STEPS_F16 {
            tally.ulps.f16 = tally.ulps.f16.max(kernel::ulps_f16(self.arch, blocks).into());
        }
        if errors.short > 0 {
            let explained = kernel::explained(self.arch, blocks);
            for (count, more) in tally.explained.iter_mut().zip(explained) {
                *count += more;
            }
        }
    }

    /// Bounds of `large` values may have overflowed, so that these are always measured exactly.
    fn raise_maxima(&self, tally: &mut Tally, blocks: Pair<'_>, errors: &Errors<'_>, large: bool) {
        let mut ceiling = errors.largest;
        for (needed, &rtol) in tally.needed.iter_mut().zip(self.grid) {
            // |d| − rtol·|r| falls as rtol grows: what one does not reach, larger ones do not either.
            if large || ceiling > *needed {
                ceiling = errors.bound(self.arch, rtol);
            }
            if large || ceiling > *needed {
                *needed = needed.max(kernel::needed(self.arch, blocks, rtol));
            }
        }
        if large || errors.ratio_beyond {
            tally.max_rel = tally.max_rel.max(kernel::max_ratio(self.arch, blocks));
        }
        if large {
            rank(tally, self.start, blocks, 0..BLOCK);
        } else if errors.largest > tally.worst.threshold() {
            rank(tally, self.start, blocks, errors.beyond(tally.worst.threshold()));
        }
    }
}

fn rank(
    tally: &mut Tally,
    start: usize,
    [reference, candidate]: Pair<'_>,
    among: impl Iterator<Item = usize>,
) {
    for i in among {
        let difference = (f64::from(candidate[i]) - f64::from(reference[i])).abs();
        if difference > tally.worst.threshold() {
            tally.worst.observe(difference, start + i);
        }
    }
}

/// Counts the pairs that are not finite, and gives the blocks with zeros in their place.
fn set_aside_nonfinite(tally: &mut Tally, start: usize, blocks: Pair<'_>) -> [Block; 2] {
    let [mut reference, mut candidate] = blocks.map(|block| *block);
    for (i, (r, c)) in reference.iter_mut().zip(&mut candidate).enumerate() {
        if observe_nonfinite(tally, start + i, (*r).into(), (*c).into()) {
            tally.finite -= 1;
            (*r, *c) = (0.0, 0.0);
        }
    }
    [reference, candidate]
}
