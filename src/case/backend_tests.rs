//! The tests that ONNX ships for engines, as folders: `model.onnx` next to folders
//! `test_data_set_N` with `input_I.pb` and `output_I.pb`. A large network is `X.onnx` next to
//! `X_output_I.pb`. Its weights are made by nodes, and its inputs count up from 0 to 1.

use crate::graph::{Model, ValueName, tensor_bytes};
use crate::inputs::Feed;
use crate::tensor::Tensor;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The deepest nesting of folders.
const DEEPEST: usize = 8;

/// A model, one set of inputs, and the outputs that belong to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendTest {
    /// The test's name. If there are several sets, the name includes the set's number.
    pub name: String,
    /// The model.
    pub model: PathBuf,
    /// A `TensorProto` for each input, in the model's order; empty if the inputs count up.
    pub inputs: Vec<PathBuf>,
    /// A `TensorProto` for each output.
    pub outputs: Vec<PathBuf>,
}

/// The tests in a folder and the folders in it, by path.
///
/// # Errors
/// When a folder cannot be read.
pub fn find_backend_tests(folder: &Path) -> io::Result<Vec<BackendTest>> {
    let mut tests = Vec::new();
    search(folder, 0, &mut tests)?;
    Ok(tests)
}

fn search(folder: &Path, depth: usize, tests: &mut Vec<BackendTest>) -> io::Result<()> {
    let model = folder.join("model.onnx");
    if model.is_file() {
        return with_data_sets(folder, model, tests);
    }
    for path in entries(folder)? {
        if path.is_dir() && depth < DEEPEST {
            search(&path, depth + 1, tests)?;
        } else if path.extension().is_some_and(|end| end == "onnx") {
            tests.extend(large(&path));
        }
    }
    Ok(())
}

fn with_data_sets(folder: &Path, model: PathBuf, tests: &mut Vec<BackendTest>) -> io::Result<()> {
    let name = name_of(folder);
    let sets = numbered(&entries(folder)?, "test_data_set_", "");
    for (number, set) in sets.iter().enumerate() {
        let files = entries(set)?;
        tests.push(BackendTest {
            name: if sets.len() == 1 { name.clone() } else { format!("{name}, set {number}") },
            model: model.clone(),
            inputs: numbered(&files, "input_", ".pb"),
            outputs: numbered(&files, "output_", ".pb"),
        });
    }
    Ok(())
}

/// A large network. A network without expected outputs next to it is not a test.
fn large(model: &Path) -> Option<BackendTest> {
    let stem = model.file_stem()?.to_string_lossy().into_owned();
    let files = entries(model.parent()?).ok()?;
    let outputs = numbered(&files, &format!("{stem}_output_"), ".pb");
    let test = BackendTest { name: stem, model: model.to_owned(), inputs: Vec::new(), outputs };
    (!test.outputs.is_empty()).then_some(test)
}

/// The files whose name is `beginning`, a number and `end`, in the order of the numbers.
fn numbered(paths: &[PathBuf], beginning: &str, end: &str) -> Vec<PathBuf> {
    let number = |path: &PathBuf| -> Option<usize> {
        let name = name_of(path);
        name.strip_prefix(beginning)?.strip_suffix(end)?.parse().ok()
    };
    let mut found: Vec<(usize, &PathBuf)> =
        paths.iter().filter_map(|path| Some((number(path)?, path))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path.clone()).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Writes a test: a model, its inputs and its expected outputs.
///
/// # Errors
/// When a file cannot be written.
pub fn write_backend_test(
    folder: &Path,
    model: &Model,
    inputs: &[&Feed],
    outputs: &[(&ValueName, &Tensor)],
) -> io::Result<()> {
    let set = folder.join("test_data_set_0");
    fs::create_dir_all(&set)?;
    fs::write(folder.join("model.onnx"), model.to_whole_bytes()?)?;
    let inputs = inputs.iter().map(|feed| ("input", &feed.name, &feed.tensor));
    let outputs = outputs.iter().map(|(name, tensor)| ("output", *name, *tensor));
    let numbered = inputs.enumerate().chain(outputs.enumerate());
    for (number, (kind, name, tensor)) in numbered {
        fs::write(set.join(format!("{kind}_{number}.pb")), tensor_bytes(name.as_str(), tensor))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_are_found_in_order() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        file("node/test_add/model.onnx");
        for set in ["10", "2"] {
            for name in ["input_1", "input_0", "input_10", "output_0"] {
                file(&format!("node/test_add/test_data_set_{set}/{name}.pb"));
            }
        }
        file("light/light_net.onnx");
        file("light/light_net_output_0.pb");
        file("light/unasked.onnx");
        let tests = find_backend_tests(root.path()).unwrap();
        let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(names, ["light_net", "test_add, set 0", "test_add, set 1"]);
        assert!(tests[1].inputs[0].ends_with("test_data_set_2/input_0.pb"));
        assert!(tests[1].inputs[2].ends_with("test_data_set_2/input_10.pb"));
        assert_eq!((tests[0].inputs.len(), tests[0].outputs.len()), (0, 1));
    }
}
