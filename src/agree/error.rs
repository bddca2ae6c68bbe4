//! Why results over a data set cannot be read or merged.

use thiserror::Error;

/// What is wrong with a saved result.
#[derive(Debug, Error)]
pub enum AgreeError {
    /// The file is no JSON, or its fields do not fit.
    #[error("read the result {file}: {source}")]
    Json {
        /// The file.
        file: String,
        /// Which field does not fit.
        source: serde_json::Error,
    },
    /// The file has a different schema.
    #[error(
        "read the result {file}: its schema is `{schema}`, and this offby reads `{AGREE_SCHEMA}`"
    )]
    Schema {
        /// The file.
        file: String,
        /// Its schema.
        schema: String,
    },
    /// The file is not a share of the same run.
    #[error("merge {file}: its {what} differs from the first file's")]
    Other {
        /// The file.
        file: String,
        /// Which part differs.
        what: &'static str,
    },
    /// The merge would count inputs twice.
    #[error("merge {file}: its share {share} was merged already, or it is no share")]
    Twice {
        /// The file.
        file: String,
        /// The repeated share.
        share: String,
    },
    /// The user named no file.
    #[error("merge: no results are given")]
    Nothing,
}

impl AgreeError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            AgreeError::Json { .. } | AgreeError::Schema { .. } | AgreeError::Nothing => {
                "give what `offby agree --shard` wrote with --json or --out"
            }
            AgreeError::Other { .. } => {
                "merge the shares of one run: same network, data, targets and options"
            }
            AgreeError::Twice { .. } => "give every share once",
        }
    }
}

/// The schema that this version writes.
pub const AGREE_SCHEMA: &str = "offby.agree/1";
