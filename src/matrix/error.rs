//! Why matrices cannot be read or merged.

use super::MATRIX_SCHEMA;
use thiserror::Error;

/// What is wrong with a matrix, or with what is asked of it.
#[derive(Debug, Error)]
pub enum MatrixError {
    /// `--shard` that is no share.
    #[error("read the share `{0}`")]
    Shard(String),
    /// No JSON, or its fields do not fit.
    #[error("read the matrix {file}: {source}")]
    Json {
        /// The file.
        file: String,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// Another schema.
    #[error(
        "read the matrix {file}: its schema is `{schema}`, and this offby reads `{MATRIX_SCHEMA}`"
    )]
    Schema {
        /// The file.
        file: String,
        /// Its schema.
        schema: String,
    },
    /// Rows of one name that are not the same network, feeds and reference.
    #[error(
        "merge {file}: its row `{row}` is another network than that of an earlier file, was fed otherwise, or has another reference"
    )]
    OtherRow {
        /// The file.
        file: String,
        /// The row.
        row: String,
    },
    /// A cell that says different things.
    #[error(
        "merge {file}: its cell `{row}` on {target} does not say what an earlier file says: `{second}`, not `{first}`"
    )]
    OtherCell {
        /// The file.
        file: String,
        /// The row.
        row: String,
        /// The column.
        target: String,
        /// What the earlier file says.
        first: String,
        /// What this one says.
        second: String,
    },
    /// No file at all.
    #[error("merge nothing")]
    Nothing,
}

impl MatrixError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            MatrixError::Shard(_) => "a share is I/N, counted from 1: --shard 2/3",
            MatrixError::Json { .. } | MatrixError::Schema { .. } => {
                "give what `offby matrix` wrote with --json or --out, by this offby or an older one"
            }
            MatrixError::OtherRow { .. } => {
                "machines that are to stand side by side need names: --system NAME"
            }
            MatrixError::OtherCell { .. } => {
                "machines that are to stand side by side need names: --system NAME; to see what changed on one: --against EARLIER.json"
            }
            MatrixError::Nothing => "give at least one matrix",
        }
    }
}
