//! The tally of one chunk of two tensors, and the merging of tallies into a comparison.

use super::frontier::{Frontier, FrontierPoint};
use super::metrics::Nonfinite;
use super::rounding::{Explained, HYPOTHESES};
use super::sum::{ProductSum, Wide};
use super::worst::WorstRanking;

/// Sums over the finite pairs of one block of `f32`. All their squares are of ordinary size.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BlockSums {
    /// Σ|d|
    pub(super) difference: f64,
    /// Σd²
    pub(super) squared_difference: f64,
    /// Σr²
    pub(super) squared_reference: f64,
    /// Σc²
    pub(super) squared_candidate: f64,
    /// Σr·c
    pub(super) product: f64,
}

/// The same sums over any finite pairs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    /// Σ|d|
    pub(super) difference: ProductSum,
    /// Σd²
    pub(super) squared_difference: ProductSum,
    /// Σr²
    pub(super) squared_reference: ProductSum,
    /// Σc²
    pub(super) squared_candidate: ProductSum,
    /// Σr·c
    pub(super) product: ProductSum,
}

impl Sums {
    pub(super) fn add(&mut self, block: &BlockSums) {
        self.difference.add_plain(block.difference);
        self.squared_difference.add_plain(block.squared_difference);
        self.squared_reference.add_plain(block.squared_reference);
        self.squared_candidate.add_plain(block.squared_candidate);
        self.product.add_plain(block.product);
    }

    pub(super) fn merge(&mut self, other: &Sums) {
        self.difference.merge(&other.difference);
        self.squared_difference.merge(&other.squared_difference);
        self.squared_reference.merge(&other.squared_reference);
        self.squared_candidate.merge(&other.squared_candidate);
        self.product.merge(&other.product);
    }

    /// Σd² / Σr², or 0 if both are 0.
    fn ratio(&self) -> Wide {
        let difference = self.squared_difference.total();
        if difference.is_zero() {
            difference
        } else {
            difference.over(self.squared_reference.total())
        }
    }

    /// Σd² / Σr².
    pub(super) fn nmse(&self) -> f64 {
        self.ratio().number()
    }

    /// ‖d‖₂ / ‖r‖₂, which fits an `f64` even if its square does not.
    pub(super) fn rel_l2(&self) -> f64 {
        self.ratio().sqrt().number()
    }

    /// The root of the mean of d² over `count` pairs.
    pub(super) fn rmse(&self, count: f64) -> f64 {
        self.squared_difference.total().per(count).sqrt().number()
    }

    /// The mean of |d| over `count` pairs.
    pub(super) fn mean_abs(&self, count: f64) -> f64 {
        self.difference.total().per(count).number()
    }

    /// The cosine of the angle between the tensors: 1 if they are equal, 0 if one is all zero.
    pub(super) fn cosine(&self) -> f64 {
        let length = |sum: &ProductSum| -> Wide { sum.total().sqrt() };
        let lengths = length(&self.squared_reference).times(length(&self.squared_candidate));
        match (self.squared_difference.total().is_zero(), lengths.is_zero()) {
            (true, _) => 1.0,
            (false, true) => 0.0,
            (false, false) => self.product.total().over(lengths).number().clamp(-1.0, 1.0),
        }
    }
}

/// The largest distances in units in the last place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ulps {
    pub(super) f32: u64,
    pub(super) f16: u64,
}

/// All measurements over one chunk.
#[derive(Debug)]
pub(super) struct ChunkTally {
    /// Number of pairs of finite values.
    pub(super) finite: u64,
    pub(super) mismatched: u64,
    pub(super) sums: Sums,
    pub(super) max_rel: f64,
    pub(super) ulps: Ulps,
    /// The least absolute tolerance for each relative tolerance of the grid.
    pub(super) needed: Vec<f64>,
    pub(super) nonfinite: Nonfinite,
    pub(super) explained: Explained,
    pub(super) worst: WorstRanking,
}

impl ChunkTally {
    /// An empty tally for a grid of `grid` relative tolerances and for `worst` worst elements.
    pub(super) fn new(grid: usize, worst: usize) -> Self {
        ChunkTally {
            finite: 0,
            mismatched: 0,
            sums: Sums::default(),
            max_rel: 0.0,
            ulps: Ulps::default(),
            needed: vec![0.0; grid],
            nonfinite: Nonfinite::default(),
            explained: [0; HYPOTHESES.len()],
            worst: WorstRanking::new(worst),
        }
    }

    /// Adds the tally of a later chunk.
    pub(super) fn merge(mut self, later: ChunkTally) -> Self {
        self.finite += later.finite;
        self.mismatched += later.mismatched;
        self.sums.merge(&later.sums);
        self.max_rel = self.max_rel.max(later.max_rel);
        self.ulps.f32 = self.ulps.f32.max(later.ulps.f32);
        self.ulps.f16 = self.ulps.f16.max(later.ulps.f16);
        for (needed, later) in self.needed.iter_mut().zip(later.needed) {
            *needed = needed.max(later);
        }
        self.nonfinite.merge(&later.nonfinite);
        for (count, later) in self.explained.iter_mut().zip(later.explained) {
            *count += later;
        }
        self.worst.merge(later.worst);
        self
    }

    /// The frontier over the grid that this tally was made for.
    pub(super) fn frontier(&self, grid: &[f64]) -> Frontier {
        Frontier(
            grid.iter()
                .zip(&self.needed)
                .map(|(&rtol, &atol)| FrontierPoint { rtol, atol })
                .collect(),
        )
    }
}
