//! One element: its exact value, the error of its roundings, and the resulting bound.

use super::mode::DeviceMode;
use crate::tensor::{Format, Rounding, round};

/// The factor of A. Honest sums need at most 1.13 in `f32` and 2.3 in `f16`, functions of real engines 2.7.
const MARGIN: f64 = 4.0;

/// With nearly equal addends the roundings repeat instead of cancelling. Honest sums, one addend after the other,
/// then need up to 0.25 n u times the sum of magnitudes.
const REPEATING: f64 = 0.3;

/// Addends count as nearly equal below this: n times the sum of squares over the square of the sum of magnitudes.
/// This ratio is 1 for equal addends and π/2 for normally distributed addends.
const ALIKE: f64 = 1.1;

/// The factor of the error of a plain loop. A loop in a different order, or in parts, loses about as much.
const LOOPS: f64 = 2.0;

/// The loss of an `f16` sum below the smallest normal value, for each rounding: half of 2⁻²⁴.
const SUBNORMAL_ROUNDING: f64 = 1.0 / 33_554_432.0;

/// The part of a step that is allowed without any rounding, because a bound must not be zero. Whole numbers have
/// steps of 1.
pub(super) const NOTHING: f64 = 0.125;

/// An element of an operator, computed in `f64`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ComputedElement {
    /// The exact result.
    pub(super) right: f64,
    /// A over u: the usual error of the roundings inside, in units of half a step of the sums.
    pub(super) unit: f64,
    /// The number of consecutive roundings.
    pub(super) terms: f64,
    /// The sum of the addends' magnitudes, if the addends are nearly equal; else 0.
    pub(super) alike: f64,
    /// The error of a plain loop over the addends in `f32`. Its roundings may repeat, if many addends are equal.
    pub(super) loop_error: f64,
    /// The roundings before the result is stored.
    pub(super) inside: Inside,
}

/// The roundings of an operator before its result is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// No rounding: values are moved or chosen.
    Nothing,
    /// The result is rounded to the format of the arithmetic.
    Result,
    /// Intermediate values are rounded.
    Parts,
}

/// How far an element may be from the exact result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bound {
    /// The allowed distance.
    pub(super) allowed: f64,
    /// Whether the format cannot hold the result.
    pub(super) overflows: bool,
}

/// The limits of an activation that an engine fuses into the operator before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// The smallest result.
    pub low: f64,
    /// The largest result.
    pub high: f64,
}

impl Clamp {
    /// No activation.
    pub const NONE: Clamp = Clamp { low: f64::NEG_INFINITY, high: f64::INFINITY };
    /// `Relu`.
    pub const RELU: Clamp = Clamp { low: 0.0, high: f64::INFINITY };

    /// A value after the activation.
    pub(super) fn of(self, value: f64) -> f64 {
        // `max` and `min` would drop NaN.
        if value.is_nan() { value } else { value.max(self.low).min(self.high) }
    }

    /// This clamp and then a second one.
    pub fn then(self, second: Clamp) -> Self {
        let limit = |value: f64| value.max(second.low).min(second.high);
        Clamp { low: limit(self.low), high: limit(self.high) }
    }
}

impl ComputedElement {
    /// A result that is exact until it is stored.
    pub(super) fn exact(right: f64) -> Self {
        ComputedElement {
            right,
            unit: 0.0,
            terms: 0.0,
            alike: 0.0,
            loop_error: 0.0,
            inside: Inside::Nothing,
        }
    }

    /// A result that is rounded once.
    pub(super) fn once(right: f64) -> Self {
        ComputedElement {
            right,
            unit: 0.0,
            terms: 1.0,
            alike: 0.0,
            loop_error: 0.0,
            inside: Inside::Result,
        }
    }

    /// A result of this many roundings.
    pub(super) fn rounded(right: f64, unit: f64, terms: f64) -> Self {
        ComputedElement { right, unit, terms, alike: 0.0, loop_error: 0.0, inside: Inside::Parts }
    }

    /// The sum of these addends.
    ///
    /// The error of a running sum is the sum of each rounding times the partial sum it rounds. R, the root of the
    /// addends' squares, and P, the largest partial sum in natural order, measure the partial sums.
    pub(super) fn sum(addends: &[f64]) -> Self {
        let (mut right, mut squares, mut magnitudes, mut largest) = (0.0f64, 0.0, 0.0, 0.0f64);
        let (mut there, mut plain) = (0.0, 0.0f32);
        for &addend in addends {
            plain += addend as f32;
            right += addend;
            squares += addend * addend;
            magnitudes += addend.abs();
            largest = largest.max(right.abs());
            there += f64::from(u8::from(addend != 0.0));
        }
        let n = addends.len().max(1) as f64;
        let is_alike = there * squares < ALIKE * magnitudes * magnitudes;
        ComputedElement {
            right,
            unit: n.sqrt() * (squares.sqrt() + largest),
            terms: n,
            alike: if is_alike { magnitudes } else { 0.0 },
            loop_error: (f64::from(plain) - right).abs(),
            inside: Inside::Parts,
        }
    }

    /// The same element after a clamp, which moves no two values further apart.
    pub(super) fn clamped(&self, clamp: Clamp) -> Self {
        ComputedElement { right: clamp.of(self.right), ..*self }
    }

    /// The bound for a device that computes and stores in this mode.
    pub(super) fn bound(&self, mode: &DeviceMode) -> Bound {
        let half = mode.accumulate == Format::F16;
        let subnormal = if half { self.terms.sqrt() * SUBNORMAL_ROUNDING } else { 0.0 };
        let often = MARGIN * (mode.unit() * self.unit + subnormal);
        let plain =
            if half || !self.loop_error.is_finite() { 0.0 } else { LOOPS * self.loop_error };
        let repeating = (REPEATING * self.terms * mode.unit() * self.alike).max(plain);
        let twice = match self.inside {
            // The arithmetic rounds the result, and storing rounds it again.
            Inside::Result if mode.format != mode.accumulate => mode.unit() * self.right.abs(),
            _ => 0.0,
        };
        let inside = often.max(repeating).max(twice);
        let stored = self.storage(mode, inside);
        let allowed = stored + inside;
        let overflows = self.right.is_finite() && self.right.abs() + allowed >= mode.format.max();
        Bound { allowed, overflows }
    }

    fn storage(&self, mode: &DeviceMode, inside: f64) -> f64 {
        let step = mode.format.step_at(self.right.abs() + inside);
        let is_below = self.right.abs() < mode.format.smallest_normal();
        let flushed = match (is_below, mode.flushes) {
            (false, _) => 0.0,
            (true, true) => mode.format.smallest_normal(),
            // Vectorized functions on a CPU flush intermediate values, regardless of the storage format.
            (true, false) => Format::F32.smallest_normal(),
        };
        let kept = round(self.right, mode.format, mode.rounding);
        let stored = match (self.inside, mode.rounding) {
            // A value that the format can hold stays unchanged.
            (Inside::Nothing, _) => (kept - self.right).abs().max(NOTHING * step),
            (Inside::Result, _) if kept == self.right => NOTHING * step,
            (_, Rounding::NearestEven) => step / 2.0,
            (_, Rounding::TowardZero) => step,
        };
        stored + flushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const F16: DeviceMode = DeviceMode {
        format: Format::F16,
        rounding: Rounding::NearestEven,
        accumulate: Format::F32,
        flushes: false,
    };

    #[test]
    fn one_rounding_costs_half_a_step() {
        let bound = ComputedElement::rounded(1.5, 0.0, 1.0).bound(&F16);
        assert_eq!(bound.allowed, 0.5 / 1024.0);
        assert!(!bound.overflows);
        let cut = DeviceMode { rounding: Rounding::TowardZero, ..F16 };
        assert_eq!(ComputedElement::rounded(1.5, 0.0, 1.0).bound(&cut).allowed, 1.0 / 1024.0);
    }

    #[test]
    fn what_is_only_moved_has_no_margin() {
        assert_eq!(ComputedElement::exact(1.5).bound(&F16).allowed, NOTHING / 1024.0);
        let third = ComputedElement::exact(f64::from(1.0f32 / 3.0)).bound(&F16);
        assert!(third.allowed <= 0.5 / 4096.0);
    }

    #[test]
    fn sums_are_measured_by_their_addends() {
        let signs = ComputedElement::sum(&[1.0, -1.0, 1.0, -1.0]);
        assert_eq!((signs.right, signs.unit), (0.0, 2.0 * (2.0 + 1.0)));
        assert_eq!(signs.alike, 4.0);
        assert_eq!(ComputedElement::sum(&[3.0, 0.1, -7.0]).alike, 0.0);
    }

    #[test]
    fn what_the_format_cannot_hold_overflows() {
        assert!(ComputedElement::exact(65520.0).bound(&F16).overflows);
        assert!(!ComputedElement::exact(65000.0).bound(&F16).overflows);
    }
}
