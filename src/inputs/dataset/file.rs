//! What every kind of data set needs: endings of files, and refusals.

use crate::inputs::InputError;
use std::path::Path;

pub(super) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("").to_lowercase();
    endings.contains(&ending.as_str())
}

pub(super) fn refuse(path: &Path, problem: impl Into<String>, remedy: &'static str) -> InputError {
    InputError::Dataset { path: path.to_owned(), problem: problem.into(), remedy }
}
