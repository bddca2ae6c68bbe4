//! All errors in the feeds that the user asks for.

use crate::graph::{ShapeError, TensorProtoError, ValueName};
use crate::tensor::{Dtype, NpyError, ShapeText};
use std::path::PathBuf;
use thiserror::Error;

/// A feed that cannot be read or drawn.
#[derive(Debug, Error)]
pub enum InputError {
    /// The spec is neither a known word nor a file of a known kind.
    #[error(
        "read input spec `{spec}`: it is neither a known spec nor a .npy, .pb, .png or .jpg file"
    )]
    UnknownSpec {
        /// The spec as given.
        spec: String,
        /// The most similar known word.
        closest: Option<&'static str>,
    },
    /// A folder or an archive has no file for any input.
    #[error("feed inputs from {}: it has none of them", path.display())]
    NothingInside {
        /// The folder or archive.
        path: PathBuf,
        /// The model's inputs.
        known: Vec<ValueName>,
    },
    /// An archive cannot be read.
    #[error("read {}: {problem}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with the archive.
        problem: String,
    },
    /// A dump cannot be read.
    #[error("read the dump {}: {problem}", path.display())]
    Dump {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A known word has wrong arguments.
    #[error("read input spec `{spec}`: {problem}")]
    Argument {
        /// The spec as given.
        spec: String,
        /// What is wrong with the arguments.
        problem: String,
        /// How the spec is written.
        usage: &'static str,
    },
    /// The model has no input of that name.
    #[error("feed input `{name}`: the model has no such input")]
    UnknownInput {
        /// The name given.
        name: String,
        /// The most similar input.
        closest: Option<ValueName>,
        /// The model's inputs.
        known: Vec<ValueName>,
    },
    /// A spec has no name, and the model does not have exactly one input.
    #[error("feed `{spec}`: it names no input, and the model has {} of them", known.len())]
    Unnamed {
        /// The spec as given.
        spec: String,
        /// The model's inputs.
        known: Vec<ValueName>,
    },
    /// One input has two specs.
    #[error("feed input `{name}`: it is given twice")]
    Twice {
        /// The input.
        name: ValueName,
    },
    /// The spec makes no sense for the element type, or does not fit it.
    #[error("feed input `{name}` with `{spec}`: {problem}")]
    Unfit {
        /// The input.
        name: ValueName,
        /// The spec.
        spec: String,
        /// Why the spec does not fit.
        problem: String,
        /// Which spec fits.
        remedy: String,
    },
    /// The file has a value that the input's element type lacks.
    #[error(
        "feed input `{name}` from {path}: it holds {found}, the input is {wanted}, and {value} is no {wanted}"
    )]
    FileDtype {
        /// The input.
        name: ValueName,
        /// The file.
        path: PathBuf,
        /// The file's element type.
        found: Dtype,
        /// The input's element type.
        wanted: Dtype,
        /// The first value that the input's type lacks.
        value: f64,
    },
    /// The file's shape differs from the input's.
    #[error(
        "feed input `{name}` from {path}: its shape is {}, the input's {}",
        ShapeText(found),
        ShapeText(wanted)
    )]
    FileShape {
        /// The input.
        name: ValueName,
        /// The file.
        path: PathBuf,
        /// The file's shape.
        found: Vec<usize>,
        /// The input's shape.
        wanted: Vec<usize>,
    },
    /// An input's shape is unknown.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A `.npy` file cannot be read.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// A `.pb` file cannot be read.
    #[error(transparent)]
    TensorProto(#[from] TensorProtoError),
    /// An image cannot be read.
    #[error("feed input `{name}` from {path}: {problem}")]
    Picture {
        /// The input.
        name: ValueName,
        /// The image file.
        path: PathBuf,
        /// Why the image cannot be read.
        problem: String,
    },
    /// A data set cannot be read.
    #[error("read the data set {path}: {problem}")]
    Dataset {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with the data set.
        problem: String,
        /// What the user can do.
        remedy: &'static str,
    },
    /// `--mean` or `--std` cannot be used.
    #[error("normalize images: {problem}")]
    Normalization {
        /// What is wrong with the numbers.
        problem: String,
    },
}

impl InputError {
    /// What the user can do about the error.
    pub fn hint(&self) -> Option<String> {
        let inputs = |known: &[ValueName]| match known {
            [] => "the model has no inputs: leave `--input` out".to_owned(),
            known => {
                let known: Vec<&str> = known.iter().map(ValueName::as_str).collect();
                format!("write `--input NAME=SPEC`; the model's inputs are: {}", known.join(", "))
            }
        };
        Some(match self {
            InputError::UnknownSpec { closest: Some(closest), .. } => {
                format!("did you mean `{closest}`?")
            }
            InputError::UnknownSpec { .. } => {
                format!("write one of: {}", USAGES.join(", "))
            }
            InputError::NothingInside { known, .. } => {
                let known: Vec<String> = known.iter().map(|name| format!("{name}.npy")).collect();
                format!(
                    "a folder has {}, or input_0.pb and so on; an .npz has an array for each",
                    known.join(", ")
                )
            }
            InputError::Archive { .. } => {
                "an archive is what numpy.savez(file, INPUT=array) writes".to_owned()
            }
            InputError::Argument { usage, .. } => format!("write `{usage}`"),
            InputError::UnknownInput { closest: Some(closest), .. } => {
                format!("did you mean `{closest}`?")
            }
            InputError::UnknownInput { known, .. } | InputError::Unnamed { known, .. } => {
                inputs(known)
            }
            InputError::Twice { name } => format!("keep one `--input {name}=...`"),
            InputError::Unfit { remedy, .. } => remedy.clone(),
            InputError::FileDtype { path, wanted, .. } => dtype_hint(path, *wanted),
            InputError::FileShape { path, found, wanted, .. } => shape_hint(path, found, wanted),
            InputError::Dump { .. } => {
                "a dump is an .npz or .safetensors file, or a folder of .npy, .pb or .tensorproto files, \
                 or of raw files with a manifest.json of name, file, dtype and shape; a .raw file without one holds f32"
                    .to_owned()
            }
            InputError::Shape(error) => return error.hint(),
            InputError::Npy(_) => "write it in Python with numpy.save".to_owned(),
            InputError::TensorProto(error) => return error.hint(),
            InputError::Picture { .. } => {
                "an image feeds an input of shape N x 3 x H x W (or N x 1 x H x W) of floats; \
                 prepare others as a .npy"
                    .to_owned()
            }
            InputError::Dataset { remedy, .. } => (*remedy).to_owned(),
            InputError::Normalization { .. } => {
                "give one number, or three: `--mean 0.485,0.456,0.406`".to_owned()
            }
        })
    }
}

fn dtype_hint(path: &std::path::Path, wanted: Dtype) -> String {
    let numpy = match wanted {
        Dtype::F32 => "float32",
        Dtype::F16 => "float16",
        Dtype::F64 => "float64",
        // Numpy has no bfloat16, so f32 values that are exactly bf16 are accepted.
        Dtype::Bf16 => return "give a .npy whose values are exactly bf16".to_owned(),
        Dtype::I8 => "int8",
        Dtype::I16 => "int16",
        Dtype::I32 => "int32",
        Dtype::I64 => "int64",
        Dtype::U8 => "uint8",
        Dtype::U16 => "uint16",
        Dtype::U32 => "uint32",
        Dtype::U64 => "uint64",
        Dtype::Bool => "bool_",
    };
    let path = path.display();
    format!(
        "convert it in Python, so you decide how to round: numpy.save(\"{path}\", a.astype(numpy.{numpy}))"
    )
}

fn shape_hint(path: &std::path::Path, found: &[usize], wanted: &[usize]) -> String {
    if found.iter().product::<usize>() == wanted.iter().product::<usize>() {
        format!(
            "it has as many elements: numpy.save(\"{}\", a.reshape({wanted:?}))",
            path.display()
        )
    } else {
        "give a file of the input's shape, or set the input's with `--shape`".to_owned()
    }
}

/// The notation of every spec, for hints and help.
pub(super) const USAGES: [&str; 11] = [
    "arange",
    "ones",
    "zeros",
    "const:VALUE",
    "sine",
    "normal:SEED",
    "uniform:LO,HI,SEED",
    "edge:SEED",
    "ids:SEED",
    "a .npy, .pb, .png or .jpg file",
    "a folder or an .npz with an array for each input",
];
