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

pub(super) fn to_tract(tensor: &Tensor) -> TractResult<tract_onnx::prelude::Tensor> {
    let dtype = tensor.dtype();
    let found = DTYPES.iter().find(|(ours, _)| *ours == dtype);
    let (_, theirs) =
        found.ok_or_else(|| TractError::msg(format!("tract has no element type {dtype}")))?;
    from_bytes(*theirs, tensor.shape(), &tensor.to_bytes())
}

fn from_bytes(
    datum: DatumType,
    shape: &[usize],
    bytes: &[u8],
) -> TractResult<tract_onnx::prelude::Tensor> {
    let mut made = tract_onnx::prelude::Tensor::zero_dt(datum, shape)?;
    made.try_as_plain_ram_mut()?.as_bytes_mut().copy_from_slice(bytes);
    Ok(made)
}

pub(super) fn from_tract(name: &ValueName, value: &TValue) -> TractResult<Tensor> {
    let datum = value.datum_type();
    // tract returns shapes as symbolic dimensions; as numbers they are plain i64.
    let value = if datum.is_tdim() {
        value.cast_to::<i64>()?.into_owned()
    } else {
        value.clone().into_tensor()
    };
    let datum = value.datum_type();
    let found = DTYPES.iter().find(|(_, theirs)| *theirs == datum);
    let (ours, _) = found
        .ok_or_else(|| TractError::msg(format!("output {name} has element type {datum:?}")))?;
    let plain = value.try_as_plain_ram()?;
    Ok(Tensor::from_bytes(*ours, value.shape(), plain.as_bytes())?)
}
