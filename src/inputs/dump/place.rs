//! Where a tensor of a dump lies. A dump may be larger than the memory, so each tensor is read when it is wanted.

use super::pickle::View;
use super::refusal::refuse;
use super::torch_view;
use crate::graph::read_tensor_proto;
use crate::inputs::{InputError, stored};
use crate::tensor::{Dtype, Tensor, read_npy};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// A tensor and where it lies.
#[derive(Debug, Clone)]
pub(super) enum DumpEntry {
    /// In memory.
    Here(Tensor),
    /// A `.npy` file.
    Npy(PathBuf),
    /// A file with an ONNX `TensorProto`.
    Proto(PathBuf),
    /// An array of an `.npz` file.
    Npz { path: PathBuf, member: String },
    /// Plain little-endian elements in row-major order.
    Bytes { path: PathBuf, begin: u64, length: u64, dtype: Dtype, shape: Vec<usize> },
    /// A file of elements of `f32`, the shape unknown.
    Flat { path: PathBuf, count: usize },
    /// A view of a storage in a file of `torch.save`.
    Torch { path: PathBuf, member: String, view: View },
}

impl DumpEntry {
    /// Reads the tensor.
    pub(super) fn read(&self) -> Result<Tensor, InputError> {
        match self {
            DumpEntry::Here(tensor) => Ok(tensor.clone()),
            DumpEntry::Npy(path) => Ok(read_npy(path)?),
            DumpEntry::Proto(path) => Ok(read_tensor_proto(path)?),
            DumpEntry::Npz { path, member } => stored::npz(path, member),
            DumpEntry::Bytes { path, begin, length, dtype, shape } => {
                let bytes =
                    part(path, *begin, *length).map_err(|error| refuse(path, error.to_string()))?;
                Tensor::from_bytes(*dtype, shape, &bytes)
                    .map_err(|error| refuse(path, error.to_string()))
            }
            DumpEntry::Flat { path, count } => {
                let bytes = std::fs::read(path).map_err(|error| refuse(path, error.to_string()))?;
                Tensor::from_bytes(Dtype::F32, &[*count], &bytes)
                    .map_err(|error| refuse(path, error.to_string()))
            }
            DumpEntry::Torch { path, member, view } => torch_view::elements_of(path, member, view),
        }
    }
}

/// A part of a file. The caller has checked that the file is that long.
fn part(path: &Path, begin: u64, length: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
