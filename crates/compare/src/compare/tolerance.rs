//! Tolerances as data: one row per storage format.

use super::metrics::Comparison;
use serde::{Deserialize, Serialize};

/// An element passes if |d| ≤ `rtol`·|r| + max(`atol`, `atol_typical`·typical). Here typical is
/// [`Comparison::typical`], so the absolute part follows the tensor's scale, not its largest value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tolerance {
    /// The part relative to the reference element.
    pub rtol: f64,
    /// The absolute part.
    pub atol: f64,
    /// The absolute part in units of the typical magnitude.
    pub atol_typical: f64,
}

impl Tolerance {
    /// Only equality passes.
    pub const EXACT: Tolerance = Tolerance { rtol: 0.0, atol: 0.0, atol_typical: 0.0 };

    /// Results in `f64`.
    pub const F64: Tolerance = share(1e-9);
    /// Results in `f32`.
    pub const F32: Tolerance = share(1e-4);
    /// Results that a device stores in `f16`.
    pub const F16: Tolerance = share(1e-2);
    /// Results that a device stores in `bf16`.
    pub const BF16: Tolerance = share(8e-2);

    /// A user's tolerance: an absolute and a relative part.
    pub fn user(atol: f64, rtol: f64) -> Self {
        Tolerance { rtol, atol, atol_typical: 0.0 }
    }

    /// The absolute part for a tensor of this typical magnitude. NaN if any term is NaN, and
    /// NaN allows no difference.
    pub fn absolute(&self, typical: f64) -> f64 {
        let scaled = self.atol_typical * typical;
        if self.atol >= scaled {
            self.atol
        } else if self.atol.is_nan() {
            f64::NAN
        } else {
            scaled
        }
    }

    /// Whether a finite pair passes, given |d| and the reference.
    pub fn allows(&self, difference: f64, reference: f64, typical: f64) -> bool {
        // Written in the frontier's form, so counting and judging agree.
        difference - self.rtol * reference.abs() <= self.absolute(typical)
    }

    /// Whether every pair of a comparison passes. Disagreeing non-finite pairs never pass.
    pub fn is_met_by(&self, comparison: &Comparison) -> bool {
        comparison.nonfinite.disagreeing == 0
            && comparison.needed.least_atol(self.rtol) <= self.absolute(comparison.typical)
    }
}

/// A storage format, and the tolerance of results stored in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Storage {
    /// The name, such as `f32`, `bf16` or `integer`.
    pub name: &'static str,
    /// The tolerance of the format.
    pub tolerance: Tolerance,
    /// Why the tolerance has this size.
    pub reason: &'static str,
}

/// The storage formats that offby knows.
pub const STORAGE: [Storage; 6] = [
    row("f64", Tolerance::F64, "sums in a different order differ in the last of 16 digits"),
    row("f32", Tolerance::F32, "sums in a different order and fast functions cost 3 of 7 digits"),
    row("tf32", Tolerance::F16, "11 bits of significand, as f16"),
    row(
        "f16",
        Tolerance::F16,
        "11 bits of significand: 5e-4 for each rounding, and there are many in a row",
    ),
    row(
        "bf16",
        Tolerance::BF16,
        "8 bits of significand: 4e-3 for each rounding, and there are many in a row",
    ),
    row("integer", Tolerance::EXACT, "integers are exact"),
];

/// The same share of the element and of the typical magnitude.
const fn share(share: f64) -> Tolerance {
    Tolerance { rtol: share, atol: 0.0, atol_typical: share }
}

const fn row(name: &'static str, tolerance: Tolerance, reason: &'static str) -> Storage {
    Storage { name, tolerance, reason }
}

impl Storage {
    /// The row of this name. All integer and boolean element types use the row `integer`.
    pub fn named(name: &str) -> Option<&'static Storage> {
        let integer =
            matches!(name, "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "bool");
        let name = if integer { "integer" } else { name };
        STORAGE.iter().find(|storage| storage.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::frontier::GRID;
    use crate::tensor::Dtype;

    #[test]
    fn every_row_is_judged_at_a_grid_point() {
        for storage in STORAGE {
            assert!(GRID.contains(&storage.tolerance.rtol), "{}", storage.name);
        }
    }

    #[test]
    fn every_element_type_has_a_row() {
        for dtype in
            [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I64, Dtype::U8, Dtype::Bool]
        {
            assert!(Storage::named(dtype.name()).is_some(), "{dtype}");
        }
        assert_eq!(Storage::named("i32").unwrap().tolerance, Tolerance::EXACT);
    }

    #[test]
    fn nan_allows_nothing() {
        for tolerance in [Tolerance::user(f64::NAN, 0.0), Tolerance::user(0.0, f64::NAN)] {
            assert!(!tolerance.allows(0.0, 1.0, 1.0));
        }
        assert!(!Tolerance { atol_typical: 1.0, ..Tolerance::EXACT }.allows(0.0, 1.0, f64::NAN));
    }
}
