//! The JSON Schema of a report, made from the types.

use super::document::{Report, SCHEMA};
use schemars::generate::SchemaSettings;

/// What readers of reports may rely on.
const PROMISE: &str = "The report of offby run, walk, fallback and bench. Within one version of the schema, fields keep \
their names, types and meanings. New optional fields and new values of enumerations may be added. Readers should \
ignore what they do not know.";

/// The JSON Schema (2020-12) of a report, as pretty-printed JSON.
pub fn report_schema() -> String {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Report>();
    schema.insert("title".into(), SCHEMA.into());
    schema.insert("description".into(), PROMISE.into());
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
