//! What `offby cut --capture` stores beside the new model: the numbers at both ends, and a case file.

use super::failure::Failure;
use super::prepare::file_name;
use crate::case::Case;
use crate::engine::Target;
use crate::graph::{Model, ValueName};
use crate::inputs::Spec;
use crate::tensor::{Tensor, write_npy};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The files that were written.
#[derive(Debug, Serialize)]
pub(super) struct Captured {
    /// The case file.
    pub(super) case: PathBuf,
    /// For each input its numbers.
    pub(super) inputs: BTreeMap<ValueName, PathBuf>,
    /// For each output the reference's numbers.
    pub(super) expected: BTreeMap<ValueName, PathBuf>,
}

/// Stores all inputs and outputs of `made`, which lies at `destination` and was cut from `origin`.
pub(super) fn capture(
    destination: &Path,
    made: &Model,
    origin: &Path,
    tensors: &BTreeMap<ValueName, Tensor>,
) -> Result<Captured, Failure> {
    let inputs: Vec<ValueName> = made.inputs().iter().map(|input| input.name.clone()).collect();
    let inputs = store(&destination.with_extension("inputs"), &inputs, tensors)?;
    let expected = store(&destination.with_extension("expected"), made.outputs(), tensors)?;
    let path = destination.with_extension("yaml");
    case(destination, origin, made, &inputs).write(&path)?;
    Ok(Captured { case: path, inputs, expected })
}

/// Writes the tensors of these names into a folder.
fn store(
    folder: &Path,
    names: &[ValueName],
    tensors: &BTreeMap<ValueName, Tensor>,
) -> Result<BTreeMap<ValueName, PathBuf>, Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::write(folder, error))?;
    let mut paths = BTreeMap::new();
    for (name, file) in names.iter().zip(unique_files(names)) {
        let tensor = tensors.get(name).ok_or_else(Failure::bug)?;
        let path = folder.join(file);
        write_npy(&path, tensor).map_err(|error| Failure::write(&path, error))?;
        paths.insert(name.clone(), path);
    }
    Ok(paths)
}

/// A file name for each value, no two alike where upper and lower case are one.
fn unique_files(names: &[ValueName]) -> Vec<String> {
    const LONGEST: usize = 120;
    let mut taken = BTreeSet::new();
    let file = |name: &ValueName| {
        let stem: String = file_name(name.as_str()).chars().take(LONGEST).collect();
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let mut stems = std::iter::once(stem.clone()).chain(numbered);
        let free = stems.find(|stem| taken.insert(stem.to_lowercase()));
        free.unwrap_or(stem) + ".npy"
    };
    names.iter().map(file).collect()
}

/// A case of the new model and its inputs, without targets yet.
fn case(
    destination: &Path,
    origin: &Path,
    made: &Model,
    inputs: &BTreeMap<ValueName, PathBuf>,
) -> Case {
    let last = |path: &Path| PathBuf::from(path.file_name().unwrap_or(path.as_os_str()));
    let folder = destination.parent().unwrap_or(Path::new(""));
    let near = |path: &PathBuf| path.strip_prefix(folder).unwrap_or(path).to_owned();
    let stem = destination.file_stem().unwrap_or(destination.as_os_str());
    let outputs: Vec<&str> = made.outputs().iter().map(ValueName::as_str).collect();
    Case {
        id: file_name(&stem.to_string_lossy()),
        title: format!("{} cut to {}", last(origin).display(), outputs.join(", ")),
        upstream: None,
        kind: None,
        model: last(destination),
        cut: None,
        inputs: inputs.iter().map(|(name, path)| (name.clone(), Spec::Npy(near(path)))).collect(),
        reference: Target::Tract,
        targets: Vec::new(),
        timeout: None,
        folder: folder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_gets_a_file_of_its_own() {
        let names = ["/a/b::0", "_a_b__0", "_A_b__0", "é", "", &"x".repeat(400)];
        let names: Vec<ValueName> = names.into_iter().map(ValueName::from).collect();
        let files = unique_files(&names);
        assert_eq!(files[..4], ["_a_b__0.npy", "_a_b__0-2.npy", "_A_b__0-3.npy", "_.npy"]);
        assert!(files.iter().all(|file| file.len() < 200));
    }
}
