//! Assigns roles from measurements: which operators introduce error and which only pass it on.

use super::error_summary::ErrorSummary;
use super::exactness::Exactness;
use super::measured::MeasuredOp;
use super::rounding_floor::{FLOOR_FACTOR, operator_floor};
use crate::tensor::Format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Error that grows by this factor counts as amplified, and error that shrinks by it as absorbed.
pub const FACTOR: f64 = 4.0;

/// An operator's part in the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The operator introduces error.
    Source,
    /// The operator passes error on.
    #[serde(rename = "carrier")]
    Propagator,
    /// The operator makes inherited error larger, honestly.
    Amplifier,
    /// The operator makes inherited error smaller.
    Absorber,
    /// The operator has no error.
    Clean,
}

impl Role {
    /// The role's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Role::Source => "source",
            Role::Propagator => "propagator",
            Role::Amplifier => "amplifier",
            Role::Absorber => "absorber",
            Role::Clean => "clean",
        }
    }

    /// The role in words for a reader of reports.
    pub fn meaning(self) -> &'static str {
        match self {
            Role::Source => "it introduces more error than rounding explains",
            Role::Propagator => "its inputs are off, and it is right on them",
            Role::Amplifier => "it is right, and makes the error of its inputs larger",
            Role::Absorber => "it makes the error of its inputs smaller",
            Role::Clean => "its whole error is at most twice the floor",
        }
    }
}

/// The role of every operator, given the candidate's storage.
pub fn assign_roles(measured: &[MeasuredOp], storage: Format) -> Vec<Role> {
    measured.iter().map(|measured| role(measured, storage)).collect()
}

fn role(measured: &MeasuredOp, storage: Format) -> Role {
    if is_accused(measured, storage) {
        return Role::Source;
    }
    let floor = operator_floor(storage, measured.exactness, measured.half);
    let Some(cumulative) = measured.cumulative else { return Role::Propagator };
    let inherited = measured.inherited.map_or(0.0, |error_summary| error_summary.rel_l2);
    if cumulative.disagreeing > 0 {
        return Role::Propagator;
    }
    if cumulative.rel_l2 <= 2.0 * floor {
        // Almost no error is left: was there error before?
        return if inherited > 2.0 * FACTOR * floor { Role::Absorber } else { Role::Clean };
    }
    let introduced = measured.introduced.map_or(0.0, |error_summary| error_summary.rel_l2);
    if cumulative.rel_l2 > FACTOR * (inherited + introduced).max(floor) {
        Role::Amplifier
    } else if FACTOR * cumulative.rel_l2 < inherited {
        Role::Absorber
    } else {
        Role::Propagator
    }
}

/// Whether an operator introduces error, given the candidate's storage.
///
/// If the bounds of its elements are known, the elements decide. A norm hides single wrong elements.
pub(super) fn is_accused(measured: &MeasuredOp, storage: Format) -> bool {
    let Some(introduced) = measured.introduced else { return false };
    let by_norm = || !measured.mixed && is_source(&introduced, measured, storage);
    let Some(found) = measured.excess.as_ref() else { return by_norm() };
    if found.mode.format != storage {
        // The elements were compared with the declared format. They accuse, and do not acquit.
        return (measured.mixed && found.is_source()) || by_norm();
    }
    let elsewhere = found.overflown < introduced.disagreeing && !is_rounded(&introduced, storage);
    let by_elements = found.is_source() || found.overflown > 0 || elsewhere;
    // If the engine does not declare its arithmetic, the bounds are guesses, and the norm is a second witness. It
    // accuses no operator whose elements are all within a few bounds of sums in f32.
    let is_bounded = found.excess <= BOUNDED && found.mode.accumulate == Format::F32;
    by_elements || (!found.declared && !is_bounded && by_norm())
}

/// Up to this many bounds no element accuses a device that does not declare its arithmetic, whatever the norm is. A
/// plain loop over 6,400 elements needs 3.7 if many of them are equal (`GlobalAveragePool` by ONNX Runtime).
const BOUNDED: f64 = 4.0;

fn is_rounded(introduced: &ErrorSummary, storage: Format) -> bool {
    introduced.explained_by.is_some_and(|found| storage.rounds_like(found.format))
}

/// The most that one operator may differ by in `f32` if sums and functions are free: a tenth of a network's limit.
const ONE_OPERATOR: f64 = 1e-5;

/// Whether the error is far above rounding, and beyond the storage's limit for one operator of this kind.
pub(super) fn is_source(introduced: &ErrorSummary, measured: &MeasuredOp, storage: Format) -> bool {
    // Integers and booleans are not rounded.
    if !measured.float {
        return introduced.mismatched > 0;
    }
    let rounding = is_rounded(introduced, storage);
    // A value that leaves the range of a format is not rounded.
    if introduced.disagreeing > 0 || rounding {
        return introduced.disagreeing > 0;
    }
    // The negation makes NaN count as out of range. Subnormals may be flushed.
    let is_normal = !(introduced.max_abs < f64::from(f32::MIN_POSITIVE));
    let floor = operator_floor(storage, measured.exactness, measured.half);
    let is_far = !(introduced.rel_l2 <= FLOOR_FACTOR * floor);
    match (storage, measured.exactness) {
        (Format::F32, Exactness::Exact) => is_normal,
        (Format::F32, Exactness::CorrectlyRounded) => is_far && is_normal,
        (Format::F32, Exactness::Approximate) => {
            is_far && !(introduced.is_within(storage) && introduced.rel_l2 <= ONE_OPERATOR)
        }
        _ => is_far && !introduced.is_within(storage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(introduced: f64, cumulative: f64, inherited: f64) -> MeasuredOp {
        let error_summary = |rel_l2: f64| ErrorSummary {
            rel_l2,
            max_abs: rel_l2,
            mismatched: u64::from(rel_l2 > 0.0),
            elements: 10,
            within_f32: rel_l2 < 1e-4,
            within_f16: rel_l2 < 1e-2,
            within_bf16: rel_l2 < 8e-2,
            ..ErrorSummary::ZERO
        };
        MeasuredOp {
            weights: None,
            index: 0,
            name: "op".into(),
            op_type: "Op".into(),
            backend: "cpu".into(),
            cumulative: Some(error_summary(cumulative)),
            inherited: Some(error_summary(inherited)),
            conversion: None,
            introduced: Some(error_summary(introduced)),
            excess: None,
            kernel: None,
            witness: None,
            by_witness: false,
            half: None,
            absmax: 1.0,
            nonfinite: None,
            lost: None,
            born: None,
            zero_signs: 0,
            handover: None,
            mixed: false,
            reads: Vec::new(),
            blind: false,
            patterns: vec![],
            error_profile: None,
            unchecked: None,
            float: true,
            exactness: Exactness::Approximate,
        }
    }

    #[test]
    fn roles_follow_from_three_errors() {
        let role_of = |i, c, h, storage| role(&measured(i, c, h), storage);
        assert_eq!(role_of(0.3, 0.3, 0.0, Format::F32), Role::Source);
        assert_eq!(role_of(0.3, 0.3, 0.0, Format::F16), Role::Source);
        assert_eq!(role_of(1e-3, 1e-3, 0.0, Format::F16), Role::Propagator);
        assert_eq!(role_of(0.0, 0.3, 0.3, Format::F32), Role::Propagator);
        assert_eq!(role_of(0.0, 0.3, 0.01, Format::F32), Role::Amplifier);
        assert_eq!(role_of(0.0, 0.01, 0.3, Format::F32), Role::Absorber);
        assert_eq!(role_of(0.0, 0.0, 0.3, Format::F32), Role::Absorber);
        assert_eq!(role_of(0.0, 0.0, 0.0, Format::F32), Role::Clean);
        assert_eq!(role_of(f64::NAN, 0.0, 0.0, Format::F32), Role::Source);
    }
    #[test]
    fn what_may_not_differ_at_all_is_held_to_it() {
        let accused = |rel_l2, exactness, storage| {
            is_accused(&MeasuredOp { exactness, ..measured(rel_l2, rel_l2, 0.0) }, storage)
        };
        // Within the tolerance of f32, but far more than one rounding.
        assert!(accused(9e-6, Exactness::Exact, Format::F32));
        assert!(accused(9e-6, Exactness::CorrectlyRounded, Format::F32));
        assert!(!accused(9e-6, Exactness::Approximate, Format::F32));
        assert!(accused(9e-5, Exactness::Approximate, Format::F32));
        assert!(!accused(9e-6, Exactness::Exact, Format::F16));
        // A flushed subnormal.
        assert!(!accused(1e-39, Exactness::Exact, Format::F32));
    }
}
