//! `offby cut --capture`: stores input values, expected outputs and a case file next to the new model.

use super::stored::file_name;
use super::stored::{relative_to, store_tensors};
use crate::case::Case;
use crate::graph::{Model, ValueName};
use crate::session::Failure;
use crate::tensor::Tensor;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The written files.
#[derive(Debug, Serialize)]
pub(super) struct Captured {
    /// The case file.
    pub(super) case: PathBuf,
    /// For each input the file of its values.
    pub(super) inputs: BTreeMap<ValueName, PathBuf>,
    /// For each output the file of the reference's values.
    pub(super) expected: BTreeMap<ValueName, PathBuf>,
}

/// Stores all inputs and outputs of `made`, which was cut from `origin` and written to `destination`.
pub(super) fn capture(
    destination: &Path,
    made: &Model,
    origin: &Path,
    tensors: &BTreeMap<ValueName, Tensor>,
) -> Result<Captured, Failure> {
    let inputs: Vec<ValueName> = made.inputs().iter().map(|input| input.name.clone()).collect();
    let store = |extension: &str, names: &[ValueName]| {
        let known = |name| Ok((name, tensors.get(name).ok_or_else(Failure::bug)?));
        let known = names.iter().map(known).collect::<Result<Vec<_>, Failure>>()?;
        store_tensors(&destination.with_extension(extension), &known)
    };
    let (inputs, expected) = (store("inputs", &inputs)?, store("expected", made.outputs())?);
    let path = destination.with_extension("yaml");
    case(destination, origin, made, &inputs).write(&path)?;
    Ok(Captured { case: path, inputs, expected })
}

/// A case of the new model and its inputs, without targets so far.
fn case(
    destination: &Path,
    origin: &Path,
    made: &Model,
    inputs: &BTreeMap<ValueName, PathBuf>,
) -> Case {
    let last = |path: &Path| PathBuf::from(path.file_name().unwrap_or(path.as_os_str()));
    let folder = destination.parent().unwrap_or(Path::new(""));
    let stem = destination.file_stem().unwrap_or(destination.as_os_str());
    let outputs: Vec<&str> = made.outputs().iter().map(ValueName::as_str).collect();
    let id = file_name(&stem.to_string_lossy());
    let title = format!("{} cut to {}", last(origin).display(), outputs.join(", "));
    let stored = Case::stored(&id, title, last(destination), relative_to(folder, inputs));
    Case { folder: folder.to_owned(), ..stored }
}
