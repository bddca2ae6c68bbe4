//! The files of an MNN model.

use std::path::{Path, PathBuf};

/// An MNN model.
#[derive(Debug, Clone, Copy)]
pub(in crate::worker) struct MnnFile<'a> {
    /// The bytes of the `.mnn` file.
    pub(in crate::worker) bytes: &'a [u8],
    /// The second file, with the weights, if the model has one.
    pub(in crate::worker) weights: Option<&'a Path>,
}

/// An MNN model with its bytes.
pub(in crate::worker) struct OwnedMnnFile {
    /// The bytes of the `.mnn` file.
    pub(in crate::worker) bytes: Vec<u8>,
    /// The second file, with the weights, if the model has one.
    pub(in crate::worker) weights: Option<PathBuf>,
}

impl OwnedMnnFile {
    /// The model without its own copy of the bytes.
    pub(super) fn file(&self) -> MnnFile<'_> {
        MnnFile { bytes: &self.bytes, weights: self.weights.as_deref() }
    }
}
