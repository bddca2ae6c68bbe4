//! offby's own failures as the terminal shows them: what happened, why, and what to do.

use crate::agree::AgreeError;
use crate::bundle::{ArchiveError, ManifestError};
use crate::case::{CaseError, DeviceError, TargetsError};
use crate::compare::Incomparable;
use crate::decode::DecodeError;
use crate::engine::{TargetError, ViaError};
use crate::graph::{CutError, ModelError, ShapeError};
use crate::inputs::InputError;
use crate::matrix::MatrixError;
use crate::report::ReadError;
use crate::tensor::NpyError;
use crate::walk::Stopped;
use anyhow::Error;
use std::io;
use std::path::Path;

/// A failure of offby itself, with a hint if the user can act.
#[derive(Debug)]
pub struct Failure {
    error: Error,
    hint: Option<String>,
}

impl Failure {
    /// A failure in words that follow "failed to".
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure { error: Error::msg(what.into()), hint: Some(hint.into()) }
    }

    /// The failure for a caught panic.
    pub fn bug() -> Self {
        Failure::new(
            "go on: this is a bug in offby",
            "please report it with the lines above and the command",
        )
    }

    /// The failure of a worker that lost its parent.
    pub fn worker(error: io::Error) -> Self {
        Failure::new(
            format!("serve: {error}"),
            "`offby worker` is started by offby itself, not by hand",
        )
    }

    /// The failure to write a file.
    pub fn write(path: &Path, error: impl std::fmt::Display) -> Self {
        Failure::new(
            format!("write {}: {error}", path.display()),
            "see that the folder exists and can be written",
        )
    }

    /// Joins two failures into one.
    pub fn and(self, other: Failure) -> Self {
        let hints: Vec<String> = self.hint.iter().chain(&other.hint).cloned().collect();
        let text = format!("{}; and to {}", self.text(), other.text());
        Failure { error: Error::msg(text), hint: (!hints.is_empty()).then(|| hints.join("; ")) }
    }

    /// The failure and its causes on one line.
    pub fn line(&self) -> String {
        format!("failed to {}", self.text())
    }

    /// The error and its causes. An error that ends with its cause is not followed by it again.
    fn text(&self) -> String {
        let causes = self.error.chain().map(|cause| cause.to_string().replace('\n', " "));
        let join = |text: String, cause: String| match text.ends_with(&cause) {
            true => text,
            false => format!("{text}: {cause}"),
        };
        causes.reduce(join).unwrap_or_default()
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line())
    }
}

impl std::error::Error for Failure {}

impl From<NpyError> for Failure {
    fn from(error: NpyError) -> Self {
        let hint = "offby reads numpy's .npy files of plain numbers, as numpy.save writes them";
        Failure { error: error.into(), hint: Some(hint.into()) }
    }
}

impl From<Incomparable> for Failure {
    fn from(error: Incomparable) -> Self {
        Failure { error: Error::msg(error.to_string()), hint: None }
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Dump(error) => Failure::from(error),
            Stopped::Reference(reason) => Failure::new(
                format!("walk the values: {reason}"),
                "the reference must be able to compute each node",
            ),
        }
    }
}

macro_rules! hinted {
    ($($error:ty),+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let hint = Option::<String>::from(error.hint().to_owned());
                Failure { error: error.into(), hint }
            }
        })+
    };
}
hinted!(
    ModelError,
    ShapeError,
    InputError,
    CutError,
    CaseError,
    ReadError,
    ArchiveError,
    ManifestError,
    TargetsError,
    MatrixError,
    AgreeError
);

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        let hint = error.hint();
        Failure { error: error.into(), hint: Some(hint) }
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        let hint = error.hint();
        Failure { error: error.into(), hint: Some(hint) }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        let hint = error.hint().to_owned();
        Failure { error: error.into(), hint: Some(hint) }
    }
}

impl From<ViaError> for Failure {
    fn from(error: ViaError) -> Self {
        let hint = error.hint().to_owned();
        Failure { error: error.into(), hint: Some(hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;

    #[test]
    fn a_cause_is_said_once() {
        let failure = Failure::from(Case::load(Path::new("no such case.yaml")).unwrap_err());
        let cause = io::Error::from_raw_os_error(2).to_string();
        assert_eq!(failure.line(), format!("failed to read case no such case.yaml: {cause}"));
    }
}
