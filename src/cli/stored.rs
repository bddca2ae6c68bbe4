//! Stores the tensors of a network's values as files, and reads a network and its feeds from files.

use crate::graph::{Model, ValueName};
use crate::inputs::{Spec, draw};
use crate::session::Failure;
use crate::shrink::Specimen;
use crate::tensor::{Tensor, write_npy};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Makes the folder and writes each value's tensor into it; returns the paths of the files.
pub(super) fn store_tensors(
    folder: &Path,
    tensors: &[(&ValueName, &Tensor)],
) -> Result<BTreeMap<ValueName, PathBuf>, Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::write(folder, error))?;
    let names: Vec<&ValueName> = tensors.iter().map(|(name, _)| *name).collect();
    let mut paths = BTreeMap::new();
    for ((name, tensor), file) in tensors.iter().zip(unique_files(&names)) {
        let path = folder.join(file);
        write_npy(&path, tensor).map_err(|error| Failure::write(&path, error))?;
        paths.insert((*name).clone(), path);
    }
    Ok(paths)
}

/// Reads a network and its feeds, only from these files.
pub(super) fn load_specimen(
    model: &Path,
    inputs: &BTreeMap<ValueName, PathBuf>,
) -> Result<Specimen, Failure> {
    let mut model = Model::load(model)?;
    model.fix_shapes(&BTreeMap::new())?;
    let specs = inputs.iter().map(|(name, path)| (name.clone(), Spec::Npy(path.clone())));
    let feeds = draw(&model, &specs.collect())?;
    Ok(Specimen { model, feeds })
}

/// The same files, with paths relative to `folder`.
pub(super) fn relative_to(
    folder: &Path,
    paths: &BTreeMap<ValueName, PathBuf>,
) -> BTreeMap<ValueName, PathBuf> {
    let near = |path: &PathBuf| path.strip_prefix(folder).unwrap_or(path).to_owned();
    paths.iter().map(|(name, path)| (name.clone(), near(path))).collect()
}

/// A file name for each value. All names differ even if the file system ignores case.
fn unique_files(names: &[&ValueName]) -> Vec<String> {
    const LONGEST: usize = 120;
    let mut taken = BTreeSet::new();
    let file = |name: &&ValueName| {
        let stem: String = file_name(name.as_str()).chars().take(LONGEST).collect();
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let mut stems = std::iter::once(stem.clone()).chain(numbered);
        let free = stems.find(|stem| taken.insert(stem.to_lowercase()));
        free.unwrap_or(stem) + ".npy"
    };
    names.iter().map(file).collect()
}

/// A value or target name as a file name.
pub(super) fn file_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_gets_a_file_of_its_own() {
        let names = ["/a/b::0", "_a_b__0", "_A_b__0", "é", "", &"x".repeat(400)];
        let names: Vec<ValueName> = names.into_iter().map(ValueName::from).collect();
        let files = unique_files(&names.iter().collect::<Vec<_>>());
        assert_eq!(files[..4], ["_a_b__0.npy", "_a_b__0-2.npy", "_A_b__0-3.npy", "_.npy"]);
        assert!(files.iter().all(|file| file.len() < 200));
    }
}
