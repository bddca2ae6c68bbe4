//! The plain pass, one pair at a time, for `f64`, for integers and for non-finite pairs.

use super::element::numbers;
use super::metrics::same;
use super::tally::ChunkTally;
use super::{rounding, ulp};
use crate::tensor::{Number, Tensor};
use std::ops::Range;

/// Number of elements promoted at a time. A promoted element takes 32 bytes.
const BLOCK: usize = 1024;

/// Adds the pairs at the given positions of two row-major tensors.
pub(super) fn observe(
    tally: &mut ChunkTally,
    grid: &[f64],
    tensors: [&Tensor; 2],
    chunk: Range<usize>,
) {
    for start in chunk.clone().step_by(BLOCK) {
        let block = start..chunk.end.min(start + BLOCK);
        let [references, candidates] = tensors.map(|tensor| numbers(tensor, block.clone()));
        for ((flat, reference), candidate) in block.zip(references).zip(candidates) {
            match (reference, candidate) {
                (Number::Float(r), Number::Float(c)) => observe_floats(tally, grid, flat, r, c),
                (Number::Integer(r), Number::Integer(c)) => {
                    let difference = (c - r).unsigned_abs() as f64;
                    observe_finite(tally, grid, flat, [r as f64, c as f64], difference);
                }
                _ => unreachable!("floats are not compared with integers"),
            }
        }
    }
}

fn observe_floats(
    tally: &mut ChunkTally,
    grid: &[f64],
    flat: usize,
    reference: f64,
    candidate: f64,
) {
    if observe_nonfinite(tally, flat, reference, candidate) {
        return;
    }
    observe_finite(tally, grid, flat, [reference, candidate], (candidate - reference).abs());
    if reference != candidate {
        rounding::observe(&mut tally.explained, reference, candidate);
        tally.ulps.f32 = tally.ulps.f32.max(ulp::ulps_f32(reference, candidate));
        tally.ulps.f16 = tally.ulps.f16.max(ulp::ulps_f16(reference, candidate));
    }
}

/// Adds the pair if one of its values is non-finite, and returns whether that is so.
pub(super) fn observe_nonfinite(
    tally: &mut ChunkTally,
    flat: usize,
    reference: f64,
    candidate: f64,
) -> bool {
    let either = tally.nonfinite.observe(reference, candidate);
    if either && !same(reference, candidate) {
        tally.mismatched += 1;
        tally.worst.observe_nonfinite(flat);
        rounding::observe(&mut tally.explained, reference, candidate);
    }
    either
}

/// `difference` is |candidate − reference| before any rounding to `f64`.
fn observe_finite(
    tally: &mut ChunkTally,
    grid: &[f64],
    flat: usize,
    [reference, candidate]: [f64; 2],
    difference: f64,
) {
    tally.finite += 1;
    tally.sums.squared_reference.add(reference, reference);
    tally.sums.squared_candidate.add(candidate, candidate);
    tally.sums.product.add(reference, candidate);
    if difference == 0.0 {
        return;
    }
    tally.mismatched += 1;
    tally.sums.difference.add(difference, 1.0);
    if difference.is_finite() {
        tally.sums.squared_difference.add(difference, difference);
    } else {
        // Both numbers are finite, with opposite signs. Half of each is exact, so the halves' difference is finite.
        tally.sums.squared_difference.add_square_of_twice(candidate / 2.0 - reference / 2.0);
    }
    if reference != 0.0 {
        tally.max_rel = tally.max_rel.max(difference / reference.abs());
    }
    for (needed, rtol) in tally.needed.iter_mut().zip(grid) {
        *needed = needed.max(difference - rtol * reference.abs());
    }
    if difference > tally.worst.threshold() {
        tally.worst.observe(difference, flat);
    }
}
