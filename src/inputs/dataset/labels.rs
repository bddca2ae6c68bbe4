//! The right class for each input of a data set.

use super::file::{has_ending, refuse};
use crate::inputs::InputError;
use crate::tensor::{Digest, NpyRows, Tensor};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const REMEDY: &str =
    "labels are classes counted from 0: an .npy of whole numbers, or a text with one a line";

/// One class for each input, or none at all.
#[derive(Debug)]
pub(super) enum Labels {
    None,
    /// Classes read from a text.
    Listed(Vec<usize>),
    /// One number in each row.
    Rows(PathBuf, NpyRows),
}

impl Labels {
    /// Reads `--labels`.
    pub(super) fn read(path: &Path) -> Result<Self, InputError> {
        if has_ending(path, &["npy"]) {
            return Ok(Labels::Rows(path.to_owned(), NpyRows::open(path)?));
        }
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| refuse(path, error.to_string(), REMEDY))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let label = |line: &str| {
            line.parse().map_err(|_| refuse(path, format!("`{line}` is no class"), REMEDY))
        };
        Ok(Labels::Listed(lines.map(label).collect::<Result<_, _>>()?))
    }

    /// The number of labels, or `None` without labels.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Labels::None => None,
            Labels::Listed(labels) => Some(labels.len()),
            Labels::Rows(_, rows) => Some(rows.count()),
        }
    }

    /// The class of one input.
    pub(super) fn get(&self, index: usize) -> Result<Option<usize>, InputError> {
        match self {
            Labels::None => Ok(None),
            Labels::Listed(labels) => Ok(labels.get(index).copied()),
            Labels::Rows(path, rows) => {
                let row = rows.row(index)?;
                let class = class(&row);
                let refuse = || refuse(path, format!("row {index} is no class: {row:?}"), REMEDY);
                class.map(Some).ok_or_else(refuse)
            }
        }
    }

    /// The digest of all labels.
    pub(super) fn digest(&self) -> Result<Digest, InputError> {
        match self {
            Labels::None => Ok(Digest::of([])),
            Labels::Listed(labels) => Ok(Digest::of([format!("{labels:?}").as_bytes()])),
            Labels::Rows(path, _) => File::open(path)
                .and_then(Digest::of_reader)
                .map_err(|error| refuse(path, error.to_string(), REMEDY)),
        }
    }
}

/// The whole number that a tensor of one element holds.
fn class(tensor: &Tensor) -> Option<usize> {
    if tensor.len() != 1 || tensor.dtype().is_float() {
        return None;
    }
    // Little-endian and at least 0, so the missing bytes are 0.
    let mut bytes = [0u8; 8];
    let found = tensor.to_bytes();
    bytes[..found.len()].copy_from_slice(&found);
    let signed = matches!(tensor, Tensor::I8(_) | Tensor::I16(_) | Tensor::I32(_) | Tensor::I64(_));
    let negative = signed && found.last().is_some_and(|byte| byte & 0x80 != 0);
    (!negative).then(|| usize::try_from(u64::from_le_bytes(bytes)).ok()).flatten()
}
