//! An ONNX file's declaration of a value: element type and dimensions, known or not.

use super::{ValueName, tensor_proto};
use crate::tensor::Dtype;
use std::fmt;
use tract_onnx::pb::{TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto, type_proto};

/// One dimension of a declared shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// A number.
    Known(usize),
    /// A name such as `batch`; `?` if the file has no name.
    Symbol(String),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Known(extent) => write!(f, "{extent}"),
            Dim::Symbol(symbol) => f.pad(symbol),
        }
    }
}

/// A value's name, element type and shape, as the ONNX file declares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueInfo {
    /// The value.
    pub name: ValueName,
    /// The element type.
    pub dtype: Dtype,
    /// The dimensions; `None` if the file does not even declare their number.
    pub shape: Option<Vec<Dim>>,
}

impl ValueInfo {
    /// Reads a declaration. The error says why the value is not a numeric tensor.
    pub(super) fn read(proto: &ValueInfoProto) -> Result<Self, String> {
        let Some(type_proto::Value::TensorType(tensor)) =
            proto.r#type.as_ref().and_then(|t| t.value.as_ref())
        else {
            return Err("no tensor type".to_owned());
        };
        let dtype = tensor_proto::dtype(tensor.elem_type)?;
        let shape = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(read_dim).collect());
        Ok(ValueInfo { name: proto.name.as_str().into(), dtype, shape })
    }
}

fn read_dim(dim: &tensor_shape_proto::Dimension) -> Dim {
    use tensor_shape_proto::dimension::Value::{DimParam, DimValue};
    let unnamed = || Dim::Symbol("?".to_owned());
    match &dim.value {
        // Some exporters write -1 for an open dimension.
        Some(DimValue(extent)) => usize::try_from(*extent).map_or_else(|_| unnamed(), Dim::Known),
        Some(DimParam(symbol)) if !symbol.is_empty() => Dim::Symbol(symbol.clone()),
        Some(DimParam(_)) | None => unnamed(),
    }
}

/// The protobuf form of a declared value of known shape.
pub(super) fn declare(name: &str, dtype: Dtype, shape: &[usize]) -> ValueInfoProto {
    tensor(name, tensor_proto::code(dtype) as i32, Some(known(shape)))
}

/// The protobuf form of a declared value whose dimensions are numbers or symbols.
pub(super) fn declare_open(name: &str, dtype: Dtype, shape: &[Dim]) -> ValueInfoProto {
    let dim = |dim: &Dim| match dim {
        Dim::Known(extent) => known_dim(*extent),
        Dim::Symbol(symbol) => tensor_shape_proto::Dimension {
            value: Some(tensor_shape_proto::dimension::Value::DimParam(symbol.clone())),
            ..tensor_shape_proto::Dimension::default()
        },
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    tensor(name, tensor_proto::code(dtype) as i32, Some(shape))
}

/// The protobuf form of a fully known shape.
pub(super) fn known(shape: &[usize]) -> TensorShapeProto {
    let dim = shape.iter().map(|&extent| known_dim(extent)).collect();
    TensorShapeProto { dim }
}

/// The protobuf form of a known dimension.
pub(super) fn known_dim(extent: usize) -> tensor_shape_proto::Dimension {
    let value = i64::try_from(extent).unwrap_or(i64::MAX);
    tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::dimension::Value::DimValue(value)),
        ..tensor_shape_proto::Dimension::default()
    }
}

/// The element type's code, if the value is declared to be a tensor with an element type.
pub(super) fn elem_type(value: &ValueInfoProto) -> Option<i32> {
    let type_proto::Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    (tensor.elem_type != 0).then_some(tensor.elem_type)
}

/// The protobuf form of a declared value whose shape is not stated.
pub(super) fn undeclared_shape(name: &str, elem_type: i32) -> ValueInfoProto {
    tensor(name, elem_type, None)
}

fn tensor(name: &str, elem_type: i32, shape: Option<TensorShapeProto>) -> ValueInfoProto {
    let tensor = type_proto::Tensor { elem_type, shape };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { value, ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}
