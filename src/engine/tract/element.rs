//! Converts tensors to tract's and back.

use crate::graph::ValueName;
use crate::tensor::{Dtype, Tensor};
use tract_onnx::prelude::*;

/// Pairs of offby's and tract's element types with the same memory layout.
const DTYPES: &[(Dtype, DatumType)] = &[
    (Dtype::F32, DatumType::F32),
    (Dtype::F16, DatumType::F16),
    (Dtype::F64, DatumType::F64),
    (Dtype::I8, DatumType::I8),
    (Dtype::I16, DatumType::I16),
    (Dtype::I32, DatumType::I32),
    (Dtype::I64, DatumType::I64),
    (Dtype::U8, DatumType::U8),
    (Dtype::U16, DatumType::U16),
    (Dtype::U32, DatumType::U32),
    (Dtype::U64, DatumType::U64),
    (Dtype::Bool, DatumType::Bool),
];

/// Takes the tensor, because a large one should not exist twice.
pub(super) fn to_tract(tensor: Tensor) -> TractResult<tract_onnx::prelude::Tensor> {
    Ok(match tensor {
        Tensor::F32(array) => array.into(),
        Tensor::F16(array) => array.into(),
        Tensor::F64(array) => array.into(),
        Tensor::I8(array) => array.into(),
        Tensor::I16(array) => array.into(),
        Tensor::I32(array) => array.into(),
        Tensor::I64(array) => array.into(),
        Tensor::U8(array) => array.into(),
        Tensor::U16(array) => array.into(),
        Tensor::U32(array) => array.into(),
        Tensor::U64(array) => array.into(),
        Tensor::Bool(array) => array.into(),
        Tensor::Bf16(_) => return Err(TractError::msg("tract has no element type bf16")),
    })
}

pub(super) fn from_tract(name: &ValueName, value: &TValue) -> TractResult<Tensor> {
    let datum = value.datum_type();
    // tract returns shapes as symbolic dimensions; as numbers they are plain i64.
    let numbers = datum.is_tdim().then(|| value.cast_to::<i64>()).transpose()?;
    let value: &tract_onnx::prelude::Tensor = numbers.as_deref().unwrap_or(value);
    let datum = value.datum_type();
    let found = DTYPES.iter().find(|(_, theirs)| *theirs == datum);
    let (ours, _) = found
        .ok_or_else(|| TractError::msg(format!("output {name} has element type {datum:?}")))?;
    let plain = value.try_as_plain_ram()?;
    Ok(Tensor::from_bytes(*ours, value.shape(), plain.as_bytes())?)
}
