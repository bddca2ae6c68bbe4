//! Why a network was not converted.

use std::io;
use thiserror::Error;

/// Why a conversion produced no model.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// No converter is installed.
    #[error("there is no MNN converter here")]
    Missing,
    /// The converter refused the model.
    #[error("MNN's converter refuses the model: {reason}")]
    Refused {
        /// The line that names the reason.
        reason: String,
        /// All lines that the converter printed.
        words: Vec<String>,
    },
    /// The converter was still busy at the deadline.
    #[error("MNN's converter did not finish before the deadline")]
    TimedOut,
    /// The user ended the command.
    #[error("the command was interrupted")]
    Interrupted,
    /// Files could not be read or written.
    #[error("the conversion could not be stored: {0}")]
    Io(#[from] io::Error),
}
