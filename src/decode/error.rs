//! Why a network cannot be decoded, or a saved result cannot be read.

use thiserror::Error;

/// What is wrong with a decoder, its tokens or a saved result.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The network lacks a part of a decoder.
    #[error("use {model} as a decoder: {lacks}")]
    NoDecoder {
        /// The file.
        model: String,
        /// What is missing.
        lacks: String,
        /// What the user can do.
        hint: String,
    },
    /// The tokens cannot be read.
    #[error("read the tokens `{text}`: {problem}")]
    Tokens {
        /// The argument.
        text: String,
        /// What is wrong.
        problem: String,
    },
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
        "read the result {file}: its schema is `{schema}`, and this offby reads `{DECODE_SCHEMA}`"
    )]
    Schema {
        /// The file.
        file: String,
        /// Its schema.
        schema: String,
    },
}

impl DecodeError {
    /// What the user can do.
    pub fn hint(&self) -> String {
        match self {
            DecodeError::NoDecoder { hint, .. } => hint.clone(),
            DecodeError::Tokens { .. } => {
                "give numbers such as 1,15,27, a text file of numbers, or random:LENGTH,SEED".into()
            }
            DecodeError::Json { .. } | DecodeError::Schema { .. } => {
                "give what `offby decode` wrote with --json or --out".into()
            }
        }
    }
}

/// The schema that this version writes.
pub const DECODE_SCHEMA: &str = "offby.decode/1";
