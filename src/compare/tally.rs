//! What one chunk of two tensors adds up to, and how chunks add up to a comparison.

use super::frontier::{Frontier, Needed};
use super::metrics::Nonfinite;
use super::rounding::{Explained, HYPOTHESES};
use super::worst::Ranking;

/// Sums over the finite pairs. Squares beyond the range of `f64`, which only `f64` tensors can have, are infinite.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
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

impl Sums {
    pub(super) fn add(&mut self, other: &Sums) {
        self.difference += other.difference;
        self.squared_difference += other.squared_difference;
        self.squared_reference += other.squared_reference;
        self.squared_candidate += other.squared_candidate;
        self.product += other.product;
    }

    /// Σd² / Σr²; 0 when both are 0.
    pub(super) fn nmse(&self) -> f64 {
        if self.squared_difference == 0.0 {
            0.0
        } else {
            self.squared_difference / self.squared_reference
        }
    }

    /// The cosine of the angle between the tensors: 1 when they are equal, 0 when one is all zero.
    pub(super) fn cosine(&self) -> f64 {
        let lengths = self.squared_reference.sqrt() * self.squared_candidate.sqrt();
        match (self.squared_difference == 0.0, lengths == 0.0) {
            (true, _) => 1.0,
            (false, true) => 0.0,
            (false, false) => (self.product / lengths).clamp(-1.0, 1.0),
        }
    }
}

/// The largest distances in units in the last place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ulps {
    pub(super) f32: u64,
    pub(super) f16: u64,
}

/// Everything measured over one chunk.
#[derive(Debug)]
pub(super) struct Tally {
    /// Pairs of finite values.
    pub(super) finite: u64,
    pub(super) mismatched: u64,
    pub(super) sums: Sums,
    pub(super) max_rel: f64,
    pub(super) ulps: Ulps,
    /// The least absolute tolerance for each relative one of the grid.
    pub(super) needed: Vec<f64>,
    pub(super) nonfinite: Nonfinite,
    pub(super) explained: Explained,
    pub(super) worst: Ranking,
}

impl Tally {
    /// Nothing seen yet, for a grid of so many relative tolerances and so many worst elements.
    pub(super) fn new(grid: usize, worst: usize) -> Self {
        Tally {
            finite: 0,
            mismatched: 0,
            sums: Sums::default(),
            max_rel: 0.0,
            ulps: Ulps::default(),
            needed: vec![0.0; grid],
            nonfinite: Nonfinite::default(),
            explained: [0; HYPOTHESES.len()],
            worst: Ranking::new(worst),
        }
    }

    /// Adds the tally of a later chunk.
    pub(super) fn merge(mut self, later: Tally) -> Self {
        self.finite += later.finite;
        self.mismatched += later.mismatched;
        self.sums.add(&later.sums);
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

    /// The frontier over the grid the tally was made for.
    pub(super) fn frontier(&self, grid: &[f64]) -> Frontier {
        Frontier(
            grid.iter().zip(&self.needed).map(|(&rtol, &atol)| Needed { rtol, atol }).collect(),
        )
    }
}
