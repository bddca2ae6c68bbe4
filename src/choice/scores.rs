//! Values that choices are made from, and the count of choices by how near they were.

use super::Fed;
use crate::compare::{Tolerance, typical_magnitude};

/// Values, and what each of them may be off by.
#[derive(Debug, Clone)]
pub(super) struct Scores {
    pub(super) shape: Vec<usize>,
    /// In row-major order.
    pub(super) values: Vec<f64>,
    rtol: f64,
    atol: f64,
    pub(super) is_computed: bool,
}

/// How far apart two values are, how far apart they may be, and what follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Distance {
    pub(super) margin: f64,
    pub(super) floor: f64,
    pub(super) is_explained: bool,
}

impl Scores {
    pub(super) fn of(fed: &Fed, allowed: &Tolerance) -> Self {
        Scores {
            shape: fed.tensor.shape().to_vec(),
            values: fed.tensor.numbers(1),
            rtol: allowed.rtol,
            atol: allowed.absolute(typical_magnitude(&fed.tensor)),
            is_computed: fed.is_computed,
        }
    }

    /// What a value may be off by.
    pub(super) fn slack(&self, value: f64) -> f64 {
        // Nothing brings a number and an infinity together.
        if value.is_finite() { self.rtol * value.abs() + self.atol } else { 0.0 }
    }

    /// How near two of the values are. ONNX says which of equal ones comes first: where nothing was
    /// computed, nothing parts them.
    pub(super) fn between(&self, a: f64, b: f64) -> Distance {
        let margin = if a == b { 0.0 } else { (a - b).abs() };
        let distance = Distance::of(margin, self.slack(a) + self.slack(b));
        let may_part = self.is_computed || distance.margin > 0.0;
        Distance { is_explained: distance.is_explained && may_part, ..distance }
    }
}

impl Distance {
    /// What cannot be measured, which nothing explains.
    pub(super) const NONE: Distance =
        Distance { margin: f64::INFINITY, floor: 0.0, is_explained: false };

    pub(super) fn of(margin: f64, floor: f64) -> Self {
        Distance { margin, floor, is_explained: margin <= floor }
    }

    /// How far from being explained.
    fn excess(&self) -> f64 {
        match self.margin == 0.0 {
            true => 0.0,
            false => self.margin / self.floor,
        }
    }

    /// The one that is nearer to being explained.
    pub(super) fn nearer(self, other: Self) -> Self {
        if self.further(other) == self { other } else { self }
    }

    /// The one that is further from being explained; what cannot be measured is furthest.
    pub(super) fn further(self, other: Self) -> Self {
        match (self.is_explained, other.is_explained) {
            (true, false) => other,
            (false, true) => self,
            // Also where this one is NaN.
            _ if self.excess() < other.excess() || other.margin.is_nan() => other,
            _ => self,
        }
    }
}

/// Choices, counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tally {
    pub(super) changed: u64,
    pub(super) beyond: u64,
    pub(super) worst: Distance,
}

impl Tally {
    pub(super) fn new() -> Self {
        Tally { changed: 0, beyond: 0, worst: Distance::of(0.0, 0.0) }
    }

    /// Counts what decided one choice.
    pub(super) fn decide(&mut self, distance: Distance) {
        self.beyond += u64::from(!distance.is_explained);
        self.worst = self.worst.further(distance);
    }
}
