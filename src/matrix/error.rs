//! Why matrices cannot be read or merged.

use thiserror::Error;

/// An error in a matrix, or in a request for one.
#[derive(Debug, Error)]
pub enum MatrixError {
    /// The value of `--shard` is not a share.
    #[error("read the share `{0}`")]
    Shard(String),
    /// The file is not JSON, or its fields do not fit the schema.
    #[error("read the matrix {file}: {source}")]
    Json {
        /// The file.
        file: String,
        /// The error of the JSON reader.
        source: serde_json::Error,
    },
    /// The file has a different schema.
    #[error(
        "read the matrix {file}: its schema is `{schema}`, and this offby reads `{MATRIX_SCHEMA}`"
    )]
    Schema {
        /// The file.
        file: String,
        /// Its schema.
        schema: String,
    },
    /// Two rows have the same name, but differ in network, feeds or reference.
    #[error(
        "merge {file}: its row `{row}` has a different network, feed or reference in an earlier file"
    )]
    OtherRow {
        /// The file.
        file: String,
        /// The row.
        row: String,
    },
    /// Two files contradict each other about one cell.
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
        /// The sentence in the earlier file.
        first: String,
        /// The sentence in this file.
        second: String,
    },
    /// No file was given.
    #[error("merge nothing")]
    Nothing,
}

impl MatrixError {
    /// The next step for the user.
    pub fn hint(&self) -> &'static str {
        match self {
            MatrixError::Shard(_) => "a share is I/N, counted from 1: --shard 2/3",
            MatrixError::Json { .. } | MatrixError::Schema { .. } => {
                "give what `offby matrix` wrote with --json or --out, by this offby or an older one"
            }
            MatrixError::OtherRow { .. } => {
                "machines that are shown together need names: --system NAME"
            }
            MatrixError::OtherCell { .. } => {
                "machines that are shown together need names: --system NAME; to see what changed on one: --against EARLIER.json"
            }
            MatrixError::Nothing => "give at least one matrix",
        }
    }
}

/// The schema this version writes.
pub const MATRIX_SCHEMA: &str = "offby.matrix/1";
