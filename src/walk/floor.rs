//! What an honest backend with this storage format would introduce.

use super::contract::Operand;
use super::freedom::Freedom;
use super::gauge::Gauge;
pub use crate::tensor::Format as Storage;
use crate::tensor::{Rounding, Tensor, round_tensor};

/// Share of outputs that must be exact in a format to call it the storage.
const SHARE: f64 = 0.9;

/// Share that must be exact in a format that was declared: in 32 bits hardly any would be.
const SOME: f64 = 0.25;

/// The narrow formats, the one that holds fewest values first: what it holds, the next may hold too.
const NARROW: [Storage; 3] = [Storage::Bf16, Storage::F16, Storage::Tf32];

/// Outputs that must speak for a storage that was not declared: an operator computed in 16 bits writes
/// such values, too, and a small network has few others.
const WITNESSES: usize = 8;

/// Counts whose outputs are exactly values of a narrow format.
#[derive(Debug, Clone, Copy)]
pub struct StorageCensus {
    declared: Storage,
    /// Whether the declaration is believed whatever the values are.
    is_believed: bool,
    exact: [usize; NARROW.len()],
    all: usize,
}

impl StorageCensus {
    /// The census of a candidate that declares to store this format.
    pub fn new(declared: Storage) -> Self {
        StorageCensus { declared, is_believed: false, exact: [0; NARROW.len()], all: 0 }
    }

    /// The census of a simulated device, which stores what its document declares.
    pub fn of_simulated(declared: Storage) -> Self {
        StorageCensus { is_believed: true, ..StorageCensus::new(declared) }
    }

    /// The format that the candidate declares to store.
    pub(super) fn declared(&self) -> Storage {
        self.declared
    }

    /// Counts one output; tensors that could be exact in any format tell nothing.
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

    /// Whether enough outputs are of the declared format: a backend may hand the others to the CPU.
    fn keeps_its_word(&self) -> bool {
        let place = NARROW.iter().position(|format| *format == self.declared);
        place.is_some_and(|place| self.exact[place] as f64 >= SOME * self.all.max(1) as f64)
    }

    /// The format of most outputs; a narrow one that was not declared only where many show it.
    pub fn storage(&self) -> Storage {
        let most = |&count: &usize| self.all > 0 && count as f64 >= SHARE * self.all as f64;
        let narrow = self.exact.iter().position(most);
        match narrow.map(|place| NARROW[place]) {
            _ if self.is_believed => self.declared,
            None if self.keeps_its_word() => self.declared,
            None => Storage::F32,
            Some(_) if self.all < WITNESSES => self.declared,
            Some(format) => format,
        }
    }
}

/// Every element rounded to `f16`, toward zero as Vulkan's image stores do: of the two roundings
/// the one that costs more. Other element types stay as they are.
pub fn round_to_f16(tensor: &Tensor) -> Tensor {
    round_tensor(tensor, Storage::F16, Rounding::TowardZero)
}

/// The inputs as a 16-bit backend has them.
pub(super) fn round_operands(inputs: &[Operand]) -> Vec<Operand> {
    let round = |operand: &Operand| match operand {
        Operand::Value(tensor) => Operand::Value(round_to_f16(tensor)),
        other => other.clone(),
    };
    inputs.iter().map(round).collect()
}

/// Half an ulp of `f16` relative to its value: no storage in it is better than this.
const F16_ROUNDING: f64 = 1.0 / 4096.0;
/// An error of up to this many times its floor may be rounding; what is beyond is not.
pub const HONEST: f64 = 16.0;
/// For sums in another order and for fast functions, which real fp32 backends use.
const F32_MARGIN: f64 = 16.0;

/// The floor of an operator, given its freedom: what is rounded once needs no margin.
pub(super) fn operator_floor(storage: Storage, freedom: Freedom, half: Option<Gauge>) -> f64 {
    let floor = floor(storage, half);
    match (storage, freedom) {
        (Storage::F32, Freedom::Moves | Freedom::Once) => floor / F32_MARGIN,
        _ => floor,
    }
}

/// The floor of any computation in the format, from its error when executed with 16-bit inputs,
/// weights and outputs. Rounding errors are first order in epsilon, so that the floor of another format
/// is the same error on that format's scale: an operator that cancels has a high floor in all.
pub(super) fn floor(storage: Storage, half: Option<Gauge>) -> f64 {
    let half =
        half.filter(|gauge| gauge.disagreeing == 0).map_or(F16_ROUNDING, |gauge| gauge.rel_l2);
    let half = half.max(F16_ROUNDING);
    let scale = storage.epsilon() / Storage::F16.epsilon();
    match storage {
        Storage::F16 => half,
        // The range of `f16` cost it all: no number for a format that has the range of `f32`.
        Storage::Tf32 | Storage::Bf16 => half.min(1.0) * scale,
        Storage::F32 => half.min(1.0) * scale * F32_MARGIN,
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

    fn census(declared: Storage, values: &[f32], outputs: usize) -> Storage {
        let mut census = StorageCensus::new(declared);
        let tensor = Tensor::from_f32(&[values.len()], values.to_vec()).unwrap();
        (0..outputs).for_each(|_| census.observe(&tensor));
        census.storage()
    }

    #[test]
    fn whole_numbers_tell_nothing_of_the_storage() {
        assert_eq!(census(Storage::F32, &[1.0, 2.0], 20), Storage::F32);
        assert_eq!(census(Storage::F32, &[f32::NAN, f32::INFINITY], 20), Storage::F32);
        assert_eq!(census(Storage::F32, &[0.5, 0.099_975_586], 20), Storage::F16);
        assert_eq!(census(Storage::F16, &[0.5, 0.1], 1), Storage::F32);
    }

    #[test]
    fn few_outputs_prove_no_storage_that_was_not_declared() {
        let half = [0.5, 0.099_975_586];
        assert_eq!(census(Storage::F32, &half, 1), Storage::F32);
        assert_eq!(census(Storage::F16, &half, 1), Storage::F16);
        // Some operators ran on the CPU, and kept more.
        let mut mixed = StorageCensus::new(Storage::F16);
        for values in [[0.5, 0.1], half, [0.5, 0.3]] {
            mixed.observe(&Tensor::from_f32(&[2], values.to_vec()).unwrap());
        }
        assert_eq!(mixed.storage(), Storage::F16);
        // Coarse values are no bf16 where f16 is declared.
        assert_eq!(census(Storage::F16, &[0.5, 0.25], 1), Storage::F16);
    }

    #[test]
    fn the_census_names_every_format() {
        for format in [Storage::F32, Storage::F16, Storage::Bf16, Storage::Tf32] {
            // Beyond the range of f16, or tf32 could not be told from it.
            let values = [0.1, 1.0 / 3.0, 1e-7, 1e6]
                .map(|value: f64| crate::tensor::round(value, format, Rounding::TowardZero) as f32);
            assert_eq!(census(Storage::F32, &values, WITNESSES), format);
        }
    }

    #[test]
    fn floors_follow_the_epsilons() {
        let half = Gauge { rel_l2: 1e-3, ..Gauge::ZERO };
        assert_eq!(floor(Storage::F16, Some(half)), 1e-3);
        assert_eq!(floor(Storage::Tf32, Some(half)), 1e-3);
        assert_eq!(floor(Storage::Bf16, Some(half)), 8e-3);
        assert!((floor(Storage::F32, Some(half)) - 1e-3 * 16.0 / 8192.0).abs() < 1e-12);
    }
}
