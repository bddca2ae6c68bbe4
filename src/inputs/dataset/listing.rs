//! Lists the inputs at the path of a data set.

use super::file::{has_ending, refuse};
use super::labels::Labels;
use super::rows::DatasetRows;
use super::source::InputSource;

use crate::graph::{ResolvedInput, ValueName, read_tensor_proto};
use crate::inputs::{InputError, stored};
use crate::tensor::Tensor;
use std::fs;
use std::path::{Path, PathBuf};

/// The kinds of data set, as a hint.
pub(super) const KINDS: &str = "a data set is a folder of .png, .jpg, .npy or .pb files, one of test_data_set_* folders, an .npz or .npy whose first axis counts the inputs, or a text list of `path` or `path,label` lines";

/// The start of the name of a folder of ONNX's tests.
const TEST: &str = "test_data_set_";

/// The inputs at a path, and their labels if the path also holds labels.
pub(super) struct Listed {
    pub(super) source: InputSource,
    pub(super) labels: Labels,
}

/// Lists the inputs at `path`.
pub(super) fn list(path: &Path, inputs: &[ResolvedInput]) -> Result<Listed, InputError> {
    let found = fs::metadata(path).map_err(|error| refuse(path, error.to_string(), KINDS))?;
    let unlabelled = |source| Listed { source, labels: Labels::None };
    if found.is_dir() {
        return Ok(unlabelled(folder(path)?));
    }
    if has_ending(path, &["npy"]) {
        return Ok(unlabelled(InputSource::Rows(DatasetRows::npy(path, inputs)?)));
    }
    if has_ending(path, &["npz"]) {
        let (rows, labels) = DatasetRows::npz(path, inputs)?;
        return Ok(Listed { source: InputSource::Rows(rows), labels });
    }
    text(path)
}

fn folder(path: &Path) -> Result<InputSource, InputError> {
    let fail = |error: std::io::Error| refuse(path, error.to_string(), KINDS);
    let mut tests = Vec::new();
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(TEST) && entry.is_dir() {
            tests.push(entry);
        } else if is_picture(&entry) || has_ending(&entry, &["npy", "pb"]) {
            files.push(entry);
        }
    }
    files.sort();
    // The numbers at the ends of the names have no leading zeros, so sorting by length puts them in order.
    tests.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    Ok(if tests.is_empty() { InputSource::Files(files) } else { InputSource::Tests(tests) })
}

/// Reads lines of `path`, `path,label` or `path<TAB>label`. Paths are relative to the list's folder.
fn text(path: &Path) -> Result<Listed, InputError> {
    let text = fs::read_to_string(path).map_err(|_| refuse(path, "it is no text list", KINDS))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut files, mut labels) = (Vec::new(), Vec::<usize>::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let parts = line.rsplit_once(['\t', ',']);
        let labelled =
            parts.and_then(|(file, label)| Some((file, label.trim().parse::<usize>().ok()?)));
        let (file, label) = labelled.map_or((line, None), |(file, label)| (file, Some(label)));
        files.push(folder.join(file.trim()));
        labels.extend(label);
    }
    let labels = if labels.is_empty() { Labels::None } else { Labels::Listed(labels) };
    Ok(Listed { source: InputSource::Files(files), labels })
}

/// The tensors `input_N.pb` of a test's folder.
pub(super) fn test_inputs(
    folder: &Path,
    inputs: &[ResolvedInput],
) -> Result<Vec<Tensor>, InputError> {
    let file = |index: usize| folder.join(format!("input_{index}.pb"));
    inputs.iter().enumerate().map(|(index, input)| stored::pb(&file(index), input)).collect()
}

/// The tensors `output_N.pb` that exist.
pub(super) fn test_outputs(
    folder: &Path,
    outputs: &[ValueName],
) -> Result<Vec<(ValueName, Tensor)>, InputError> {
    let files = outputs.iter().enumerate();
    let files = files.map(|(index, name)| (name, folder.join(format!("output_{index}.pb"))));
    let there = files.filter(|(_, path): &(&ValueName, PathBuf)| path.exists());
    there.map(|(name, path)| Ok((name.clone(), read_tensor_proto(&path)?))).collect()
}

pub(super) fn is_picture(path: &Path) -> bool {
    has_ending(path, &["png", "jpg", "jpeg"])
}
