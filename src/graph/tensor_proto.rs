//! ONNX's `TensorProto` from and to [`Tensor`]: raw bytes, typed fields, external files and `.pb` files.

use super::external;
use crate::tensor::{Dtype, Tensor, TensorError};
use prost::Message as _;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{StringStringEntryProto, TensorProto};

/// A serialized ONNX tensor that cannot be read.
#[derive(Debug, Error)]
pub enum TensorProtoError {
    /// The file cannot be opened or read.
    #[error("read {path} as an ONNX tensor: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The bytes are not a `TensorProto`.
    #[error("read {path}: it is not a serialized ONNX tensor (TensorProto)")]
    NotATensor {
        /// The file.
        path: PathBuf,
    },
    /// offby does not compute with the element type.
    #[error("read ONNX tensor `{name}`: {found}")]
    ElementType {
        /// The tensor's own name, possibly empty.
        name: String,
        /// What the tensor holds instead of numbers.
        found: String,
    },
    /// A dimension is negative.
    #[error("read ONNX tensor `{name}`: dimension {dim} is negative")]
    NegativeDim {
        /// The tensor's own name, possibly empty.
        name: String,
        /// The dimension.
        dim: i64,
    },
    /// The elements do not fill the shape.
    #[error("read ONNX tensor `{name}`: {source}")]
    Elements {
        /// The tensor's own name, possibly empty.
        name: String,
        /// The mismatch.
        source: TensorError,
    },
    /// The elements are stored in a separate file that cannot be read.
    #[error("read ONNX tensor `{name}`: {reason}")]
    External {
        /// The tensor's own name, possibly empty.
        name: String,
        /// Why the file cannot be read.
        reason: String,
    },
}

impl TensorProtoError {
    /// The advice for the user.
    pub fn hint(&self) -> Option<String> {
        match self {
            TensorProtoError::NotATensor { .. } => {
                Some("write one in Python with onnx.numpy_helper.from_array(a).SerializeToString(), or give a .npy".to_owned())
            }
            TensorProtoError::External { .. } => {
                Some("keep the external data file next to the file that names it".to_owned())
            }
            _ => None,
        }
    }
}

/// Reads a `.pb` file that holds one serialized `TensorProto`, as in ONNX test data sets.
///
/// # Errors
/// When the file cannot be read or does not hold a tensor of numbers.
pub fn read_tensor_proto(path: &Path) -> Result<Tensor, TensorProtoError> {
    let bytes = std::fs::read(path)
        .map_err(|source| TensorProtoError::Read { path: path.to_owned(), source })?;
    tensor_proto_from(&bytes, path)
}

/// Reads a tensor from the bytes of a `.pb` file. The folder of `path` holds its external data.
///
/// # Errors
/// As [`read_tensor_proto`].
pub fn tensor_proto_from(bytes: &[u8], path: &Path) -> Result<Tensor, TensorProtoError> {
    let not_a_tensor = || TensorProtoError::NotATensor { path: path.to_owned() };
    let proto = TensorProto::decode(bytes).map_err(|_| not_a_tensor())?;
    if proto.data_type == DataType::Undefined as i32 {
        return Err(not_a_tensor());
    }
    from_proto(&proto, path.parent().unwrap_or(Path::new("")))
}

/// The tensor of a `TensorProto`. External elements are read from `folder`.
///
/// # Errors
/// When the message holds no numbers, or their count does not fit the shape.
pub fn from_proto(proto: &TensorProto, folder: &Path) -> Result<Tensor, TensorProtoError> {
    let name = || proto.name.clone();
    let dtype = dtype(proto.data_type)
        .map_err(|found| TensorProtoError::ElementType { name: name(), found })?;
    let mut shape = Vec::with_capacity(proto.dims.len());
    for &dim in &proto.dims {
        shape.push(
            usize::try_from(dim)
                .map_err(|_| TensorProtoError::NegativeDim { name: name(), dim })?,
        );
    }
    let elements = |bytes: &[u8]| {
        Tensor::from_bytes(dtype, &shape, bytes)
            .map_err(|source| TensorProtoError::Elements { name: name(), source })
    };
    if external::is_external(proto) {
        let bytes = external::read(proto, folder)
            .map_err(|reason| TensorProtoError::External { name: name(), reason })?;
        elements(&bytes)
    } else if proto.raw_data.is_empty() {
        elements(&typed_bytes(proto, dtype))
    } else {
        elements(&proto.raw_data)
    }
}

/// The bytes of a `TensorProto` file.
pub fn tensor_bytes(name: &str, tensor: &Tensor) -> Vec<u8> {
    to_proto(name, tensor).encode_to_vec()
}

/// The `TensorProto` of a tensor, its elements as raw little-endian bytes.
pub fn to_proto(name: &str, tensor: &Tensor) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        data_type: code(tensor.dtype()) as i32,
        dims: tensor.shape().iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect(),
        raw_data: tensor.to_bytes(),
        ..TensorProto::default()
    }
}

/// The protobuf form of a tensor whose bytes are in a file next to the network, from an offset on.
pub(super) fn external(
    name: &str,
    dtype: Dtype,
    shape: &[usize],
    file: &str,
    offset: u64,
) -> TensorProto {
    let bytes = shape.iter().product::<usize>() * dtype.size();
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
    TensorProto {
        name: name.to_owned(),
        data_type: code(dtype) as i32,
        dims: shape.iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect(),
        data_location: Some(DataLocation::External as i32),
        external_data: vec![
            entry("location", file.to_owned()),
            entry("offset", offset.to_string()),
            entry("length", bytes.to_string()),
        ],
        ..TensorProto::default()
    }
}

/// The little-endian bytes of the typed field that ONNX assigns to this element type.
fn typed_bytes(proto: &TensorProto, dtype: Dtype) -> Vec<u8> {
    // Narrow types are stored in the low bytes of wider fields.
    let size = dtype.size();
    match dtype {
        Dtype::F32 => proto.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::F64 => proto.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::I64 => proto.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::U32 | Dtype::U64 => {
            proto.uint64_data.iter().flat_map(|v| v.to_le_bytes().into_iter().take(size)).collect()
        }
        Dtype::F16
        | Dtype::Bf16
        | Dtype::I8
        | Dtype::I16
        | Dtype::I32
        | Dtype::U8
        | Dtype::U16
        | Dtype::Bool => {
            proto.int32_data.iter().flat_map(|v| v.to_le_bytes().into_iter().take(size)).collect()
        }
    }
}

/// The element type of ONNX's code. The error names a type that offby does not have.
pub(super) fn dtype(code: i32) -> Result<Dtype, String> {
    let known = DataType::try_from(code).map_err(|_| format!("element type {code} is unknown"))?;
    Ok(match known {
        DataType::Float => Dtype::F32,
        DataType::Float16 => Dtype::F16,
        DataType::Bfloat16 => Dtype::Bf16,
        DataType::Double => Dtype::F64,
        DataType::Int8 => Dtype::I8,
        DataType::Int16 => Dtype::I16,
        DataType::Int32 => Dtype::I32,
        DataType::Int64 => Dtype::I64,
        DataType::Uint8 => Dtype::U8,
        DataType::Uint16 => Dtype::U16,
        DataType::Uint32 => Dtype::U32,
        DataType::Uint64 => Dtype::U64,
        DataType::Bool => Dtype::Bool,
        other => {
            return Err(format!(
                "element type {} is not supported",
                other.as_str_name().to_lowercase()
            ));
        }
    })
}

/// ONNX's code of an element type.
pub(super) fn code(dtype: Dtype) -> DataType {
    match dtype {
        Dtype::F32 => DataType::Float,
        Dtype::F16 => DataType::Float16,
        Dtype::Bf16 => DataType::Bfloat16,
        Dtype::F64 => DataType::Double,
        Dtype::I8 => DataType::Int8,
        Dtype::I16 => DataType::Int16,
        Dtype::I32 => DataType::Int32,
        Dtype::I64 => DataType::Int64,
        Dtype::U8 => DataType::Uint8,
        Dtype::U16 => DataType::Uint16,
        Dtype::U32 => DataType::Uint32,
        Dtype::U64 => DataType::Uint64,
        Dtype::Bool => DataType::Bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Dtype; 13] = [
        Dtype::F32,
        Dtype::F16,
        Dtype::Bf16,
        Dtype::F64,
        Dtype::I8,
        Dtype::I16,
        Dtype::I32,
        Dtype::I64,
        Dtype::U8,
        Dtype::U16,
        Dtype::U32,
        Dtype::U64,
        Dtype::Bool,
    ];

    #[test]
    fn every_element_type_comes_back() {
        for dtype in ALL {
            let bytes: Vec<u8> = (0..6 * dtype.size()).map(|i| (i % 2) as u8).collect();
            let tensor = Tensor::from_bytes(dtype, &[2, 3], &bytes).unwrap();
            let proto =
                TensorProto::decode(to_proto("t", &tensor).encode_to_vec().as_slice()).unwrap();
            assert_eq!(from_proto(&proto, Path::new("")).unwrap(), tensor, "{dtype}");
        }
    }

    #[test]
    fn typed_fields_are_read() {
        let proto = TensorProto {
            dims: vec![3],
            int32_data: vec![0x3c00, 0xfbff, 0x8000],
            ..TensorProto::default()
        };
        let half = TensorProto { data_type: DataType::Float16 as i32, ..proto.clone() };
        let Tensor::F16(array) = from_proto(&half, Path::new("")).unwrap() else {
            panic!("not f16")
        };
        assert_eq!(array.iter().map(|v| v.to_f32()).collect::<Vec<_>>(), [1.0, -65504.0, -0.0]);
        let bytes = TensorProto {
            data_type: DataType::Int8 as i32,
            int32_data: vec![-1, 127, -128],
            ..proto
        };
        let Tensor::I8(array) = from_proto(&bytes, Path::new("")).unwrap() else {
            panic!("not i8")
        };
        assert_eq!(array.iter().copied().collect::<Vec<_>>(), [-1, 127, -128]);
    }

    #[test]
    fn hostile_tensors_are_errors() {
        let huge = TensorProto { dims: vec![i64::MAX, 4], data_type: 1, ..TensorProto::default() };
        assert!(matches!(from_proto(&huge, Path::new("")), Err(TensorProtoError::Elements { .. })));
        let negative = TensorProto { dims: vec![-1], data_type: 1, ..TensorProto::default() };
        assert!(matches!(
            from_proto(&negative, Path::new("")),
            Err(TensorProtoError::NegativeDim { .. })
        ));
        let text = TensorProto { dims: vec![1], data_type: 8, ..TensorProto::default() };
        assert!(matches!(
            from_proto(&text, Path::new("")),
            Err(TensorProtoError::ElementType { .. })
        ));
        let odd = TensorProto { data_type: 99, ..TensorProto::default() };
        assert!(matches!(
            from_proto(&odd, Path::new("")),
            Err(TensorProtoError::ElementType { .. })
        ));
    }

    #[test]
    fn a_file_that_holds_no_tensor_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.pb");
        std::fs::write(&path, b"").unwrap();
        let error = read_tensor_proto(&path).unwrap_err();
        assert!(matches!(error, TensorProtoError::NotATensor { .. }));
        assert!(error.hint().is_some());
        assert!(matches!(
            read_tensor_proto(&folder.path().join("none")),
            Err(TensorProtoError::Read { .. })
        ));
    }
}
