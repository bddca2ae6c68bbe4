//! A model in one piece.

use super::external::{inline, is_external, tensors};
use super::zeros::encoded;
use super::{CutError, Model};
use std::path::Path;

impl Model {
    /// The current model in one piece, for transfer: the bytes need no external data files.
    ///
    /// # Errors
    /// When external data cannot be read, or the result does not fit a protobuf message.
    pub fn to_whole_bytes(&self) -> Result<Vec<u8>, CutError> {
        if !self.proto().graph.iter().flat_map(tensors).any(is_external) {
            return Ok(self.to_bytes());
        }
        let mut proto = self.proto().clone();
        inline(&mut proto, self.path().parent().unwrap_or(Path::new("")))?;
        Ok(encoded(&proto))
    }
}
