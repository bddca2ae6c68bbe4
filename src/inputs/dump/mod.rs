//! Tensors that a device or framework dumped, and which ONNX value each of them is.

mod names;
mod pickle;
mod pt;
mod refusal;
mod safetensors;

pub use names::{NamePlan, plan_names};

use super::{InputError, stored};
use crate::graph::read_tensor_proto;
use crate::tensor::{Dtype, Tensor, read_npy};
use refusal::refuse;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The largest manifest of raw files.
const MANIFEST_LIMIT: u64 = 16 << 20;

/// The tensors of a dump by the names that the dump has for them.
///
/// A dump is an `.npz`, `.safetensors`, `.pt` or `.pth` file, or a folder of `.npy`, `.pb` and `.tensorproto` files,
/// archives, and raw files that a `manifest.json` describes.
///
/// # Errors
/// If the dump cannot be read or has no tensor.
pub fn read_dump(path: &Path) -> Result<BTreeMap<String, Tensor>, InputError> {
    let fail = |error: std::io::Error| refuse(path, error.to_string());
    let mut tensors = BTreeMap::new();
    if !fs::metadata(path).map_err(fail)?.is_dir() {
        read_file(path, &mut tensors)?;
    } else {
        for entry in fs::read_dir(path).map_err(fail)? {
            read_file(&entry.map_err(fail)?.path(), &mut tensors)?;
        }
    }
    match tensors.is_empty() {
        true => Err(refuse(path, "it has no tensor in a format that offby reads".into())),
        false => Ok(tensors),
    }
}

/// Adds the tensors of a file. A file of an unknown kind has none.
fn read_file(path: &Path, tensors: &mut BTreeMap<String, Tensor>) -> Result<(), InputError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match ending {
        "npy" => _ = tensors.insert(stem(), read_npy(path)?),
        "pb" | "tensorproto" => _ = tensors.insert(stem(), read_tensor_proto(path)?),
        "npz" => tensors.extend(stored::members(path)?),
        "safetensors" => tensors.extend(safetensors::read(path)?),
        "pt" | "pth" => tensors.extend(pt::read(path, &stem())?),
        "json" if path.file_name().is_some_and(|name| name == "manifest.json") => {
            tensors.extend(raw_files(path)?);
        }
        _ => {}
    }
    Ok(())
}

/// What a manifest says of one raw file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    file: String,
    dtype: Dtype,
    shape: Vec<usize>,
}

/// The raw files of a manifest: a list of `{"name", "file", "dtype", "shape"}`, elements little-endian and row-major.
fn raw_files(manifest: &Path) -> Result<Vec<(String, Tensor)>, InputError> {
    let fail = |problem: String| refuse(manifest, problem);
    let size = fs::metadata(manifest).map_err(|error| fail(error.to_string()))?.len();
    if size > MANIFEST_LIMIT {
        return Err(fail(format!("it has {size} bytes, the limit is {MANIFEST_LIMIT}")));
    }
    let text = fs::read_to_string(manifest).map_err(|error| fail(error.to_string()))?;
    let files: Vec<Raw> = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let read = |raw: Raw| {
        let is_plain = Path::new(&raw.file).file_name().is_some_and(|name| *name == *raw.file);
        if !is_plain {
            return Err(fail(format!("`{}` is not a file name", raw.file)));
        }
        let bytes = fs::read(folder.join(&raw.file))
            .map_err(|error| fail(format!("{}: {error}", raw.file)))?;
        let tensor = Tensor::from_bytes(raw.dtype, &raw.shape, &bytes)
            .map_err(|error| fail(format!("{}: {error}", raw.file)))?;
        Ok((raw.name, tensor))
    };
    files.into_iter().map(read).collect()
}
