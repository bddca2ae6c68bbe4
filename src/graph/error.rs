//! The errors of a file given as a model, and of the shapes given for it.

use super::{FileContent, ValueName};
use crate::tensor::ShapeText;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A file that cannot be used as a model.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The file does not exist.
    #[error("read model {path}: there is no such file")]
    Missing {
        /// The given path.
        path: PathBuf,
    },
    /// The path is a directory.
    #[error("read model {path}: it is a directory")]
    Directory {
        /// The given path.
        path: PathBuf,
    },
    /// The file is empty.
    #[error("read model {path}: the file is empty")]
    Empty {
        /// The given path.
        path: PathBuf,
    },
    /// The file exceeds the 2 GB limit of protobuf messages.
    #[error("read model {path}: {bytes} bytes are more than the 2 GB an ONNX file can have")]
    TooLarge {
        /// The given path.
        path: PathBuf,
        /// The file's size in bytes.
        bytes: u64,
    },
    /// The system refused to read the file.
    #[error("read model {path}: {source}")]
    Read {
        /// The given path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The bytes do not decode as protobuf.
    #[error("read model {path}: not an ONNX model ({content})")]
    NotOnnx {
        /// The given path.
        path: PathBuf,
        /// The guessed content.
        content: FileContent,
    },
    /// The bytes decode, but a part that every network needs is missing.
    #[error("read model {path}: not a complete ONNX model, it has no {missing}")]
    Incomplete {
        /// The given path.
        path: PathBuf,
        /// `graph`, `opset`, `nodes`, `outputs`.
        missing: &'static str,
    },
    /// The file with a tensor's bytes is missing or too short.
    #[error("read model {path}: of tensor `{tensor}`, {reason}")]
    ExternalData {
        /// The model.
        path: PathBuf,
        /// The tensor whose bytes are missing.
        tensor: String,
        /// The problem.
        reason: String,
    },
    /// An input is not a tensor of numbers.
    #[error("read model {path}: input `{input}` cannot be fed: {reason}")]
    Input {
        /// The model.
        path: PathBuf,
        /// The input.
        input: ValueName,
        /// Why the input cannot be fed.
        reason: String,
    },
}

impl ModelError {
    /// The advice for the user.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ModelError::Missing { path } => match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                Some(folder) if !folder.is_dir() => format!("the folder {} does not exist either", folder.display()),
                _ => "check the path; it is taken relative to the current directory".to_owned(),
            },
            ModelError::Directory { path } => format!("name a file in it, for example {}", path.join("model.onnx").display()),
            ModelError::Empty { .. } => "export or download it again".to_owned(),
            ModelError::TooLarge { .. } => {
                "save it with external data: onnx.save(m, path, save_as_external_data=True) in Python".to_owned()
            }
            ModelError::Read { .. } => "check the file's permissions".to_owned(),
            ModelError::NotOnnx { content, .. } => content.hint(),
            ModelError::Incomplete { .. } => FileContent::Unknown.hint(),
            ModelError::ExternalData { path, .. } => format!(
                "put the data file beside {}; it was written together with it",
                path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()
            ),
            ModelError::Input { .. } => "cut the model behind that input: `offby cut MODEL --from VALUE -o CUT.onnx`".to_owned(),
        })
    }
}

/// A shape that does not fit the model, or is still open.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ShapeError {
    /// The model has no input of that name.
    #[error("fix the shape of input `{name}`: the model has no such input")]
    UnknownInput {
        /// The given name.
        name: ValueName,
        /// The most similar input.
        closest: Option<ValueName>,
        /// The model's inputs.
        known: Vec<ValueName>,
    },
    /// More or fewer dimensions than the model declares.
    #[error("fix the shape of input `{name}`: {} has rank {}, the model declares {declared}", ShapeText(given), given.len())]
    Rank {
        /// The input.
        name: ValueName,
        /// The given shape.
        given: Vec<usize>,
        /// The declared shape, as text.
        declared: String,
    },
    /// A dimension differs from a number that the model, or a different input, has settled.
    #[error("fix the shape of input `{name}`: dimension {axis} is {settled}, not {given}")]
    Contradiction {
        /// The input.
        name: ValueName,
        /// The dimension, counted from 0.
        axis: usize,
        /// The given extent.
        given: usize,
        /// The settled extent.
        settled: usize,
    },
    /// A dimension is still a symbol.
    #[error("resolve input `{name}`: dimension {axis} of {declared} is open")]
    Open {
        /// The input.
        name: ValueName,
        /// The first open dimension, counted from 0.
        axis: usize,
        /// The declared shape, as text.
        declared: String,
        /// Example shapes for all inputs with open dimensions, as `--shape` takes them.
        examples: Vec<(ValueName, String)>,
    },
    /// The file does not state how many dimensions the input has.
    #[error("resolve input `{name}`: the model does not state its shape")]
    NoRank {
        /// The input.
        name: ValueName,
    },
    /// An input without elements leaves no values to compare.
    #[error("resolve input `{name}`: shape {} has no elements", ShapeText(shape))]
    NoElements {
        /// The input.
        name: ValueName,
        /// The shape.
        shape: Vec<usize>,
    },
    /// An input larger than offby's limit.
    #[error("resolve input `{name}`: shape {} needs more than {} GiB", ShapeText(shape), super::LARGEST_INPUT >> 30)]
    TooLarge {
        /// The input.
        name: ValueName,
        /// The shape.
        shape: Vec<usize>,
    },
}

impl ShapeError {
    /// The advice for the user.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ShapeError::UnknownInput { closest: Some(closest), .. } => {
                format!("did you mean `{closest}`?")
            }
            ShapeError::UnknownInput { known, .. } => {
                let known: Vec<&str> = known.iter().map(ValueName::as_str).collect();
                format!("the model's inputs are: {}", known.join(", "))
            }
            ShapeError::Rank { name, declared, .. } => {
                format!("give every dimension of {declared}: `--shape {name}=N,N,...`")
            }
            ShapeError::Contradiction { settled, axis, .. } => {
                format!("give {settled} for dimension {axis}")
            }
            ShapeError::Open { name, examples, .. } => {
                let shapes: Vec<String> = examples
                    .iter()
                    .map(|(name, shape)| format!("--shape {name}={shape}"))
                    .collect();
                let whose = if shapes.len() == 1 { "its shape" } else { "all shapes" };
                format!(
                    "give {whose}: `{}`; or files that have them: `--input {name}=FILE.npy`, `--input FOLDER`",
                    shapes.join(" ")
                )
            }
            ShapeError::NoRank { name } => format!("give its shape: `--shape {name}=1,3,224,224`"),
            ShapeError::NoElements { name, .. } => {
                format!(
                    "some exporters write 0 for an open dimension: give the shape with \
                     `--shape {name}=N,N,...`, where 0 is allowed, too"
                )
            }
            ShapeError::TooLarge { name, .. } => {
                format!("give a smaller shape: `--shape {name}=N,N,...`")
            }
        })
    }
}
