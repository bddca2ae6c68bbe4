//! Input specs: the user's notation for what to feed.

use super::error::USAGES;
use super::{InputError, Normalization};
use crate::graph::closest;
use crate::tensor::Dtype;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

const WORDS: [&str; 9] =
    ["arange", "ones", "zeros", "const", "sine", "normal", "uniform", "edge", "ids"];

/// What to feed one input, before its shape and element type are known.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// 0, 1, 2, ... over the flat index. Integers start again at 0 at the end of their type.
    Arange,
    /// All ones.
    Ones,
    /// All zeros.
    Zeros,
    /// One value everywhere.
    Constant(WrittenNumber),
    /// `2*sin(0.37*i)` over the flat index `i`, in f32 arithmetic; floats only.
    Sine,
    /// Standard normal numbers; floats only.
    Normal {
        /// The seed.
        seed: u64,
    },
    /// Evenly spread from `low` up to, but without, `high`. Integers get whole numbers.
    Uniform {
        /// The smallest value.
        low: WrittenNumber,
        /// The end of the range.
        high: WrittenNumber,
        /// The seed.
        seed: u64,
    },
    /// Finite values that are hard on an engine: zeros of both signs, subnormals, format limits.
    Edge {
        /// The seed.
        seed: u64,
    },
    /// Indices into the rows that the network looks up with this input, all equally likely; integers only.
    Ids {
        /// The seed.
        seed: u64,
    },
    /// A numpy file.
    Npy(PathBuf),
    /// A serialized ONNX `TensorProto`.
    Pb(PathBuf),
    /// An array of an archive that `numpy.savez` wrote.
    Npz {
        /// The archive.
        path: PathBuf,
        /// The name of the array.
        member: String,
    },
    /// A PNG or JPEG file, resized to the input and normalized.
    Picture {
        /// The file.
        path: PathBuf,
        /// The normalization of its values 0..=255.
        normalization: Normalization,
    },
}

impl Spec {
    /// The spec for an input if neither the user nor the network says more. Floats get a normal distribution.
    /// Integers and booleans get 0 or 1 with equal odds, because both are indices of any table.
    pub fn default_for(dtype: Dtype, seed: u64) -> Self {
        match dtype.is_float() {
            true => Spec::Normal { seed },
            false => {
                Spec::Uniform { low: WrittenNumber::from(0), high: WrittenNumber::from(2), seed }
            }
        }
    }
}

/// A number as the user wrote it, so large integers are not rounded on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenNumber {
    text: String,
    value: f64,
    whole: Option<i128>,
}

impl WrittenNumber {
    /// The nearest f64.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The exact integer, if the number is an integer.
    pub fn whole(&self) -> Option<i128> {
        self.whole
    }
}

impl From<i64> for WrittenNumber {
    fn from(value: i64) -> Self {
        WrittenNumber {
            text: value.to_string(),
            value: value as f64,
            whole: Some(i128::from(value)),
        }
    }
}

impl FromStr for WrittenNumber {
    type Err = std::num::ParseFloatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // An f64 written as `1e5` counts as an integer up to 2^100.
        const LARGEST: f64 = 1.267_650_600_228_229_4e30;
        let value: f64 = text.parse()?;
        let from_value = || (value % 1.0 == 0.0 && value.abs() <= LARGEST).then_some(value as i128);
        let whole = text.parse().ok().or_else(from_value);
        Ok(WrittenNumber { text: text.to_owned(), value, whole })
    }
}

impl fmt::Display for WrittenNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Spec {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let (word, arguments) = match text.split_once(':') {
            Some((word, arguments)) => (word, Some(arguments)),
            None => (text, None),
        };
        let refuse = |problem: &str, usage| {
            Err(InputError::Argument { spec: text.to_owned(), problem: problem.to_owned(), usage })
        };
        match (word, arguments) {
            ("arange", None) => Ok(Spec::Arange),
            ("ones", None) => Ok(Spec::Ones),
            ("zeros", None) => Ok(Spec::Zeros),
            ("sine", None) => Ok(Spec::Sine),
            ("arange" | "ones" | "zeros" | "sine", Some(_)) => refuse(
                "it takes no arguments",
                USAGES.iter().find(|usage| **usage == word).copied().unwrap_or("sine"),
            ),
            ("const", _) => match arguments.unwrap_or("").parse() {
                Ok(number) => Ok(Spec::Constant(number)),
                Err(_) => refuse("its value is not a number", "const:VALUE"),
            },
            ("normal", _) => seed(arguments)
                .map(|seed| Spec::Normal { seed })
                .or_else(|p| refuse(p, "normal:SEED")),
            ("edge", _) => {
                seed(arguments).map(|seed| Spec::Edge { seed }).or_else(|p| refuse(p, "edge:SEED"))
            }
            ("ids", _) => {
                seed(arguments).map(|seed| Spec::Ids { seed }).or_else(|p| refuse(p, "ids:SEED"))
            }
            ("uniform", _) => {
                uniform(arguments.unwrap_or("")).or_else(|p| refuse(p, "uniform:LO,HI,SEED"))
            }
            _ => file(text),
        }
    }
}

/// The seed after the colon, or 0 without arguments.
fn seed(arguments: Option<&str>) -> Result<u64, &'static str> {
    arguments
        .map_or(Ok(0), |text| text.parse().map_err(|_| "its seed is not a whole number from 0"))
}

fn uniform(arguments: &str) -> Result<Spec, &'static str> {
    let mut parts = arguments.split(',').map(str::trim);
    let mut bound = || {
        parts
            .next()
            .and_then(|text| text.parse::<WrittenNumber>().ok())
            .filter(|n| n.value.is_finite())
    };
    let (Some(low), Some(high)) = (bound(), bound()) else {
        return Err("its bounds are not two numbers");
    };
    let seed = seed(parts.next())?;
    if parts.next().is_some() {
        return Err("it has more than three arguments");
    }
    if low.value >= high.value {
        return Err("its lower bound is not below its upper bound");
    }
    Ok(Spec::Uniform { low, high, seed })
}

fn file(text: &str) -> Result<Spec, InputError> {
    let path = PathBuf::from(text);
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
    match extension.as_str() {
        "npy" => Ok(Spec::Npy(path)),
        "pb" => Ok(Spec::Pb(path)),
        "png" | "jpg" | "jpeg" => {
            Ok(Spec::Picture { path, normalization: Normalization::default() })
        }
        _ => {
            let word = text.split(':').next().unwrap_or(text);
            Err(InputError::UnknownSpec { spec: text.to_owned(), closest: closest(word, WORDS) })
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |path: &Path| path.display().to_string();
        match self {
            Spec::Arange => f.pad("arange"),
            Spec::Ones => f.pad("ones"),
            Spec::Zeros => f.pad("zeros"),
            Spec::Constant(value) => write!(f, "const:{value}"),
            Spec::Sine => f.pad("sine"),
            Spec::Normal { seed } => write!(f, "normal:{seed}"),
            Spec::Uniform { low, high, seed } => write!(f, "uniform:{low},{high},{seed}"),
            Spec::Edge { seed } => write!(f, "edge:{seed}"),
            Spec::Ids { seed } => write!(f, "ids:{seed}"),
            Spec::Npy(path) | Spec::Pb(path) => f.pad(&show(path)),
            Spec::Npz { path, member } => write!(f, "{}[{member}]", show(path)),
            Spec::Picture { path, normalization } => write!(f, "{}{normalization}", show(path)),
        }
    }
}
