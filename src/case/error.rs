//! The errors of a case file.

use super::text::HINT;
use crate::graph::closest;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A case file that cannot be used.
#[derive(Debug, Error)]
pub enum CaseError {
    /// The system refused to read the file, or the bytes are not text.
    #[error("read case {path}: {source}")]
    Read {
        /// The case file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The text is not YAML, or does not describe a case.
    #[error("read case {path}:{line}:{column}: {problem}")]
    Document {
        /// The case file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// The problem, after the key's path: `targets[0].on: ...`.
        problem: String,
        /// The advice for the user.
        hint: String,
    },
    /// The model file is missing.
    #[error("read case {path}:{line}: model: there is no file {model}")]
    Model {
        /// The case file.
        path: PathBuf,
        /// The line of `model`, counted from 1.
        line: usize,
        /// The model file.
        model: PathBuf,
    },
    /// Two cases have the same id.
    #[error("read case {path}:{line}: id: `{id}` is the id of {other}:{other_line}, too")]
    Twice {
        /// The case file.
        path: PathBuf,
        /// The line of `id`, counted from 1.
        line: usize,
        /// The id.
        id: String,
        /// The case file that was read first.
        other: PathBuf,
        /// The line of the id in the first file.
        other_line: usize,
    },
    /// The file cannot be written.
    #[error("write case {path}: {source}")]
    Write {
        /// The case file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl CaseError {
    /// The error of YAML's reader for a case file.
    pub(super) fn document(path: &Path, error: &serde_yaml::Error) -> Self {
        let Mistake { line, column, problem, hint } = Mistake::of(error, path, SHAPE);
        CaseError::Document { path: path.to_owned(), line, column, problem, hint }
    }

    /// The advice for the user.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            CaseError::Read { source, .. } if source.kind() == io::ErrorKind::InvalidData => {
                "a case file is YAML text; `offby run` takes an .onnx model".to_owned()
            }
            CaseError::Read { .. } => "check the path and the file's permissions".to_owned(),
            CaseError::Document { hint, .. } => hint.clone(),
            CaseError::Model { .. } => "a model's path starts at the case file's folder".to_owned(),
            CaseError::Twice { .. } => "give one of the two a different id".to_owned(),
            CaseError::Write { .. } => "see that the folder exists and can be written".to_owned(),
        })
    }
}

/// The required keys of every case.
const SHAPE: &str = "every case has an id, a title and a model; every target says `on`, every expectation its verdict";

/// An error of YAML's reader, split into place, problem and hint.
pub(super) struct Mistake {
    /// The line, counted from 1.
    pub(super) line: usize,
    /// The column, counted from 1.
    pub(super) column: usize,
    /// The problem, after the key's path.
    pub(super) problem: String,
    /// The advice for the user.
    pub(super) hint: String,
}

impl Mistake {
    /// The mistake in a document; `shape` describes the required keys.
    pub(super) fn of(error: &serde_yaml::Error, path: &Path, shape: &str) -> Self {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let said = error.to_string().replace('\n', " ");
        // The place is shown once, before the problem.
        let said = said.replace(&format!(" at line {line} column {column}"), "");
        let (problem, hint) = match said.split_once(HINT) {
            Some((problem, hint)) => (problem.to_owned(), hint.to_owned()),
            None => (said.clone(), hint(path, &said, shape)),
        };
        Mistake { line, column, problem, hint }
    }
}

/// The hint for serde's and YAML's own messages.
fn hint(path: &Path, said: &str, shape: &str) -> String {
    let mut quoted = said.split('`').skip(1).step_by(2);
    let asked = ["unknown field", "unknown variant"].iter().any(|word| said.contains(word));
    if let (true, Some(given)) = (asked, quoted.next()) {
        if given.contains(' ') {
            return "text with a comma between { and } needs quotes".to_owned();
        }
        return closest(given, quoted)
            .map_or("write one of those".to_owned(), |meant| format!("did you mean `{meant}`?"));
    }
    if said.contains("missing field") {
        return shape.to_owned();
    }
    if path.extension().is_some_and(|extension| extension == "onnx") {
        return "a case file is YAML text; `offby run` takes an .onnx model".to_owned();
    }
    "correct that line; text with `: ` or ` #` in it needs quotes".to_owned()
}
