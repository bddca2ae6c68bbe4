//! The measurements of a comparison. Tolerances are not part of this module.

use super::{Explanation, Frontier, Worst, number};
use crate::tensor::{Dtype, ShapeText, Tensor};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The differences of a candidate tensor from a reference tensor.
///
/// Error metrics cover the pairs with two finite values. [`Nonfinite`] covers the other pairs, so one infinity can
/// neither hide nor drown the rest. Below, d = candidate − reference and r = reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Comparison {
    /// The number of elements of each tensor.
    pub elements: u64,
    /// The number of pairs with two finite values.
    pub finite: u64,
    /// Elements whose values differ at all; NaN equals NaN and −0 equals 0.
    pub mismatched: u64,
    /// max |d|.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub max_abs: f64,
    /// max |d| / |r| over r ≠ 0. No ratio exists for r = 0, but `max_abs` covers those elements.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub max_rel: f64,
    /// Mean of |d|.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub mean_abs: f64,
    /// Root of the mean of d².
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub rmse: f64,
    /// Σd² / Σr²: 0 if both sums are 0, infinite if only Σr² is 0.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub nmse: f64,
    /// ‖d‖₂ / ‖r‖₂, the root of `nmse`.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub rel_l2: f64,
    /// Cosine of the angle between the tensors: 1 if both are all zero, 0 if only one is.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub cosine: f64,
    /// Largest distance in units in the last place, after rounding both values to `f32`. `None` for integers.
    pub max_ulp_f32: Option<u64>,
    /// The same distance after rounding to `f16`.
    pub max_ulp_f16: Option<u64>,
    /// NaN and infinities on either side.
    pub nonfinite: Nonfinite,
    /// The worst elements: disagreeing non-finite pairs by position, then the other pairs by |d|, largest first.
    pub worst: Vec<Worst>,
    /// The candidate's length and outermost elements: `[len: 1024] (0: 0) (1: 1) (-2: 4046) (-1: 4046)`.
    pub preview: String,
    /// The same preview of the reference.
    pub reference_preview: String,
    /// Median |r| of at most 4,096 evenly strided, finite, non-zero elements, or 0 without such elements. No single
    /// outlier can inflate this scale. Sentinels, such as masked scores, do not count.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub typical: f64,
    /// The least absolute tolerance that every finite pair meets, for each of several relative tolerances.
    pub needed: Frontier,
    /// The storage format and rounding that best explain the candidate, if any format does.
    pub explained_by: Option<Explanation>,
}

/// 2^53. A larger integer may have been rounded when it was saved as one of the worst elements.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Comparison {
    /// The bounds of the least absolute tolerance that every finite pair meets at `rtol`, from the saved numbers.
    /// Both bounds are equal at the measured relative tolerances.
    pub fn needed_within(&self, rtol: f64) -> [f64; 2] {
        let [least, most] = self.needed.bounds(rtol);
        if least == most || most.is_nan() {
            return [least, most];
        }
        let exact = |worst: &&Worst| worst.reference.abs() < EXACT && worst.candidate.abs() < EXACT;
        let needs = |worst: &Worst| {
            (worst.candidate - worst.reference).abs() - rtol * worst.reference.abs()
        };
        let worst = self.worst.iter().filter(exact).map(needs).fold(0.0, f64::max);
        [least.max(worst - self.needed.slack()), most]
    }
}

/// Non-finite values on either side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Nonfinite {
    /// Non-finite values of the reference.
    pub reference: Census,
    /// Non-finite values of the candidate.
    pub candidate: Census,
    /// Pairs with a non-finite value that are neither both NaN nor the same infinity.
    pub disagreeing: u64,
}

/// Counts of the non-finite elements of one tensor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Census {
    /// Not a number.
    pub nan: u64,
    /// +∞.
    pub pos_inf: u64,
    /// −∞.
    pub neg_inf: u64,
}

impl Nonfinite {
    /// Counts one pair. Returns false if both values are finite, so the caller must measure their difference.
    pub(super) fn observe(&mut self, reference: f64, candidate: f64) -> bool {
        let either = !(reference.is_finite() && candidate.is_finite());
        if either {
            self.reference.observe(reference);
            self.candidate.observe(candidate);
            self.disagreeing += u64::from(!same(reference, candidate));
        }
        either
    }

    pub(super) fn merge(&mut self, other: &Nonfinite) {
        self.reference.merge(&other.reference);
        self.candidate.merge(&other.candidate);
        self.disagreeing += other.disagreeing;
    }
}

impl Census {
    fn observe(&mut self, value: f64) {
        self.nan += u64::from(value.is_nan());
        self.pos_inf += u64::from(value == f64::INFINITY);
        self.neg_inf += u64::from(value == f64::NEG_INFINITY);
    }

    fn merge(&mut self, other: &Census) {
        self.nan += other.nan;
        self.pos_inf += other.pos_inf;
        self.neg_inf += other.neg_inf;
    }
}

/// Whether two values are the same: NaN equals NaN, −0 equals 0, and `==` decides for all other values.
pub(super) fn same(reference: f64, candidate: f64) -> bool {
    reference == candidate || (reference.is_nan() && candidate.is_nan())
}

/// Why two tensors cannot be compared. Tensors of different form never count as agreeing.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Incomparable {
    /// The shapes differ.
    #[error(
        "the reference has shape {}, the candidate {}",
        ShapeText(reference),
        ShapeText(candidate)
    )]
    Shape {
        /// The reference's shape.
        reference: Vec<usize>,
        /// The candidate's shape.
        candidate: Vec<usize>,
    },
    /// One tensor holds floats, the other integers or booleans.
    #[error("the reference holds {reference}, the candidate {candidate}")]
    Dtype {
        /// The reference's element type.
        reference: Dtype,
        /// The candidate's element type.
        candidate: Dtype,
    },
    /// The tensors have no elements, so no element can differ.
    #[error("shape {} has no elements to compare", ShapeText(shape))]
    Empty {
        /// The shape of both tensors.
        shape: Vec<usize>,
    },
}

impl Incomparable {
    /// Checks that two tensors can be compared.
    ///
    /// # Errors
    /// The reason why the tensors cannot be compared.
    pub(super) fn check(reference: &Tensor, candidate: &Tensor) -> Result<(), Incomparable> {
        if reference.shape() != candidate.shape() {
            let (reference, candidate) = (reference.shape().to_vec(), candidate.shape().to_vec());
            return Err(Incomparable::Shape { reference, candidate });
        }
        if reference.dtype().is_float() != candidate.dtype().is_float() {
            let (reference, candidate) = (reference.dtype(), candidate.dtype());
            return Err(Incomparable::Dtype { reference, candidate });
        }
        if reference.is_empty() {
            return Err(Incomparable::Empty { shape: reference.shape().to_vec() });
        }
        Ok(())
    }
}
