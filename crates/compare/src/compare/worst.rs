//! The worst elements of a comparison. Their ranking does not depend on thread scheduling.

use super::element::element;
use super::number;
use crate::tensor::{Tensor, multi_index};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// One element on which the tensors differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Worst {
    /// Its position along each axis.
    pub index: Vec<usize>,
    /// The reference's value. Integers beyond 2^53 are rounded, but `reference_bits` is exact.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub reference: f64,
    /// The candidate's value.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub candidate: f64,
    /// The reference's element as stored, in hexadecimal: `0x3f800000`.
    pub reference_bits: String,
    /// The candidate's element as stored.
    pub candidate_bits: String,
}

impl Worst {
    /// The pair at a flat position of two row-major tensors of one shape.
    pub(super) fn at(reference: &Tensor, candidate: &Tensor, flat: usize) -> Self {
        let (reference_number, reference_bits) = element(reference, flat);
        let (candidate_number, candidate_bits) = element(candidate, flat);
        Worst {
            index: multi_index(flat, reference.shape()),
            reference: reference_number.value(),
            candidate: candidate_number.value(),
            reference_bits,
            candidate_bits,
        }
    }
}

/// The most severe pairs seen so far, worst first.
#[derive(Debug)]
pub(super) struct WorstRanking {
    /// Severity and flat position. A disagreeing non-finite pair has infinite severity. A finite difference never
    /// has, because [`Ranking::observe`] caps it.
    ranked: Vec<(f64, usize)>,
    capacity: usize,
}

impl WorstRanking {
    pub(super) fn new(capacity: usize) -> Self {
        WorstRanking { ranked: Vec::new(), capacity }
    }

    /// Only a larger difference can enter the ranking, provided that positions arrive in order.
    pub(super) fn threshold(&self) -> f64 {
        match self.ranked.get(self.capacity.wrapping_sub(1)) {
            Some(&(severity, _)) => severity,
            None if self.capacity == 0 => f64::INFINITY,
            None => 0.0,
        }
    }

    /// Enters a pair of finite values that differ by `difference`.
    pub(super) fn observe(&mut self, difference: f64, flat: usize) {
        // Only the difference of two f64 can overflow. The cap keeps it less severe than a non-finite value.
        self.enter(difference.min(f64::MAX), flat);
    }

    /// Enters a disagreeing pair with a non-finite value.
    pub(super) fn observe_nonfinite(&mut self, flat: usize) {
        self.enter(f64::INFINITY, flat);
    }

    fn enter(&mut self, severity: f64, flat: usize) {
        let rank = |&(other, at): &(f64, usize)| match other.total_cmp(&severity) {
            Ordering::Equal => at < flat,
            order => order == Ordering::Greater,
        };
        let place = self.ranked.partition_point(rank);
        if place < self.capacity {
            self.ranked.insert(place, (severity, flat));
            self.ranked.truncate(self.capacity);
        }
    }

    pub(super) fn merge(&mut self, other: WorstRanking) {
        for (severity, flat) in other.ranked {
            self.enter(severity, flat);
        }
    }

    /// The flat positions, worst first.
    pub(super) fn positions(&self) -> impl Iterator<Item = usize> {
        self.ranked.iter().map(|&(_, flat)| flat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first_position() {
        let mut ranking = WorstRanking::new(3);
        for flat in [7, 3, 9, 1] {
            ranking.observe(1.0, flat);
        }
        ranking.observe(2.0, 8);
        ranking.observe_nonfinite(20);
        assert_eq!(ranking.positions().collect::<Vec<_>>(), [20, 8, 1]);
        assert_eq!(ranking.threshold(), 1.0);
    }
}
