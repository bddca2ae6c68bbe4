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

const INFINITY: u32 = f32::INFINITY.to_bits();
/// The bits of 2^90: from here on the scaled bounds of [`Errors`] may overflow.
const LARGE: u32 = (127 + 90) << 23;
/// Steps of `f32` that `f16` takes as one, at least.
const STEPS_F16: u64 = 1 << 13;

/// Adds the pairs at the given positions of two row-major tensors.
pub(super) fn observe(tally: &mut Tally, grid: &[f64], [reference, candidate]: [&Tensor; 2], chunk: Range<usize>) {
    let mut pass = Pass { arch: Arch::new(), grid, errors: Errors::new() };
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
    errors: Errors,
}

impl Pass<'_> {
    /// Adds one block, filled up with pairs of zeros, whose first pair is at the flat position `start`.
    fn observe(&mut self, tally: &mut Tally, start: usize, reference: &Block, candidate: &Block) {
        let survey = kernel::survey(self.arch, reference, candidate);
        if survey.largest >= INFINITY {
            let (reference, candidate) = set_aside_nonfinite(tally, start, reference, candidate);
            return self.observe(tally, start, &reference, &candidate);
        }
        if survey.identical {
            let energy = kernel::energy(self.arch, reference);
            tally.sums.squared_reference += energy;
            tally.sums.squared_candidate += energy;
            tally.sums.product += energy;
            return;
        }
        tally.sums.add(&kernel::sums(self.arch, reference, candidate));
        self.count(tally, reference, candidate);
        self.raise_maxima(tally, start, [reference, candidate], survey.largest >= LARGE);
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

    fn raise_maxima(&mut self, tally: &mut Tally, start: usize, [reference, candidate]: [&Block; 2], large: bool) {
        self.errors.fill(self.arch, reference, candidate);
        let worst = self.errors.bound(self.arch, 0.0);
        for (needed, &rtol) in tally.needed.iter_mut().zip(self.grid) {
            // What |d| alone does not reach, less than |d| does not either.
            if large || (worst > *needed && self.errors.bound(self.arch, rtol) > *needed) {
                *needed = needed.max(kernel::needed(self.arch, reference, candidate, rtol));
            }
        }
        if large || self.errors.ratio_beyond(self.arch, tally.max_rel) {
            tally.max_rel = tally.max_rel.max(kernel::max_ratio(self.arch, reference, candidate));
        }
        let threshold = tally.worst.threshold();
        if (large || worst > threshold) && kernel::needed(self.arch, reference, candidate, 0.0) > threshold {
            rank(tally, start, reference, candidate);
        }
    }
}

fn rank(tally: &mut Tally, start: usize, reference: &Block, candidate: &Block) {
    for (i, (&r, &c)) in reference.iter().zip(candidate).enumerate() {
        let difference = (f64::from(c) - f64::from(r)).abs();
        if difference > tally.worst.threshold() {
            tally.worst.observe(difference, start + i);
        }
    }
}

/// Counts the pairs that are not finite, and gives the blocks with zeros in their place.
fn set_aside_nonfinite(tally: &mut Tally, start: usize, reference: &Block, candidate: &Block) -> (Block, Block) {
    let (mut reference, mut candidate) = (*reference, *candidate);
    for (i, (r, c)) in reference.iter_mut().zip(&mut candidate).enumerate() {
        if observe_nonfinite(tally, start + i, (*r).into(), (*c).into()) {
            tally.finite -= 1;
            (*r, *c) = (0.0, 0.0);
        }
    }
    (reference, candidate)
}
