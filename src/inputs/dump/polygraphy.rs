//! JSON files of Polygraphy: `--save-outputs`, `--save-inputs` and its data files. Each array is a `.npy` file in base64.

use super::refusal::refuse;
use crate::inputs::InputError;
use crate::tensor::{Tensor, npy_from};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What Polygraphy saves.
#[derive(Deserialize)]
#[serde(untagged)]
enum Saved {
    /// The results of runners, and of each runner the iterations.
    Results { lst: Vec<(String, Vec<Iteration>)> },
    /// The inputs of each iteration.
    Inputs(Vec<BTreeMap<String, Array>>),
}

#[derive(Deserialize)]
struct Iteration {
    outputs: BTreeMap<String, Lazy>,
}

#[derive(Deserialize)]
struct Lazy {
    values: Array,
}

#[derive(Deserialize)]
struct Array {
    array: String,
}

/// The tensors of a file's first iteration.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Tensor)>, InputError> {
    let text = std::fs::read(path).map_err(|error| refuse(path, error.to_string()))?;
    let arrays = arrays(&text).map_err(|problem| refuse(path, problem))?;
    arrays.into_iter().map(|(name, array)| Ok((name, decoded(path, &array)?))).collect()
}

/// The arrays of a file's first iteration.
fn arrays(text: &[u8]) -> Result<Vec<(String, Array)>, String> {
    let saved = serde_json::from_slice(text).map_err(
        |_| "it is neither a manifest of raw files nor outputs or inputs that Polygraphy saved",
    )?;
    match saved {
        Saved::Results { mut lst } => {
            let (1, Some((_, iterations))) = (lst.len(), lst.pop()) else {
                return Err("it has the results of several runners; save one runner a file".into());
            };
            let first = iterations.into_iter().next().ok_or("its runner ran no iteration")?;
            Ok(first.outputs.into_iter().map(|(name, lazy)| (name, lazy.values)).collect())
        }
        Saved::Inputs(iterations) => {
            Ok(iterations.into_iter().next().unwrap_or_default().into_iter().collect())
        }
    }
}

fn decoded(path: &Path, array: &Array) -> Result<Tensor, InputError> {
    let bytes =
        BASE64_STANDARD.decode(&array.array).map_err(|error| refuse(path, error.to_string()))?;
    Ok(npy_from(bytes.as_slice(), bytes.len() as u64, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::write_npy;

    fn array() -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.npy");
        write_npy(&path, &Tensor::from_f32(&[2], vec![1.5, -2.0]).unwrap()).unwrap();
        let text = BASE64_STANDARD.encode(std::fs::read(path).unwrap());
        format!(r#"{{"array": "{text}", "polygraphy_class": "ndarray"}}"#)
    }

    fn tensors(text: &str) -> Result<Vec<(String, Tensor)>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn outputs_and_inputs_are_read() {
        let runner = format!(
            r#"["onnxrt", [{{"outputs": {{"/a/b": {{"values": {}, "polygraphy_class": "LazyArray"}}}}, "runtime": 0.1}}]]"#,
            array()
        );
        let outputs = format!(r#"{{"lst": [{runner}], "polygraphy_class": "RunResults"}}"#);
        let inputs = format!(r#"[{{"/a/b": {}}}]"#, array());
        for text in [outputs, inputs] {
            let read = tensors(&text).unwrap();
            assert_eq!((read[0].0.as_str(), read[0].1.numbers(1)), ("/a/b", vec![1.5, -2.0]));
        }
        let twice = format!(r#"{{"lst": [{runner}, {runner}]}}"#);
        assert!(tensors(&twice).unwrap_err().contains("several runners"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "{}", "[1]", r#"{"lst": [["a", []]]}"#, r#"[{"x": {"array": "no"}}]"#] {
            assert!(tensors(text).is_err(), "{text}");
        }
    }
}
