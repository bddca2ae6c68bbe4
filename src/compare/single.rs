//! The fast pass, block by block: for tensors whose elements all are exactly `f32`.
//!
//! The sums need every element. Maxima do not: a cheap upper bound of a block says whether it can
//! hold a new maximum, and only such a block, one in hundreds, is measured exactly.

use super::element::singles;
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

/// Adds the pairs at the given positions of two row-major tensors.
pub(super) fn observe(
    tally: &mut Tally,
    grid: &[f64],
    [reference, candidate]: [&Tensor; 2],
    chunk: Range<usize>,
) {
    let pass = Pass { arch: Arch::new(), grid };
    let mut scratch = [[0.0; BLOCK]; 2];
    for start in chunk.clone().step_by(BLOCK) {
        let block = start..chunk.end.min(start + BLOCK);
        let [left, right] = &mut scratch;
        let reference = singles(reference, block.clone(), left);
        let candidate = singles(candidate, block.clone(), right);
        tally.finite += block.len() as u64;
        pass.observe(tally, start, reference, candidate);
    }
}

struct Pass<'a> {
    arch: Arch,
    grid: &'a [f64],
}

impl Pass<'_> {
    /// Adds one block, filled up with pairs of zeros, whose first pair is at the flat position `start`.
    fn observe(&self, tally: &mut Tally, start: usize, reference: &Block, candidate: &Block) {
        let sums = kernel::sums(self.arch, reference, candidate);
        let energy = sums.squared_reference + sums.squared_candidate;
        if !energy.is_finite() {
            let (reference, candidate) = set_aside_nonfinite(tally, start, reference, candidate);
            return self.observe(tally, start, &reference, &candidate);
        }
        tally.sums.add(&sums);
        if sums.difference == 0.0 {
            return;
        }
        self.count(tally, reference, candidate);
        self.raise_maxima(tally, start, [reference, candidate], energy >= LARGE);
    }

    fn count(&self, tally: &mut Tally, reference: &Block, candidate: &Block) {
        let counts = kernel::counts(self.arch, reference, candidate);
        tally.mismatched += u64::from(counts.mismatched);
        tally.ulps.f32 = tally.ulps.f32.max(counts.ulps.into());
        // Rounding to f16 merges steps, and can part two values by one step more.
        if tally.ulps.f16 <= u64::from(counts.ulps) / STEPS_F16 {
            let ulps = kernel::ulps_f16(self.arch, reference, candidate);
            tally.ulps.f16 = tally.ulps.f16.max(ulps.into());
        }
        if counts.short > 0 {
            let explained = kernel::explained(self.arch, reference, candidate);
            for (count, more) in tally.explained.iter_mut().zip(explained) {
                *count += more;
            }
        }
    }

    fn raise_maxima(
        &self,
        tally: &mut Tally,
        start: usize,
        [reference, candidate]: [&Block; 2],
        large: bool,
    ) {
        let errors = Errors::new(self.arch, reference, candidate);
        let mut ceiling = errors.largest;
        for (needed, &rtol) in tally.needed.iter_mut().zip(self.grid) {
            // |d| − rtol·|r| falls as rtol grows: what one rtol does not reach, the larger ones do not either.
            if large || ceiling > *needed {
                ceiling = errors.bound(self.arch, rtol);
            }
            if large || ceiling > *needed {
                *needed = needed.max(kernel::needed(self.arch, reference, candidate, rtol));
            }
        }
        if large || errors.ratio_beyond(self.arch, tally.max_rel) {
            tally.max_rel = tally.max_rel.max(kernel::max_ratio(self.arch, reference, candidate));
        }
        if large {
            rank(tally, start, reference, candidate, 0..BLOCK);
        } else if errors.largest > tally.worst.threshold() {
            rank(tally, start, reference, candidate, errors.beyond(tally.worst.threshold()));
        }
    }
}

fn rank(
    tally: &mut Tally,
    start: usize,
    reference: &Block,
    candidate: &Block,
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
fn set_aside_nonfinite(
    tally: &mut Tally,
    start: usize,
    reference: &Block,
    candidate: &Block,
) -> (Block, Block) {
    let (mut reference, mut candidate) = (*reference, *candidate);
    for (i, (r, c)) in reference.iter_mut().zip(&mut candidate).enumerate() {
        if observe_nonfinite(tally, start + i, (*r).into(), (*c).into()) {
            tally.finite -= 1;
            (*r, *c) = (0.0, 0.0);
        }
    }
    (reference, candidate)
}
