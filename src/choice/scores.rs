//! Values behind choices, and the count of choices by how near they were.

use super::fed::Fed;
use crate::compare::{Tolerance, typical_magnitude};

/// Values, and the slack of each value.
#[derive(Debug, Clone)]
pub(super) struct Scores {
    pub(super) shape: Vec<usize>,
    /// The values in row-major order.
    pub(super) values: Vec<f64>,
    rtol: f64,
    atol: f64,
    pub(super) is_computed: bool,
}

/// How far apart two values are, how far apart they may be, and whether rounding explains the choice.
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

    /// By how much a value may be off.
    pub(super) fn slack(&self, value: f64) -> f64 {
        // No slack brings a number and an infinity together.
        if value.is_finite() { self.rtol * value.abs() + self.atol } else { 0.0 }
    }

    /// How near two of the values are. ONNX defines which of two equal values comes first: if they were not
    /// computed, rounding cannot part them.
    pub(super) fn between(&self, a: f64, b: f64) -> Distance {
        let margin = if a == b { 0.0 } else { (a - b).abs() };
        let distance = Distance::of(margin, self.slack(a) + self.slack(b));
        let may_part = self.is_computed || distance.margin > 0.0;
        Distance { is_explained: distance.is_explained && may_part, ..distance }
    }
}

impl Distance {
    /// A distance that cannot be measured, and that rounding does not explain.
    pub(super) const NONE: Distance =
        Distance { margin: f64::INFINITY, floor: 0.0, is_explained: false };

    pub(super) fn of(margin: f64, floor: f64) -> Self {
        Distance { margin, floor, is_explained: margin <= floor }
    }

    /// How far the distance is from being explained.
    fn excess(&self) -> f64 {
        match self.margin == 0.0 {
            true => 0.0,
            false => self.margin / self.floor,
        }
    }

    /// The distance that is nearer to being explained.
    pub(super) fn nearer(self, other: Self) -> Self {
        if self.further(other) == self { other } else { self }
    }

    /// The distance that is further from being explained; an unmeasurable distance is the furthest.
    pub(super) fn further(self, other: Self) -> Self {
        match (self.is_explained, other.is_explained) {
            (true, false) => other,
            (false, true) => self,
            // Also if the other margin is NaN.
            _ if self.excess() < other.excess() || other.margin.is_nan() => other,
            _ => self,
        }
    }
}

/// The counted choices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ChoiceTally {
    pub(super) changed: u64,
    pub(super) beyond: u64,
    pub(super) worst: Distance,
}

impl ChoiceTally {
    pub(super) fn new() -> Self {
        ChoiceTally { changed: 0, beyond: 0, worst: Distance::of(0.0, 0.0) }
    }

    /// Counts the distance that decided one choice.
    pub(super) fn decide(&mut self, distance: Distance) {
        self.beyond += u64::from(!distance.is_explained);
        self.worst = self.worst.further(distance);
    }
}
