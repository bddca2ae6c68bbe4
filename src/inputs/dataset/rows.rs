//! Inputs that are rows of the same arrays: an `.npy`, or an `.npz` with an array for each input.

use super::file::refuse;
use super::labels::Labels;
use crate::graph::ResolvedInput;
use crate::inputs::{InputError, stored};
use crate::tensor::{Digest, Dtype, NpyRows, Tensor};
use ndarray::ArrayD;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zip::ZipArchive;

/// The name of the array of the classes in an `.npz`.
const LABELS: &str = "labels";
const REMEDY: &str = "write it with numpy.savez(file, INPUT=array, labels=classes): one array for each input of the network, named as it, the first axis counting the inputs";

/// One array for each input of the network.
#[derive(Debug)]
pub(super) struct DatasetRows {
    arrays: Vec<(PathBuf, NpyRows)>,
    /// The folder of the unpacked members of an archive. Unpacking lets any row be read by itself.
    _unpacked: Option<TempDir>,
}

impl DatasetRows {
    /// Opens an `.npy` for a network of one input.
    pub(super) fn npy(path: &Path, inputs: &[ResolvedInput]) -> Result<Self, InputError> {
        if inputs.len() != 1 {
            let problem = format!("the network has {} inputs, and this is one array", inputs.len());
            return Err(refuse(path, problem, REMEDY));
        }
        Ok(DatasetRows { arrays: vec![(path.to_owned(), NpyRows::open(path)?)], _unpacked: None })
    }

    /// Opens an `.npz`, and the labels in it.
    pub(super) fn npz(path: &Path, inputs: &[ResolvedInput]) -> Result<(Self, Labels), InputError> {
        let fail = |error: &dyn std::fmt::Display| refuse(path, error.to_string(), REMEDY);
        let file = File::open(path).map_err(|error| fail(&error))?;
        let mut archive = ZipArchive::new(file).map_err(|error| fail(&error))?;
        let names: Result<Vec<String>, _> =
            archive.file_names().map(|name| name.map(String::from)).collect();
        let names = names.map_err(|error| fail(&error))?;
        let folder = tempfile::tempdir().map_err(|error| fail(&error))?;
        let mut unpack = |member: &str, place: String| {
            let unpacked = folder.path().join(place);
            let mut from = archive.by_name(member).map_err(|error| fail(&error))?;
            let mut to = File::create(&unpacked).map_err(|error| fail(&error))?;
            io::copy(&mut from, &mut to).map_err(|error| fail(&error))?;
            Ok::<_, InputError>((unpacked.clone(), NpyRows::open(&unpacked)?))
        };
        let mut arrays = Vec::new();
        for (index, input) in inputs.iter().enumerate() {
            let member = member_of(&names, input, inputs.len());
            let member = member.ok_or_else(|| {
                let problem = format!("it has no array `{}`, but {}", input.name, names.join(", "));
                refuse(path, problem, REMEDY)
            })?;
            arrays.push(unpack(member, format!("{index}.npy"))?);
        }
        let labels = names.iter().find(|name| stem(name) == LABELS);
        let labels = match labels {
            Some(member) => {
                let (path, rows) = unpack(member, format!("{LABELS}.npy"))?;
                Labels::Rows(path, rows)
            }
            None => Labels::None,
        };
        let rows = DatasetRows { arrays, _unpacked: Some(folder) };
        rows.check(path)?;
        Ok((rows, labels))
    }

    fn check(&self, path: &Path) -> Result<(), InputError> {
        let mut counts = self.arrays.iter().map(|(_, rows)| rows.count());
        let first = counts.next().unwrap_or(0);
        match counts.find(|count| *count != first) {
            Some(other) => {
                let problem = format!("its arrays have {first} and {other} rows");
                Err(refuse(path, problem, REMEDY))
            }
            None => Ok(()),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.arrays.first().map_or(0, |(_, rows)| rows.count())
    }

    /// Reads one row of each array.
    pub(super) fn read(
        &self,
        index: usize,
        inputs: &[ResolvedInput],
    ) -> Result<Vec<Tensor>, InputError> {
        let arrays = self.arrays.iter().zip(inputs);
        arrays.map(|((path, rows), input)| fitted(rows.row(index)?, path, input)).collect()
    }

    /// The digest of each array.
    pub(super) fn digests(&self, path: &Path) -> Result<Vec<String>, InputError> {
        let digest = |(array, _): &(PathBuf, NpyRows)| {
            let digest = File::open(array).and_then(Digest::of_reader);
            digest.map(|digest| digest.to_string())
        };
        let digests = self.arrays.iter().map(digest).collect::<io::Result<Vec<_>>>();
        digests.map_err(|error| refuse(path, error.to_string(), REMEDY))
    }
}

/// The member for an input: the member of its name, or the only member if the network has one input.
fn member_of<'n>(names: &'n [String], input: &ResolvedInput, inputs: usize) -> Option<&'n str> {
    let named = names.iter().find(|name| stem(name) == input.name.as_str());
    let mut others = names.iter().filter(|name| stem(name) != LABELS);
    let only = || others.next().filter(|_| inputs == 1 && others.next().is_none());
    named.or_else(only).map(String::as_str)
}

fn stem(member: &str) -> &str {
    member.strip_suffix(".npy").unwrap_or(member)
}

/// Fits a stored tensor to an input. Missing leading axes of length 1 are added. Whole numbers become floats if
/// this changes none of them.
pub(super) fn fitted(
    tensor: Tensor,
    path: &Path,
    input: &ResolvedInput,
) -> Result<Tensor, InputError> {
    let tensor = widened(tensor, input.dtype);
    let lacks = input.shape.len().saturating_sub(tensor.shape().len());
    let alike = input.shape[..lacks].iter().all(|&extent| extent == 1)
        && input.shape[lacks..] == *tensor.shape();
    let tensor = if alike && lacks > 0 {
        let bytes = tensor.to_bytes();
        let whole = Tensor::from_bytes(tensor.dtype(), &input.shape, &bytes);
        whole.map_err(|error| refuse(path, error.to_string(), REMEDY))?
    } else {
        tensor
    };
    stored::accept(tensor, path, input)
}

/// Converts small integers to floats, which hold them all.
fn widened(tensor: Tensor, wanted: Dtype) -> Tensor {
    fn floats<T: Copy + Into<f32>>(array: &ArrayD<T>, wanted: Dtype) -> Option<Tensor> {
        match wanted {
            Dtype::F32 => Some(Tensor::F32(array.mapv(Into::into))),
            Dtype::F64 => Some(Tensor::F64(array.mapv(|value| f64::from(value.into())))),
            _ => None,
        }
    }
    let widened = match &tensor {
        Tensor::U8(array) => floats(array, wanted),
        Tensor::I8(array) => floats(array, wanted),
        Tensor::U16(array) => floats(array, wanted),
        Tensor::I16(array) => floats(array, wanted),
        _ => None,
    };
    widened.unwrap_or(tensor)
}
