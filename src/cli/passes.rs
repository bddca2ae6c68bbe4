//! `offby compare MODEL --passes PACKAGE`: applies each rewrite of an installed optimizer, and compares the results.

use crate::session::Failure;
use crate::worker::{Converter, find_converter};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Applies the passes; see its first lines.
const SCRIPT: &str = include_str!("passes.py");

/// An optimizer that Python has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Optimizer {
    /// Every pass of onnxoptimizer by itself, then all that fuse and eliminate together
    Onnxoptimizer,
    /// onnxsim's simplifier
    Onnxsim,
    /// ONNX Runtime's basic level
    #[value(name = "ort:basic")]
    OrtBasic,
    /// ONNX Runtime's extended level
    #[value(name = "ort:extended")]
    OrtExtended,
    /// All of ONNX Runtime's levels
    #[value(name = "ort:all")]
    OrtAll,
}

impl Optimizer {
    fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What one pass did.
#[derive(Debug, Deserialize)]
pub(super) struct Applied {
    /// The pass.
    #[serde(rename = "pass")]
    pub(super) name: String,
    /// The rewritten network; absent if the pass changed nothing.
    pub(super) file: Option<PathBuf>,
    /// Why the pass failed.
    pub(super) problem: Option<String>,
}

/// A line of the script.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Missing { missing: String },
    Applied(Applied),
}

/// Applies each pass of an optimizer to a network, and writes the results into a folder.
pub(super) fn apply(
    optimizer: Optimizer,
    model: &Path,
    folder: &Path,
) -> Result<Vec<Applied>, Failure> {
    let (python, name) = (python(), optimizer.name());
    let failed = |problem: String| {
        Failure::new(
            format!("apply the passes of {name} by {}: {problem}", python.display()),
            "OFFBY_PYTHON=PATH names a Python that has the package",
        )
    };
    let mut command = Command::new(&python);
    command.args(["-c", SCRIPT, &name]).arg(model).arg(folder);
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    let mut applied = Vec::new();
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line).map_err(|error| failed(error.to_string()))? {
            Line::Applied(pass) => applied.push(pass),
            Line::Missing { missing } => {
                return Err(Failure::new(
                    format!(
                        "apply the passes of {name}: {} has no package {missing}",
                        python.display()
                    ),
                    format!(
                        "{} -m pip install {missing}; OFFBY_PYTHON=PATH names another Python",
                        python.display()
                    ),
                ));
            }
        }
    }
    match output.status.success() {
        true => Ok(applied),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.trim().lines().next_back().unwrap_or("it ended without a word");
            Err(failed(last.to_owned()))
        }
    }
}

/// The Python with the converter has the user's packages, too; otherwise the system's.
pub(super) fn python() -> PathBuf {
    match find_converter() {
        Converter::Python(python) => python,
        _ => PathBuf::from("python3"),
    }
}
