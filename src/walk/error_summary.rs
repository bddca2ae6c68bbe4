//! The size of an error, small enough to keep for every operator.

use crate::compare::{CompareOptions, Comparison, Explanation, STORAGE, compare_with};
use crate::tensor::Format;
use crate::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The difference between two tensors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorSummary {
    /// ‖d‖₂ / ‖r‖₂ over pairs that are both finite; 1 if only the reference is all zero.
    pub rel_l2: f64,
    /// max |d|.
    pub max_abs: f64,
    /// Elements that differ at all.
    pub mismatched: u64,
    /// All elements.
    pub elements: u64,
    /// Pairs with exactly one finite value, or with two non-finite values that differ.
    pub disagreeing: u64,
    /// Whether a 32-bit backend may differ by this much (`compare::STORAGE`).
    pub within_f32: bool,
    /// Whether a 16-bit backend may differ by this much. The tolerance of `tf32` is the same.
    pub within_f16: bool,
    /// Whether a `bf16` backend may differ by this much.
    pub within_bf16: bool,
    /// The rounding that explains every difference, if there is one.
    pub explained_by: Option<Explanation>,
}

impl ErrorSummary {
    /// An error summary without error.
    pub const ZERO: ErrorSummary = ErrorSummary {
        rel_l2: 0.0,
        max_abs: 0.0,
        mismatched: 0,
        elements: 0,
        disagreeing: 0,
        within_f32: true,
        within_f16: true,
        within_bf16: true,
        explained_by: None,
    };

    /// Whether a backend that stores this format may differ by this much.
    pub fn is_within(&self, storage: Format) -> bool {
        match storage {
            Format::F32 => self.within_f32,
            Format::F16 | Format::Tf32 => self.within_f16,
            Format::Bf16 => self.within_bf16,
        }
    }

    /// Whether a value is further off than honest kernels in `f32` are.
    pub fn is_off(&self) -> bool {
        !self.within_f32 || self.disagreeing > 0
    }

    /// The larger of two errors.
    pub fn worse(self, other: ErrorSummary) -> ErrorSummary {
        let key =
            |error_summary: &ErrorSummary| (error_summary.disagreeing > 0, error_summary.rel_l2);
        if key(&other) > key(&self) { other } else { self }
    }
}

/// Summaries a candidate against a reference; `None` if they cannot be compared.
pub fn error_summary(reference: &Tensor, candidate: &Tensor) -> Option<ErrorSummary> {
    if reference.is_empty() && reference.shape() == candidate.shape() {
        return Some(ErrorSummary::ZERO);
    }
    let options = CompareOptions { worst: 0, extra_rtol: None };
    compare_with(reference, candidate, &options).ok().map(|comparison| reduce(&comparison))
}

fn reduce(comparison: &Comparison) -> ErrorSummary {
    let within = |name: &str| {
        let row = STORAGE.iter().find(|row| row.name == name).expect("the table has this row");
        comparison.mismatched == 0 || (comparison.finite > 0 && row.tolerance.is_met_by(comparison))
    };
    ErrorSummary {
        rel_l2: if comparison.rel_l2.is_finite() { comparison.rel_l2 } else { 1.0 },
        max_abs: comparison.max_abs,
        mismatched: comparison.mismatched,
        elements: comparison.elements,
        disagreeing: comparison.nonfinite.disagreeing,
        within_f32: within("f32"),
        within_f16: within("f16"),
        within_bf16: within("bf16"),
        explained_by: comparison.explained_by.filter(|explanation| explanation.share == 1.0),
    }
}
