//! The case file: its keys, and reading and writing it.

use super::text::TextForm;
use super::yaml::read_yaml;
use super::{CaseError, text};
use crate::compare::{Format, Rounding};
use crate::engine::Target;
use crate::graph::ValueName;
use crate::inputs::Spec;
use crate::verdict::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io};

/// One network, its inputs, and the expected results of targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A short name, unique among cases: letters, digits, `.`, `_` and `-`.
    #[serde(deserialize_with = "text::id")]
    pub id: String,
    /// The subject of the case in one line.
    pub title: String,
    /// The web address of the first report of the divergence.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::address")]
    pub upstream: Option<String>,
    /// The sort of divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<CaseKind>,
    /// The ONNX file, relative to the case file.
    pub model: PathBuf,
    /// The part of the model to keep; the whole model if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<CaseCut>,
    /// The inputs to feed, as `--input` takes them. Inputs without an entry get their default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "text::map")]
    pub inputs: BTreeMap<ValueName, Spec>,
    /// The target that counts as right.
    #[serde(default = "tract", skip_serializing_if = "is_tract", with = "text")]
    pub reference: Target,
    /// The targets to compare; none yet in a captured case.
    #[serde(default)]
    pub targets: Vec<CaseTarget>,
    /// Seconds that a target may take; offby's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// The folder that relative paths start from: the case file's own.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// The sort of divergence that a case shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaseKind {
    /// The unavoidable rounding of a storage format.
    Rounding,
    /// A kernel computes different results.
    Kernel,
    /// Numbers leave the range of their type.
    Overflow,
    /// State is left over from an earlier computation.
    State,
    /// Elements are in different places.
    Layout,
    /// The reference is wrong.
    Reference,
    /// The engine was built wrongly, or cannot load the model.
    Build,
    /// Many honest roundings add up.
    Precision,
}

/// A cut of the case's model, by the names of values or nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseCut {
    /// The values that become outputs.
    #[serde(deserialize_with = "text::some_names")]
    pub to: Vec<ValueName>,
    /// The values that become inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<ValueName>,
}

/// A target and its expected results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseTarget {
    /// The target, as `--on` takes it.
    #[serde(with = "text")]
    pub on: Target,
    /// The backend, device and driver for which the expectation holds; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// The expectation; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
}

/// Parts of the names of the backend, device and driver that really ran. An absent part matches any name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Part of the backend's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Part of the device's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Part of the driver's name and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

/// The expected results of a target. All fields but the verdict may be absent, or `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The verdict's kind.
    pub verdict: Kind,
    /// The first operator that introduces error, or its ONNX node. Asks for a walk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// All operators that introduce error, or their ONNX nodes; `[]` for none. Asks for a walk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// Part of the verdict's sentence or of its diagnosis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// The rounding that explains the difference.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub explained_by: Option<ExplainedBy>,
    /// Length and outermost elements of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// The relative L2 error of an output that the engine's converter may cause. Asks for a walk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_converter: Option<f64>,
    /// The accepted cost of the target's storage, apart from rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allowed>,
    /// Why the divergence is known and accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A cost that a case accepts of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allowed {
    /// Values beyond the largest value of the target's storage.
    Overflow,
}

/// A storage format and a rounding, written `f16 toward-zero`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExplainedBy {
    /// The storage format.
    pub format: Format,
    /// How values are rounded to the format.
    pub rounding: Rounding,
}

/// How formats and roundings are written.
const FORMATS: [(Format, &str); 3] =
    [(Format::F16, "f16"), (Format::Bf16, "bf16"), (Format::Tf32, "tf32")];
const ROUNDINGS: [(Rounding, &str); 2] =
    [(Rounding::NearestEven, "nearest-even"), (Rounding::TowardZero, "toward-zero")];

impl Expectation {
    /// An expectation of only the verdict's kind.
    pub fn verdict(kind: Kind) -> Self {
        Expectation {
            verdict: kind,
            source: None,
            sources: None,
            says: None,
            explained_by: None,
            preview: None,
            allow_converter: None,
            allow: None,
            reason: None,
        }
    }
}

impl Case {
    /// A case of a model and stored inputs, both in the case file's folder, without targets.
    pub fn stored(
        id: &str,
        title: String,
        model: PathBuf,
        inputs: BTreeMap<ValueName, PathBuf>,
    ) -> Case {
        Case {
            id: id.to_owned(),
            title,
            upstream: None,
            kind: None,
            model,
            cut: None,
            inputs: inputs.into_iter().map(|(name, path)| (name, Spec::Npy(path))).collect(),
            reference: Target::Tract,
            targets: Vec::new(),
            timeout: None,
            folder: PathBuf::new(),
        }
    }

    /// Reads a case file and checks every key and value in it. The files that it names are not checked.
    ///
    /// # Errors
    /// When the file cannot be read or is not a case. The error has line, column, the key's path and a hint.
    pub fn load(path: &Path) -> Result<Case, CaseError> {
        let read = |source| CaseError::Read { path: path.to_owned(), source };
        Case::from_text(&read_yaml(path).map_err(read)?, path)
    }

    /// Reads a case from a text. Errors name `path`, and relative paths start from its folder.
    ///
    /// # Errors
    /// As [`Case::load`].
    pub fn from_text(text: &str, path: &Path) -> Result<Case, CaseError> {
        let mut case: Case =
            serde_yaml::from_str(text).map_err(|error| CaseError::document(path, &error))?;
        case.folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(case)
    }

    /// Writes the case file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CaseError> {
        let fail = |source| CaseError::Write { path: path.to_owned(), source };
        let text = serde_yaml::to_string(self).map_err(|error| fail(io::Error::other(error)))?;
        fs::write(path, text).map_err(fail)
    }

    /// The path of the model.
    pub fn model_path(&self) -> PathBuf {
        self.folder.join(&self.model)
    }

    /// The inputs to feed, with file paths that are valid from the current folder.
    pub fn specs(&self) -> BTreeMap<ValueName, Spec> {
        let here = |path: &Path| self.folder.join(path);
        let resolved = |spec: &Spec| match spec {
            Spec::Npy(path) => Spec::Npy(here(path)),
            Spec::Pb(path) => Spec::Pb(here(path)),
            Spec::Npz { path, member } => Spec::Npz { path: here(path), member: member.clone() },
            Spec::Picture { path, normalization } => {
                Spec::Picture { path: here(path), normalization: normalization.clone() }
            }
            other => other.clone(),
        };
        self.inputs.iter().map(|(name, spec)| (name.clone(), resolved(spec))).collect()
    }
}

impl FromStr for ExplainedBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (format, rounding) = (words.next(), words.next());
        let format = FORMATS.iter().find(|(_, name)| Some(*name) == format);
        let rounding = ROUNDINGS.iter().find(|(_, name)| Some(*name) == rounding);
        match (format, rounding, words.next()) {
            (Some((format, _)), Some((rounding, _)), None) => {
                Ok(ExplainedBy { format: *format, rounding: *rounding })
            }
            _ => Err(format!("`{text}` is no format and rounding")),
        }
    }
}

impl fmt::Display for ExplainedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounding = ROUNDINGS.iter().find(|(rounding, _)| *rounding == self.rounding);
        write!(f, "{} {}", self.format.name(), rounding.map_or("", |(_, name)| name))
    }
}

fn tract() -> Target {
    Target::Tract
}

fn is_tract(target: &Target) -> bool {
    *target == Target::Tract
}

impl TextForm for ExplainedBy {
    const WHAT: &'static str = "a format and a rounding, such as f16 toward-zero";
}
