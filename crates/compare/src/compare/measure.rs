//! The comparison pass: chunks run in parallel, and their tallies are merged in order.

use super::element::{fits_single, row_major};
use super::kernel::BLOCK;
use super::metrics::{Comparison, Incomparable};
use super::preview::preview;
use super::tally::ChunkTally;
use super::typical::typical_magnitude;
use super::worst::Worst;
use super::{frontier, rounding, scalar, single};
use crate::tensor::Tensor;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use std::ops::Range;

/// Number of chunks of a large tensor: enough to keep threads busy, few enough that maxima settle early in each.
const CHUNKS: usize = 64;
/// The fewest elements of a chunk. Waking a thread does not pay for less.
const LEAST_CHUNK: usize = 16 * BLOCK;

/// What to measure apart from the fixed metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompareOptions {
    /// How many of the worst elements to keep.
    pub worst: usize,
    /// A relative tolerance to measure the need for exactly, apart from the tolerances that are always measured.
    pub extra_rtol: Option<f64>,
}

impl Default for CompareOptions {
    fn default() -> Self {
        CompareOptions { worst: 5, extra_rtol: None }
    }
}

/// Measures how far the candidate is from the reference.
///
/// Floats of different width are compared as the wider type, integers of any type by value.
///
/// # Errors
/// If the tensors cannot be compared: their shapes differ, only one of them holds floats, or they have no elements.
pub fn compare(reference: &Tensor, candidate: &Tensor) -> Result<Comparison, Incomparable> {
    compare_with(reference, candidate, &CompareOptions::default())
}

/// [`compare`] with options.
///
/// # Errors
/// As for [`compare`].
pub fn compare_with(
    reference: &Tensor,
    candidate: &Tensor,
    options: &CompareOptions,
) -> Result<Comparison, Incomparable> {
    Incomparable::check(reference, candidate)?;
    let (reference, candidate) = (row_major(reference), row_major(candidate));
    let tensors = [&*reference, &*candidate];
    let grid = frontier::grid(options.extra_rtol);
    let observe = if tensors.iter().all(|tensor| fits_single(tensor.dtype())) {
        single::observe
    } else {
        scalar::observe
    };
    let tallies: Vec<ChunkTally> = chunks(reference.len())
        .into_par_iter()
        .map(|chunk| {
            let mut tally = ChunkTally::new(grid.len(), options.worst);
            observe(&mut tally, &grid, tensors, chunk);
            tally
        })
        .collect();
    let tally = tallies.into_iter().reduce(ChunkTally::merge).expect("there are elements");
    Ok(conclude(&tally, &grid, tensors))
}

/// Splits the elements by their number alone, so sums do not depend on the threads.
pub(super) fn chunks(len: usize) -> Vec<Range<usize>> {
    let size = len.div_ceil(CHUNKS).next_multiple_of(BLOCK).max(LEAST_CHUNK);
    (0..len).step_by(size).map(|start| start..len.min(start + size)).collect()
}

fn conclude(tally: &ChunkTally, grid: &[f64], [reference, candidate]: [&Tensor; 2]) -> Comparison {
    // Without a finite pair, all sums are 0, and so are their means.
    let count = tally.finite.max(1) as f64;
    let is_float = reference.dtype().is_float();
    Comparison {
        elements: reference.len() as u64,
        finite: tally.finite,
        mismatched: tally.mismatched,
        max_abs: tally.needed[0],
        max_rel: tally.max_rel,
        mean_abs: tally.sums.mean_abs(count),
        rmse: tally.sums.rmse(count),
        nmse: tally.sums.nmse(),
        rel_l2: tally.sums.rel_l2(),
        cosine: if tally.finite == 0 { 0.0 } else { tally.sums.cosine() },
        max_ulp_f32: is_float.then_some(tally.ulps.f32),
        max_ulp_f16: is_float.then_some(tally.ulps.f16),
        nonfinite: tally.nonfinite,
        worst: tally.worst.positions().map(|flat| Worst::at(reference, candidate, flat)).collect(),
        preview: preview(candidate),
        reference_preview: preview(reference),
        typical: typical_magnitude(reference),
        needed: tally.frontier(grid),
        explained_by: is_float
            .then(|| rounding::best(&tally.explained, tally.mismatched))
            .flatten(),
    }
}
