//! Feeds from `.npy` and `.pb` files: taken as they are, or refused with the conversion to make.

use super::InputError;
use crate::graph::{ResolvedInput, read_tensor_proto};
use crate::tensor::{Dtype, Tensor, read_npy};
use half::bf16;
use std::path::Path;

/// Reads a `.npy` file that must have the input's element type and shape.
pub(super) fn npy(path: &Path, input: &ResolvedInput) -> Result<Tensor, InputError> {
    accept(read_npy(path)?, path, input)
}

/// Reads a `.pb` file that must have the input's element type and shape.
pub(super) fn pb(path: &Path, input: &ResolvedInput) -> Result<Tensor, InputError> {
    accept(read_tensor_proto(path)?, path, input)
}

/// The tensor of a file, where it fits the input as it is.
pub(super) fn accept(
    tensor: Tensor,
    path: &Path,
    input: &ResolvedInput,
) -> Result<Tensor, InputError> {
    let (found, wanted) = (tensor.dtype(), input.dtype);
    let tensor = exactly_bf16(tensor, wanted);
    if tensor.dtype() != wanted {
        return Err(InputError::FileDtype {
            name: input.name.clone(),
            path: path.to_owned(),
            found,
            wanted,
        });
    }
    if tensor.shape() != input.shape {
        return Err(InputError::FileShape {
            name: input.name.clone(),
            path: path.to_owned(),
            found: tensor.shape().to_vec(),
            wanted: input.shape.clone(),
        });
    }
    Ok(tensor)
}

/// numpy has no bf16, so it travels as f32: taken back where no value would change.
fn exactly_bf16(tensor: Tensor, wanted: Dtype) -> Tensor {
    let unchanged = |value: &f32| bf16::from_f32(*value).to_f32().to_bits() == value.to_bits();
    match tensor {
        Tensor::F32(array) if wanted == Dtype::Bf16 && array.iter().all(unchanged) => {
            Tensor::Bf16(array.mapv(bf16::from_f32))
        }
        other => other,
    }
}
