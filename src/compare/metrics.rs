//! What a comparison measures. Nothing here knows what is allowed.

use super::{Explanation, Frontier, Worst, number};
use crate::tensor::{Dtype, ShapeText, Tensor};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The differences of a candidate tensor from a reference tensor.
///
/// Error metrics are over the pairs of which both values are finite; the others are in
/// [`Nonfinite`], so that one infinity can neither hide nor drown the rest. With d = candidate −
/// reference and r = reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// How many elements each tensor has.
    pub elements: u64,
    /// Of how many pairs both values are finite.
    pub finite: u64,
    /// Elements whose values differ at all; NaN equals NaN and −0 equals 0.
    pub mismatched: u64,
    /// max |d|.
    #[serde(with = "number")]
    pub max_abs: f64,
    /// max |d| / |r| over r ≠ 0. Where r is 0 no ratio exists; `max_abs` covers those elements.
    #[serde(with = "number")]
    pub max_rel: f64,
    /// Mean of |d|.
    #[serde(with = "number")]
    pub mean_abs: f64,
    /// Root of the mean of d².
    #[serde(with = "number")]
    pub rmse: f64,
    /// Σd² / Σr²: 0 when both are 0, infinite when only Σr² is.
    #[serde(with = "number")]
    pub nmse: f64,
    /// ‖d‖₂ / ‖r‖₂, the root of `nmse`.
    #[serde(with = "number")]
    pub rel_l2: f64,
    /// Cosine of the angle between the tensors: 1 when both are all zero, 0 when one is.
    #[serde(with = "number")]
    pub cosine: f64,
    /// Largest distance in units in the last place once both values are rounded to `f32`; none for integers.
    pub max_ulp_f32: Option<u64>,
    /// The same after rounding to `f16`.
    pub max_ulp_f16: Option<u64>,
    /// NaN and infinities on either side.
    pub nonfinite: Nonfinite,
    /// The worst elements: disagreeing non-finite ones by position, then by |d|, largest first.
    pub worst: Vec<Worst>,
    /// The candidate's length and outermost elements: `[len: 1024] (0: 0) (1: 1) (-2: 4046) (-1: 4046)`.
    pub preview: String,
    /// The reference's.
    pub reference_preview: String,
    /// Median |r| of at most 4,096 evenly strided finite non-zero elements, 0 if there is none:
    /// a scale that no single outlier can blow up. Sentinels, such as masked scores, do not count.
    #[serde(with = "number")]
    pub typical: f64,
    /// The least absolute tolerance that every finite pair meets, for each of several relative ones.
    pub needed: Frontier,
    /// The storage format whose rounding of the reference is the candidate, if there is one.
    pub explained_by: Option<Explanation>,
}

/// 2^53: a larger integer may have been rounded when it was saved as one of the worst elements.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Comparison {
    /// Between what the least absolute tolerance that every finite pair meets beside `rtol` lies, as far as
    /// the saved numbers tell. Both are the same at the relative tolerances that were measured.
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
pub struct Nonfinite {
    /// Those of the reference.
    pub reference: Census,
    /// Those of the candidate.
    pub candidate: Census,
    /// Pairs with at least one of them that are neither both NaN nor the same infinity.
    pub disagreeing: u64,
}

/// How many elements of one tensor are not finite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Not a number.
    pub nan: u64,
    /// +∞.
    pub pos_inf: u64,
    /// −∞.
    pub neg_inf: u64,
}

impl Nonfinite {
    /// Counts one pair; false if both of its values are finite, and so its difference is to be measured.
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

/// Whether two values are the same: NaN is NaN, −0 is 0, and otherwise as `==` has it.
pub(super) fn same(reference: f64, candidate: f64) -> bool {
    reference == candidate || (reference.is_nan() && candidate.is_nan())
}

/// Why two tensors cannot be compared. Not compared never counts as agreed.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Incomparable {
    /// The shapes differ.
    #[error(
        "the reference has shape {}, the candidate {}",
        ShapeText(reference),
        ShapeText(candidate)
    )]
    Shape {
        /// Of the reference.
        reference: Vec<usize>,
        /// Of the candidate.
        candidate: Vec<usize>,
    },
    /// One holds floats, the other integers or booleans.
    #[error("the reference holds {reference}, the candidate {candidate}")]
    Dtype {
        /// Of the reference.
        reference: Dtype,
        /// Of the candidate.
        candidate: Dtype,
    },
    /// There are no elements, so nothing could disagree.
    #[error("shape {} has no elements to compare", ShapeText(shape))]
    Empty {
        /// Of both.
        shape: Vec<usize>,
    },
}

impl Incomparable {
    /// Why these two cannot be compared, if they cannot.
    ///
    /// # Errors
    /// The reason is the error.
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
