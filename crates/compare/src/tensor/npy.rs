//! Reading and writing numpy's `.npy` files.

use super::{Dtype, Tensor, element_count};
use ndarray::{ArrayD, IxDyn, ShapeBuilder as _};
use npyz::{
    AutoSerialize, DType, Deserialize, Endianness, NpyFile, NpyHeader, Order, TypeChar, TypeStr,
    WriterBuilder as _,
};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A `.npy` file that cannot be read or written.
#[derive(Debug, Error)]
pub enum NpyError {
    /// The file system refused, or the bytes are not a `.npy` file.
    #[error("read {path} as a .npy tensor")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file is valid, but does not contain plain numbers.
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
/// If the file is missing, truncated, or not made of plain numbers.
pub fn read_npy(path: &Path) -> Result<Tensor, NpyError> {
    let fail = |source| NpyError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    let size = file.metadata().map_err(fail)?.len();
    npy_from(file, size, path)
}

/// Reads the same from a stream of `size` bytes. Errors name `path` as the source of the bytes. At most twice the
/// stream's size is allocated.
///
/// # Errors
/// As for [`read_npy`].
pub fn npy_from(mut stream: impl Read, size: u64, path: &Path) -> Result<Tensor, NpyError> {
    let fail = |source| NpyError::Read { path: path.to_owned(), source };
    let header = checked_header(&mut stream).map_err(fail)?;
    let npy = NpyFile::new(header.as_slice().chain(stream)).map_err(fail)?;
    let descr = npy.dtype().descr();
    let DType::Plain(plain) = npy.dtype() else {
        return Err(NpyError::ElementType { path: path.to_owned(), descr });
    };
    let count = check_size(&npy, &plain, size).map_err(fail)?;
    let (header, order) = (npy.header().clone(), npy.order());
    let bytes = exactly(npy.into_inner(), count).map_err(fail)?;
    let is_as_in_memory = plain.endianness() != Endianness::Big && order == Order::C;
    let tensor = match dtype_of(&plain).filter(|_| is_as_in_memory) {
        // Much faster than element by element.
        Some(dtype) => Some(from_bytes(&header, dtype, &bytes).map_err(fail)?),
        None => read_plain(NpyFile::with_header(header, bytes.as_slice()), &plain, &Whole)
            .map_err(fail)?,
    };
    tensor.ok_or(NpyError::ElementType { path: path.to_owned(), descr })
}

/// So many bytes of a stream. The caller has checked that the stream is that long.
fn exactly(stream: impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    stream.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn from_bytes(header: &NpyHeader, dtype: Dtype, bytes: &[u8]) -> io::Result<Tensor> {
    let shape: Vec<usize> = header.shape().iter().map(|&dim| dim as usize).collect();
    let short = |_| io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends too early");
    Tensor::from_bytes(dtype, &shape, bytes).map_err(short)
}

/// The most characters of a header, as in numpy.
const LONGEST_HEADER: usize = 10_000;
/// The most opening brackets in a header, even within a text. Plain numbers need two, and a
/// structure of one field needs four.
const MOST_BRACKETS: usize = 4;

/// Reads a file's magic, version and header, and checks them for the parser. The parser tries every nested
/// bracket in several ways, so twenty nested brackets would keep it busy for minutes. It also multiplies extents
/// without a check for overflow.
fn checked_header(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 8];
    stream.read_exact(&mut bytes[..6])?;
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(invalid("it does not begin as a .npy file"));
    }
    stream.read_exact(&mut bytes[6..])?;
    let width = if bytes[6] == 1 { 2 } else { 4 };
    let mut length = [0; 4];
    stream.read_exact(&mut length[..width])?;
    bytes.extend(&length[..width]);
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST_HEADER {
        return Err(invalid("its header is longer than 10,000 characters"));
    }
    let text = bytes.len();
    bytes.resize(text + length, 0);
    stream.read_exact(&mut bytes[text..])?;
    let opened = bytes[text..].iter().filter(|byte| matches!(byte, b'(' | b'[' | b'{')).count();
    if opened > MOST_BRACKETS {
        return Err(invalid("its header has more brackets than a header of plain numbers"));
    }
    match extents_fit(&String::from_utf8_lossy(&bytes[text..])) {
        true => Ok(bytes),
        false => Err(invalid("its shape is not a list of extents whose product is a number")),
    }
}

/// Whether the non-zero extents after each `shape` of a header have a product. A backslash could hide the word, so a
/// header with a backslash fails the check. Numpy writes none.
fn extents_fit(header: &str) -> bool {
    let is_between = |c: char| matches!(c, '\'' | '"') || c.is_whitespace();
    let product = |rest: &str| {
        let (extents, _) = rest.split_once([')', ']'])?;
        let mut extents = extents.split(',').map(str::trim).filter(|extent| !extent.is_empty());
        extents.try_fold(1u64, |product, extent| {
            product.checked_mul(extent.parse::<u64>().ok()?.max(1))
        })
    };
    let mut after = header.split("shape").skip(1).filter_map(|rest| {
        let rest = rest.trim_start_matches(is_between).strip_prefix(':')?;
        // The parser refuses a value that is not a list.
        rest.trim_start().strip_prefix(['(', '['])
    });
    !header.contains('\\') && after.all(|rest| product(rest).is_some())
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Refuses a header that claims more elements than the file holds, because the claim must not become an allocation.
/// Returns the number of the elements' bytes.
fn check_size<R: Read>(npy: &NpyFile<R>, plain: &TypeStr, size: u64) -> io::Result<u64> {
    let dims: Option<Vec<usize>> = npy.shape().iter().map(|&d| usize::try_from(d).ok()).collect();
    let bytes = dims
        .and_then(|dims| element_count(&dims))
        .and_then(|count| (count as u64).checked_mul(plain.size_field()));
    match bytes {
        Some(bytes) if bytes <= size => Ok(bytes),
        _ => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the header promises more elements than the file holds",
        )),
    }
}

fn dtype_of(plain: &TypeStr) -> Option<Dtype> {
    use TypeChar::{Bool, Float, Int, Uint};
    Some(match (plain.type_char(), plain.size_field()) {
        (Float, 4) => Dtype::F32,
        (Float, 2) => Dtype::F16,
        (Float, 8) => Dtype::F64,
        (Int, 1) => Dtype::I8,
        (Int, 2) => Dtype::I16,
        (Int, 4) => Dtype::I32,
        (Int, 8) => Dtype::I64,
        (Uint, 1) => Dtype::U8,
        (Uint, 2) => Dtype::U16,
        (Uint, 4) => Dtype::U32,
        (Uint, 8) => Dtype::U64,
        (Bool, _) => Dtype::Bool,
        _ => return None,
    })
}

fn read_plain<R: Read>(
    npy: NpyFile<R>,
    plain: &TypeStr,
    extent: &impl ReadExtent<R>,
) -> io::Result<Option<Tensor>> {
    Ok(Some(match dtype_of(plain) {
        Some(Dtype::F32) => Tensor::F32(extent.read(npy)?),
        Some(Dtype::F16) => Tensor::F16(extent.read(npy)?),
        Some(Dtype::F64) => Tensor::F64(extent.read(npy)?),
        Some(Dtype::I8) => Tensor::I8(extent.read(npy)?),
        Some(Dtype::I16) => Tensor::I16(extent.read(npy)?),
        Some(Dtype::I32) => Tensor::I32(extent.read(npy)?),
        Some(Dtype::I64) => Tensor::I64(extent.read(npy)?),
        Some(Dtype::U8) => Tensor::U8(extent.read(npy)?),
        Some(Dtype::U16) => Tensor::U16(extent.read(npy)?),
        Some(Dtype::U32) => Tensor::U32(extent.read(npy)?),
        Some(Dtype::U64) => Tensor::U64(extent.read(npy)?),
        Some(Dtype::Bool) => Tensor::Bool(extent.read(npy)?),
        // numpy has no name for bf16.
        Some(Dtype::Bf16) | None => return Ok(None),
    }))
}

/// A `.npy` file whose first axis counts tensors. Each tensor is read by itself, and the file
/// is never read as a whole.
#[derive(Debug, Clone)]
pub struct NpyRows {
    path: PathBuf,
    shape: Vec<usize>,
}

impl NpyRows {
    /// Reads the file's head.
    ///
    /// # Errors
    /// If the file is missing, truncated, holds one number without axes, or is in Fortran order. Fortran order
    /// scatters a row over the whole file.
    pub fn open(path: &Path) -> Result<Self, NpyError> {
        let fail = |source| NpyError::Read { path: path.to_owned(), source };
        let npy = opened(path).map_err(fail)?;
        let refuse = |why: &str| fail(io::Error::new(io::ErrorKind::InvalidData, why));
        let shape: Vec<usize> = npy.shape().iter().map(|&dim| dim as usize).collect();
        if shape.is_empty() {
            return Err(refuse("it has no axis to take rows from"));
        }
        if npy.order() == Order::Fortran && shape.len() > 1 {
            return Err(refuse("its rows are scattered, for it lies in Fortran order"));
        }
        let descr = npy.dtype().descr();
        let DType::Plain(plain) = npy.dtype() else {
            return Err(NpyError::ElementType { path: path.to_owned(), descr });
        };
        let size = std::fs::metadata(path).map_err(fail)?.len();
        check_size(&npy, &plain, size).map_err(fail)?;
        Ok(NpyRows { path: path.to_owned(), shape })
    }

    /// The number of tensors.
    pub fn count(&self) -> usize {
        self.shape[0]
    }

    /// Reads one of the tensors, without the first axis.
    ///
    /// # Errors
    /// If there is no tensor of this index, or the file can no longer be read.
    pub fn row(&self, index: usize) -> Result<Tensor, NpyError> {
        let fail = |source| NpyError::Read { path: self.path.clone(), source };
        let npy = opened(&self.path).map_err(fail)?;
        let descr = npy.dtype().descr();
        let element_type = || NpyError::ElementType { path: self.path.clone(), descr };
        let DType::Plain(plain) = npy.dtype() else { return Err(element_type()) };
        let row = Slice { index, shape: &self.shape[1..] };
        read_plain(npy, &plain, &row).map_err(fail)?.ok_or_else(element_type)
    }
}

/// Opens a file whose elements can be sought.
fn opened(path: &Path) -> io::Result<NpyFile<BufReader<File>>> {
    let mut file = BufReader::new(File::open(path)?);
    checked_header(&mut file)?;
    file.rewind()?;
    NpyFile::new(file)
}

/// Which of a file's elements to read.
trait ReadExtent<R: Read> {
    fn read<T: Deserialize + Clone>(&self, npy: NpyFile<R>) -> io::Result<ArrayD<T>>;
}

/// All elements.
struct Whole;

impl<R: Read> ReadExtent<R> for Whole {
    fn read<T: Deserialize + Clone>(&self, npy: NpyFile<R>) -> io::Result<ArrayD<T>> {
        let shape: Vec<usize> = npy.shape().iter().map(|&dim| dim as usize).collect();
        let fortran = npy.order() == Order::Fortran;
        let elements = npy.into_vec()?;
        let stored = ArrayD::from_shape_vec(IxDyn(&shape).set_f(fortran), elements)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(stored.as_standard_layout().into_owned())
    }
}

/// The elements of one index of the first axis. `shape` is the shape of the other axes.
struct Slice<'s> {
    index: usize,
    shape: &'s [usize],
}

impl<R: Read + Seek> ReadExtent<R> for Slice<'_> {
    fn read<T: Deserialize + Clone>(&self, npy: NpyFile<R>) -> io::Result<ArrayD<T>> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        let count: usize = self.shape.iter().product();
        let mut elements = npy.data::<T>().map_err(|error| invalid(error.to_string()))?;
        elements.seek_to((self.index * count) as u64)?;
        let row = elements.take(count).collect::<io::Result<Vec<T>>>()?;
        ArrayD::from_shape_vec(IxDyn(self.shape), row).map_err(|error| invalid(error.to_string()))
    }
}

/// Writes a `.npy` file. `bf16` is written as `f32`, because numpy has no name for `bf16`.
///
/// # Errors
/// If the file cannot be created or written.
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
    fn rows_are_read_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.npy");
        let tensor = Tensor::from_f32(&[3, 1, 2], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        write_npy(&path, &tensor).unwrap();
        let rows = NpyRows::open(&path).unwrap();
        assert_eq!(rows.count(), 3);
        assert_eq!(rows.row(2).unwrap(), Tensor::from_f32(&[1, 2], vec![4.0, 5.0]).unwrap());
        assert_eq!(rows.row(0).unwrap(), Tensor::from_f32(&[1, 2], vec![0.0, 1.0]).unwrap());
        assert!(rows.row(3).is_err());
    }

    /// Reads a file that has this header and no elements.
    fn headed(header: &str) -> Result<Tensor, NpyError> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        npy_from(bytes.as_slice(), bytes.len() as u64, Path::new("t.npy"))
    }

    fn shaped(shape: &str) -> Result<Tensor, NpyError> {
        headed(&format!("{{'descr': '<i2', 'fortran_order': False, 'shape': {shape}, }}\n"))
    }

    #[test]
    fn a_header_that_lies_allocates_nothing() {
        for shape in [
            "(99999999999999,)",
            "(8, 15555555555555555555)",
            "(0, 99999999999, 99999999999)",
            "[4294967296, 4294967296]",
            "(99999999999999999999999,)",
            "(0x10, 2)",
            "(-1,)",
            "3",
        ] {
            assert!(matches!(shaped(shape), Err(NpyError::Read { .. })), "{shape}");
        }
        assert!(headed("{'descr': '<i2', 'fortran_order': False, 'sha\\x70e': (0,), }\n").is_err());
    }

    #[test]
    fn shapes_are_read_as_numpy_writes_them() {
        for shape in ["(0,)", "(0, 3)", "[2, 0]", "( 0 , 2 )", "(3, 0, 1,)"] {
            assert!(shaped(shape).unwrap().is_empty(), "{shape}");
        }
    }

    #[test]
    fn brackets_without_end_are_refused_at_once() {
        for count in [3, 21, 5000] {
            let header = format!("{{'descr': '|u1', 'shape': ({}1, 4), }}!", "[".repeat(count));
            assert!(matches!(headed(&header), Err(NpyError::Read { .. })));
        }
        // A bracket that is closed within a text does not count as closed.
        assert!(headed(&"{['a', ')', ']'".repeat(20)).is_err());
    }
}
