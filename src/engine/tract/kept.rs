//! How engines may store the operands of a node.

use crate::bounds::{Activations, Arithmetic, Excess};
use crate::tensor::{Format, Rounding, Tensor, round_tensor};

/// How an engine may store a node's operands. Values that the engine stored are already in its format, so rounding
/// them again has no effect. The engine may store fed values in a different format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OperandStorage {
    AsTheyAre,
    RoundedConstants(Format, Rounding),
    Rounded(Format, Rounding),
    /// The first operand is quantized while the engine runs.
    Quantized(Activations),
}

impl OperandStorage {
    /// The operand at this place, which is no constant.
    pub(super) fn value(self, place: usize, tensor: &Tensor) -> Tensor {
        match self {
            OperandStorage::Quantized(way) if place == 0 => way.quantize(tensor),
            OperandStorage::AsTheyAre
            | OperandStorage::RoundedConstants(..)
            | OperandStorage::Quantized(_) => tensor.clone(),
            OperandStorage::Rounded(format, rounding) => round_tensor(tensor, format, rounding),
        }
    }

    pub(super) fn constant(self, tensor: &Tensor) -> Tensor {
        match self {
            OperandStorage::AsTheyAre | OperandStorage::Quantized(_) => tensor.clone(),
            OperandStorage::RoundedConstants(format, rounding)
            | OperandStorage::Rounded(format, rounding) => round_tensor(tensor, format, rounding),
        }
    }

    /// The result of a comparison, and how the operands were kept.
    pub(super) fn noted(self, found: Excess) -> Excess {
        match self {
            OperandStorage::AsTheyAre => found,
            OperandStorage::RoundedConstants(format, _) | OperandStorage::Rounded(format, _) => {
                Excess { operands: Some(format), ..found }
            }
            OperandStorage::Quantized(way) => Excess { activations: Some(way), ..found },
        }
    }
}

/// The operators that tensor cores compute. Nothing else rounds its operands and keeps 32 bits.
pub(super) const OF_TENSOR_CORES: [&str; 4] = ["Conv", "ConvTranspose", "Gemm", "MatMul"];

/// Operands in 16 bits, and sums and results in 32: what NVIDIA's tensor cores do.
pub(super) fn mixed_precision() -> (OperandStorage, Arithmetic) {
    (OperandStorage::Rounded(Format::F16, Rounding::NearestEven), Arithmetic::storing(Format::F32))
}

/// Whether every element is a value of the format.
pub(super) fn holds(format: Format, tensor: &Tensor) -> bool {
    match tensor {
        Tensor::F32(array) => array.iter().all(|&value| format.holds(value)),
        _ => true,
    }
}

/// Possible ways of storing operands, the most likely first. Each way is computed and named: one tolerance wide
/// enough for all of them would hide swapped channels.
pub(super) fn hypotheses(arithmetic: &Arithmetic) -> Vec<(OperandStorage, Arithmetic)> {
    let is_wide = arithmetic.format == Format::F32;
    let may = |rounding: Rounding| arithmetic.rounding.is_none_or(|declared| declared == rounding);
    let mut all = Vec::new();
    if is_wide {
        all.push((OperandStorage::AsTheyAre, *arithmetic));
        // Engines may keep weights in 16 bits although they store values in 32.
        let weights = OperandStorage::RoundedConstants(Format::F16, Rounding::NearestEven);
        all.extend(arithmetic.rounding.is_none().then_some((weights, *arithmetic)));
        return all;
    }
    for of in [OperandStorage::Rounded, OperandStorage::RoundedConstants] {
        for rounding in
            [Rounding::NearestEven, Rounding::TowardZero].into_iter().filter(|r| may(*r))
        {
            let one = Arithmetic { rounding: Some(rounding), ..*arithmetic };
            all.push((of(arithmetic.format, rounding), one));
        }
    }
    all.push((OperandStorage::AsTheyAre, *arithmetic));
    all
}
