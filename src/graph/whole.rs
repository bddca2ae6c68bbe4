//! A model in one piece, and the folder of a model in several pieces.

use super::external::{self, inline, is_external, tensors};
use super::zeros::encoded;
use super::{CutError, Model};
use prost::Message as _;
use std::path::{Path, PathBuf};

impl Model {
    /// The current model in one piece, for transfer: the bytes need no external data files.
    ///
    /// # Errors
    /// When external data cannot be read, or the result does not fit a protobuf message.
    pub fn to_whole_bytes(&self) -> Result<Vec<u8>, CutError> {
        if !self.has_external_data() {
            return Ok(self.to_bytes());
        }
        let mut proto = self.proto().clone();
        inline(&mut proto, self.folder())?;
        Ok(encoded(&proto))
    }

    /// The bytes of the model and its external data. What cannot be read counts as more than fits anywhere.
    pub fn size(&self) -> u64 {
        let outside = external::bytes(self.proto(), self.folder()).unwrap_or(u64::MAX);
        (self.proto().encoded_len() as u64).saturating_add(outside)
    }

    /// The absolute path of the folder with the model's external data; `None` if the model has none.
    pub fn data_folder(&self) -> Option<PathBuf> {
        // An empty path is the current folder.
        let folder = Path::new(".").join(self.folder());
        self.has_external_data().then(|| folder.canonicalize().unwrap_or(folder))
    }

    fn has_external_data(&self) -> bool {
        self.proto().graph.iter().flat_map(tensors).any(is_external)
    }

    fn folder(&self) -> &Path {
        self.path().parent().unwrap_or(Path::new(""))
    }
}
