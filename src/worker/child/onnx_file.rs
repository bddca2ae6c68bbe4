//! The file of an ONNX network, as a worker received it.

use crate::graph::{Model, ModelError};
use std::path::{Path, PathBuf};

/// A worker's name for a received network, which has no file.
const NETWORK: &str = "network.onnx";

/// The bytes of an ONNX file, and the folder of its external data if it has any.
#[derive(Clone, Copy)]
pub(in crate::worker) struct OnnxFile<'a> {
    pub(in crate::worker) bytes: &'a [u8],
    pub(in crate::worker) folder: Option<&'a Path>,
}

impl OnnxFile<'_> {
    /// The network, read and checked.
    pub(super) fn model(&self) -> Result<Model, ModelError> {
        let path =
            self.folder.map_or_else(|| PathBuf::from(NETWORK), |folder| folder.join(NETWORK));
        Model::from_bytes(self.bytes, &path)
    }
}
