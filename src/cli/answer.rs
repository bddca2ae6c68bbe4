//! Handing a result over: JSON to a file or to stdout, text to the screen.

use super::args::OutputArgs;
use super::failure::Failure;
use super::screen;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// Gives `result` as JSON where that was asked for, and as text unless stdout is taken or quiet.
pub(super) fn give(
    output: &OutputArgs,
    result: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match &output.json {
        Some(_) if output.json_to_stdout() => screen::show(&format!("{}\n", json(result)?)),
        Some(path) => write_json(path, result)?,
        None => {}
    }
    if !output.quiet && !output.json_to_stdout() {
        screen::show(&text());
    }
    Ok(())
}

/// Writes `result` as JSON to a file.
pub(super) fn write_json(path: &Path, result: &impl Serialize) -> Result<(), Failure> {
    fs::write(path, json(result)? + "\n").map_err(|error| Failure::write(path, error))
}

/// `result` as JSON, without a line break at its end.
pub(super) fn json(result: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(result).map_err(|_| Failure::bug())
}
