//! Handing a result over: JSON to a file or to stdout, text to the screen.

use super::args::OutputArgs;
use super::screen;
use crate::session::Failure;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// What could not be written. It does not keep what was found from being told; then it is a failure.
#[derive(Debug, Default)]
pub(super) struct Unwritten(Vec<Failure>);

impl Unwritten {
    /// Notes what did not succeed.
    pub(super) fn note(&mut self, written: Result<(), Failure>) {
        self.0.extend(written.err());
    }

    /// The failure, once all that can be told is told.
    pub(super) fn told(&mut self) -> Result<(), Failure> {
        std::mem::take(&mut self.0).into_iter().reduce(Failure::and).map_or(Ok(()), Err)
    }
}

impl FromIterator<Failure> for Unwritten {
    fn from_iter<I: IntoIterator<Item = Failure>>(failures: I) -> Self {
        Unwritten(failures.into_iter().collect())
    }
}

/// Gives `result` as JSON where that was asked for, and as text unless stdout is taken or quiet. A file that cannot
/// be written is told after the text.
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

/// Writes `result` into a folder as JSON, and its renderings beside it, each under its own ending.
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
