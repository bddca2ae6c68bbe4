//! The error that an honest backend with a given storage format would introduce.

use super::contract::Operand;
use super::error_summary::ErrorSummary;
use super::exactness::Exactness;
use crate::tensor::{Format, Rounding, Tensor, round_tensor};

/// Share of outputs that must be exact in a format for that format to count as the storage.
const SHARE: f64 = 0.9;

/// Share of outputs that must be exact in a declared format. With 32-bit storage hardly any would be.
const SOME: f64 = 0.25;

/// The narrow formats, the one with the fewest values first. The next format may also hold that format's values.
const NARROW: [Format; 3] = [Format::Bf16, Format::F16, Format::Tf32];

/// The fewest outputs that can prove an undeclared storage. An operator computed in 16 bits also writes such values,
/// and a small network has few others.
const WITNESSES: usize = 8;

/// Counts the outputs that are exactly values of a narrow format.
#[derive(Debug, Clone, Copy)]
pub struct StorageCensus {
    declared: Format,
    /// Whether the declaration is believed regardless of the values.
    is_believed: bool,
    exact: [usize; NARROW.len()],
    all: usize,
}

impl StorageCensus {
    /// The census of a candidate that declares this storage format.
    pub fn new(declared: Format) -> Self {
        StorageCensus { declared, is_believed: false, exact: [0; NARROW.len()], all: 0 }
    }

    /// The census of a simulated device, which stores what its document declares.
    pub fn of_simulated(declared: Format) -> Self {
        StorageCensus { is_believed: true, ..StorageCensus::new(declared) }
    }

    /// The storage format that the candidate declares.
    pub(super) fn declared(&self) -> Format {
        self.declared
    }

    /// Counts one output. Tensors that could be exact in any format are ignored.
    pub fn observe(&mut self, output: &Tensor) {
        let Tensor::F32(array) = output else { return };
        let tells_nothing =
            |&value: &f32| !value.is_finite() || (value.fract() == 0.0 && value.abs() <= 2048.0);
        if array.iter().all(tells_nothing) {
            return;
        }
        self.all += 1;
        for (count, format) in self.exact.iter_mut().zip(NARROW) {
            *count += usize::from(array.iter().all(|&value| format.holds(value)));
        }
    }

    /// Whether enough outputs are exact in the declared format. A backend may hand the other operators to the CPU.
    fn keeps_its_word(&self) -> bool {
        let place = NARROW.iter().position(|format| *format == self.declared);
        place.is_some_and(|place| self.exact[place] as f64 >= SOME * self.all.max(1) as f64)
    }

    /// The format of most outputs. An undeclared narrow format counts only if many outputs show it.
    pub fn storage(&self) -> Format {
        let most = |&count: &usize| self.all > 0 && count as f64 >= SHARE * self.all as f64;
        let narrow = self.exact.iter().position(most);
        match narrow.map(|place| NARROW[place]) {
            _ if self.is_believed => self.declared,
            None if self.keeps_its_word() => self.declared,
            None => Format::F32,
            Some(_) if self.all < WITNESSES => self.declared,
            Some(format) => format,
        }
    }
}

/// Rounds every element to `f16`, toward zero as Vulkan's image stores do. This is the rounding that costs more. Other
/// element types stay unchanged.
pub fn round_to_f16(tensor: &Tensor) -> Tensor {
    round_tensor(tensor, Format::F16, Rounding::TowardZero)
}

/// The inputs rounded as in a 16-bit backend.
pub(super) fn round_operands(inputs: &[Operand]) -> Vec<Operand> {
    let round = |operand: &Operand| match operand {
        Operand::Value(tensor) => Operand::Value(round_to_f16(tensor)),
        other => other.clone(),
    };
    inputs.iter().map(round).collect()
}

/// Half an ulp of `f16` relative to the value: no `f16` storage is more exact.
const F16_ROUNDING: f64 = 1.0 / 4096.0;
/// An error up to this many times its floor may be rounding. A larger error is not.
pub const FLOOR_FACTOR: f64 = 16.0;
/// The margin for sums in a different order and for fast functions, which real fp32 backends use.
const F32_MARGIN: f64 = 16.0;

/// The floor of an operator, given its exactness. Results that are rounded once need no margin.
pub(super) fn operator_floor(
    storage: Format,
    exactness: Exactness,
    half: Option<ErrorSummary>,
) -> f64 {
    let floor = floor(storage, half);
    match (storage, exactness) {
        (Format::F32, Exactness::Exact | Exactness::CorrectlyRounded) => floor / F32_MARGIN,
        _ => floor,
    }
}

/// The floor of any computation in the format, from its error with 16-bit inputs, weights and outputs. Rounding errors
/// are first order in epsilon. So the floor of a different format is the same error on that format's scale. An operator
/// that cancels has a high floor in every format.
pub(super) fn floor(storage: Format, half: Option<ErrorSummary>) -> f64 {
    let half = half
        .filter(|error_summary| error_summary.disagreeing == 0)
        .map_or(F16_ROUNDING, |error_summary| error_summary.rel_l2);
    let half = half.max(F16_ROUNDING);
    let scale = storage.epsilon() / Format::F16.epsilon();
    match storage {
        Format::F16 => half,
        // An error above 1 comes from the range of `f16`. Formats with the range of `f32` do not have it.
        Format::Tf32 | Format::Bf16 => half.min(1.0) * scale,
        Format::F32 => half.min(1.0) * scale * F32_MARGIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toward_zero_never_grows() {
        for (value, expected) in
            [(4047.0, 4046.0), (-4047.0, -4046.0), (1.0, 1.0), (70000.0, 65504.0), (1e-9, 0.0)]
        {
            let row = Tensor::from_f32(&[1], vec![value]).unwrap();
            assert_eq!(round_to_f16(&row), Tensor::from_f32(&[1], vec![expected]).unwrap());
        }
    }

    fn census(declared: Format, values: &[f32], outputs: usize) -> Format {
        let mut census = StorageCensus::new(declared);
        let tensor = Tensor::from_f32(&[values.len()], values.to_vec()).unwrap();
        (0..outputs).for_each(|_| census.observe(&tensor));
        census.storage()
    }

    #[test]
    fn whole_numbers_tell_nothing_of_the_storage() {
        assert_eq!(census(Format::F32, &[1.0, 2.0], 20), Format::F32);
        assert_eq!(census(Format::F32, &[f32::NAN, f32::INFINITY], 20), Format::F32);
        assert_eq!(census(Format::F32, &[0.5, 0.099_975_586], 20), Format::F16);
        assert_eq!(census(Format::F16, &[0.5, 0.1], 1), Format::F32);
    }

    #[test]
    fn few_outputs_prove_no_storage_that_was_not_declared() {
        let half = [0.5, 0.099_975_586];
        assert_eq!(census(Format::F32, &half, 1), Format::F32);
        assert_eq!(census(Format::F16, &half, 1), Format::F16);
        // Some operators ran on the CPU and kept more bits.
        let mut mixed = StorageCensus::new(Format::F16);
        for values in [[0.5, 0.1], half, [0.5, 0.3]] {
            mixed.observe(&Tensor::from_f32(&[2], values.to_vec()).unwrap());
        }
        assert_eq!(mixed.storage(), Format::F16);
        // If f16 is declared, coarse values do not prove bf16.
        assert_eq!(census(Format::F16, &[0.5, 0.25], 1), Format::F16);
    }

    #[test]
    fn the_census_names_every_format() {
        for format in [Format::F32, Format::F16, Format::Bf16, Format::Tf32] {
            // Values beyond the range of f16 distinguish tf32 from it.
            let values = [0.1, 1.0 / 3.0, 1e-7, 1e6]
                .map(|value: f64| crate::tensor::round(value, format, Rounding::TowardZero) as f32);
            assert_eq!(census(Format::F32, &values, WITNESSES), format);
        }
    }

    #[test]
    fn floors_follow_the_epsilons() {
        let half = ErrorSummary { rel_l2: 1e-3, ..ErrorSummary::ZERO };
        assert_eq!(floor(Format::F16, Some(half)), 1e-3);
        assert_eq!(floor(Format::Tf32, Some(half)), 1e-3);
        assert_eq!(floor(Format::Bf16, Some(half)), 8e-3);
        assert!((floor(Format::F32, Some(half)) - 1e-3 * 16.0 / 8192.0).abs() < 1e-12);
    }
}
