//! Reading and writing numpy's `.npy` files.

use super::{Tensor, element_count};
use ndarray::{ArrayD, IxDyn, ShapeBuilder as _};
use npyz::{
    AutoSerialize, DType, Deserialize, NpyFile, Order, TypeChar, TypeStr, WriterBuilder as _,
};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A `.npy` file that cannot be read or written.
#[derive(Debug, Error)]
pub enum NpyError {
    /// The file system refused, or the bytes are not those of a `.npy` file.
    #[error("read {path} as a .npy tensor")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file is sound, but holds no plain numbers.
    #[error("read {path}: element type {descr} is not a plain number")]
    ElementType {
        /// The file.
        path: PathBuf,
        /// numpy's name of the element type.
        descr: String,
    },
    /// The file could not be written.
    #[error("write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// Reads a `.npy` file of any plain numeric type, in C or Fortran order.
///
/// # Errors
/// When the file is missing, truncated, or not made of plain numbers.
pub fn read_npy(path: &Path) -> Result<Tensor, NpyError> {
    let fail = |source| NpyError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    let size = file.metadata().map_err(fail)?.len();
    npy_from(BufReader::new(file), size, path)
}

/// Reads the same from a stream of `size` bytes; `path` is where they come from, for errors. No more is
/// allocated than twice what the stream holds.
///
/// # Errors
/// As [`read_npy`].
pub fn npy_from(mut stream: impl Read, size: u64, path: &Path) -> Result<Tensor, NpyError> {
    let fail = |source| NpyError::Read { path: path.to_owned(), source };
    let mut magic = [0u8; 6];
    stream.read_exact(&mut magic).map_err(fail)?;
    if magic != *b"\x93NUMPY" {
        return Err(fail(io::Error::new(
            io::ErrorKind::InvalidData,
            "it does not begin as a .npy file",
        )));
    }
    let npy = NpyFile::new((&magic[..]).chain(stream)).map_err(fail)?;
    let descr = npy.dtype().descr();
    let DType::Plain(plain) = npy.dtype() else {
        return Err(NpyError::ElementType { path: path.to_owned(), descr });
    };
    check_size(&npy, &plain, size).map_err(fail)?;
    read_plain(npy, &plain)
        .map_err(fail)?
        .ok_or(NpyError::ElementType { path: path.to_owned(), descr })
}

/// A header may claim more elements than the file holds; that must not become an allocation.
fn check_size<R: Read>(npy: &NpyFile<R>, plain: &TypeStr, size: u64) -> io::Result<()> {
    let dims: Option<Vec<usize>> = npy.shape().iter().map(|&d| usize::try_from(d).ok()).collect();
    let bytes = dims
        .and_then(|dims| element_count(&dims))
        .and_then(|count| (count as u64).checked_mul(plain.size_field()));
    match bytes {
        Some(bytes) if bytes <= size => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the header promises more elements than the file holds",
        )),
    }
}

fn read_plain<R: Read>(npy: NpyFile<R>, plain: &TypeStr) -> io::Result<Option<Tensor>> {
    use TypeChar::{Bool, Float, Int, Uint};
    Ok(Some(match (plain.type_char(), plain.size_field()) {
        (Float, 4) => Tensor::F32(array(npy)?),
        (Float, 2) => Tensor::F16(array(npy)?),
        (Float, 8) => Tensor::F64(array(npy)?),
        (Int, 1) => Tensor::I8(array(npy)?),
        (Int, 2) => Tensor::I16(array(npy)?),
        (Int, 4) => Tensor::I32(array(npy)?),
        (Int, 8) => Tensor::I64(array(npy)?),
        (Uint, 1) => Tensor::U8(array(npy)?),
        (Uint, 2) => Tensor::U16(array(npy)?),
        (Uint, 4) => Tensor::U32(array(npy)?),
        (Uint, 8) => Tensor::U64(array(npy)?),
        (Bool, _) => Tensor::Bool(array(npy)?),
        _ => return Ok(None),
    }))
}

fn array<T: Deserialize + Clone, R: Read>(npy: NpyFile<R>) -> io::Result<ArrayD<T>> {
    let shape: Vec<usize> = npy.shape().iter().map(|&dim| dim as usize).collect();
    let fortran = npy.order() == Order::Fortran;
    let elements = npy.into_vec()?;
    let stored = ArrayD::from_shape_vec(IxDyn(&shape).set_f(fortran), elements)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(stored.as_standard_layout().into_owned())
}

/// Writes a `.npy` file; `bf16` is written as `f32`, for numpy has no name for it.
///
/// # Errors
/// When the file cannot be created or written.
pub fn write_npy(path: &Path, tensor: &Tensor) -> Result<(), NpyError> {
    let fail = |source| NpyError::Write { path: path.to_owned(), source };
    let mut file = BufWriter::new(File::create(path).map_err(fail)?);
    match tensor {
        Tensor::Bf16(array) => write(&mut file, &array.mapv(f32::from)),
        Tensor::F32(array) => write(&mut file, array),
        Tensor::F16(array) => write(&mut file, array),
        Tensor::F64(array) => write(&mut file, array),
        Tensor::I8(array) => write(&mut file, array),
        Tensor::I16(array) => write(&mut file, array),
        Tensor::I32(array) => write(&mut file, array),
        Tensor::I64(array) => write(&mut file, array),
        Tensor::U8(array) => write(&mut file, array),
        Tensor::U16(array) => write(&mut file, array),
        Tensor::U32(array) => write(&mut file, array),
        Tensor::U64(array) => write(&mut file, array),
        Tensor::Bool(array) => write(&mut file, array),
    }
    .and_then(|()| file.flush())
    .map_err(fail)
}

fn write<T: AutoSerialize + Clone>(
    file: &mut BufWriter<File>,
    array: &ArrayD<T>,
) -> io::Result<()> {
    let shape: Vec<u64> = array.shape().iter().map(|&dim| dim as u64).collect();
    let mut npy =
        npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd()?;
    npy.extend(array.iter().cloned())?;
    npy.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.npy");
        let tensor =
            Tensor::from_f32(&[2, 3], vec![1.0, 2.0, 3.0, f32::INFINITY, -0.0, 6.0]).unwrap();
        write_npy(&path, &tensor).unwrap();
        assert_eq!(read_npy(&path).unwrap(), tensor);
    }

    #[test]
    fn a_header_that_lies_allocates_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.npy");
        let header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header);
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(read_npy(&path), Err(NpyError::Read { .. })));
    }
}
