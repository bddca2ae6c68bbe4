//! Refusals of files that are no dumps.

use crate::inputs::InputError;
use std::path::Path;

pub(super) fn refuse(path: &Path, problem: String) -> InputError {
    InputError::Dump { path: path.to_owned(), problem }
}
