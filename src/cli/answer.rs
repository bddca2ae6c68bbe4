//! Output of a result: JSON to a file or to stdout, text to the screen.

use super::args::OutputArgs;
use super::screen;
use crate::session::Failure;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// The failed writes. The command first reports its findings, and fails only then.
#[derive(Debug, Default)]
pub(super) struct Unwritten(Vec<Failure>);

impl Unwritten {
    /// Notes a failed write.
    pub(super) fn note(&mut self, written: Result<(), Failure>) {
        self.0.extend(written.err());
    }

    /// Returns the noted failures as one. The caller first reports all findings.
    pub(super) fn told(&mut self) -> Result<(), Failure> {
        std::mem::take(&mut self.0).into_iter().reduce(Failure::and).map_or(Ok(()), Err)
    }
}

impl FromIterator<Failure> for Unwritten {
    fn from_iter<I: IntoIterator<Item = Failure>>(failures: I) -> Self {
        Unwritten(failures.into_iter().collect())
    }
}

/// Writes `result` as JSON if requested, and prints text unless stdout contains JSON or `--quiet` is given. The text
/// comes before the failure of an unwritable file.
pub(super) fn give(
    output: &OutputArgs,
    result: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let written = match &output.json {
        Some(_) if output.json_to_stdout() => {
            screen::show(&format!("{}\n", json(result)?));
            Ok(())
        }
        Some(path) => write_json(path, result),
        None => Ok(()),
    };
    if !output.quiet && !output.json_to_stdout() {
        screen::show(&text());
    }
    written
}

/// Writes `result` as JSON to a file.
pub(super) fn write_json(path: &Path, result: &impl Serialize) -> Result<(), Failure> {
    write(path, json(result)? + "\n")
}

/// Writes `result` as JSON into a folder, next to its renderings, each with its own extension.
pub(super) fn write_forms(
    folder: &Path,
    stem: &str,
    result: &impl Serialize,
    renderings: [(&str, String); 2],
) -> Result<(), Failure> {
    let path = |ending: &str| folder.join(format!("{stem}.{ending}"));
    write_json(&path("json"), result)?;
    renderings.into_iter().try_for_each(|(ending, text)| write(&path(ending), text))
}

/// Writes a whole file.
pub(super) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    fs::write(path, content).map_err(|error| Failure::write(path, error))
}

/// `result` as JSON, without a line break at its end.
pub(super) fn json(result: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(result).map_err(|_| Failure::bug())
}
