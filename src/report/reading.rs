//! Reading a saved report: its schema first, then its fields. Reports of an older offby are read. Reports of a
//! newer one are refused, because their fields may have a different meaning.

use super::cases::CASES_SCHEMA;
use super::document::{Report, SCHEMA};
use crate::matrix::MATRIX_SCHEMA;
use serde::Deserialize;
use thiserror::Error;

/// Why a file is not a report that can be rendered.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file is not JSON, or its fields do not fit the schema.
    #[error("read the report: {0}")]
    Json(#[from] serde_json::Error),
    /// The file is JSON without a schema.
    #[error("read the report: it has no `schema`, so offby did not write it")]
    NoSchema,
    /// A later version of the same schema.
    #[error("read the report: its schema is `{0}`, and this offby reads `{SCHEMA}`")]
    Newer(String),
    /// The file of a different program, or a different kind of report.
    #[error("read the report: its schema is `{0}`, not `{SCHEMA}`")]
    Foreign(String),
    /// A report of a command whose reports are rendered when they are written.
    #[error("render a report of `offby {0}`")]
    Command(String),
}

impl ReadError {
    /// The next step for the user.
    pub fn hint(&self) -> &'static str {
        match self {
            ReadError::Json(_) | ReadError::NoSchema => {
                "give the report.json of `offby run` or `offby walk`, or what --json wrote"
            }
            ReadError::Newer(_) => "update offby: a newer one wrote this file",
            ReadError::Foreign(schema) if schema == CASES_SCHEMA => {
                "`offby case run` writes its own JUnit XML with --junit"
            }
            ReadError::Foreign(schema) if schema == MATRIX_SCHEMA => {
                "`offby matrix --from FILE --out DIR` renders a matrix"
            }
            ReadError::Foreign(_) => "only reports of `offby run` and `offby walk` are rendered",
            ReadError::Command(_) => {
                "`offby shrink` writes summary.md next to its report; `offby run` and `offby walk` write what can be rendered"
            }
        }
    }
}

/// The schema and the command, read before all other fields.
#[derive(Deserialize)]
struct ReportHead {
    schema: Option<String>,
    command: Option<String>,
}

/// Reads a report.
///
/// # Errors
/// If the text is not JSON, has a different schema, lacks a required field, or is a report of `offby shrink`.
pub fn read_report(text: &str) -> Result<Report, ReadError> {
    let head: ReportHead = serde_json::from_str(text)?;
    let schema = head.schema.ok_or(ReadError::NoSchema)?;
    match number(&schema).zip(number(SCHEMA)) {
        Some((given, known)) if given > known => return Err(ReadError::Newer(schema)),
        Some((given, known)) if given == known => {}
        _ => return Err(ReadError::Foreign(schema)),
    }
    match head.command.as_deref() {
        Some("shrink") => Err(ReadError::Command("shrink".into())),
        _ => Ok(serde_json::from_str(text)?),
    }
}

/// The version number in the schema of a report.
fn number(schema: &str) -> Option<u32> {
    let (name, _) = SCHEMA.split_once('/')?;
    schema.strip_prefix(name)?.strip_prefix('/')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_and_newer_schemas_are_refused_with_a_hint() {
        let refused = |text: &str| read_report(text).unwrap_err();
        assert!(matches!(refused("[1"), ReadError::Json(_)));
        assert!(matches!(refused("{}"), ReadError::NoSchema));
        assert!(matches!(refused(r#"{"schema":"offby.report/2"}"#), ReadError::Newer(_)));
        assert!(matches!(refused(r#"{"schema":"offby.report/0"}"#), ReadError::Foreign(_)));
        assert!(matches!(refused(r#"{"schema":"sarif/2"}"#), ReadError::Foreign(_)));
        let cases = refused(r#"{"schema":"offby.cases/1"}"#);
        assert!(cases.hint().contains("--junit"));
        assert!(refused(r#"{"schema":"offby.matrix/1"}"#).hint().contains("offby matrix"));
        let shrunk = refused(r#"{"schema":"offby.report/1","command":"shrink"}"#);
        assert!(matches!(shrunk, ReadError::Command(_)));
        assert!(matches!(refused(r#"{"schema":"offby.report/1"}"#), ReadError::Json(_)));
    }
}
