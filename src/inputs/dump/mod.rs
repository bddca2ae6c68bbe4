//! Tensors that a device or framework dumped, and which ONNX value each of them is.

mod names;
mod pickle;
mod place;
mod polygraphy;
mod pt;
mod refusal;
mod safetensors;
mod torch_view;

pub use names::{NamePlan, plan_names};

use super::{InputError, stored};
use crate::tensor::{Dtype, ShapeText, Tensor};
use place::DumpEntry;
use refusal::refuse;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The largest manifest of raw files.
const MANIFEST_LIMIT: u64 = 16 << 20;

/// The file that describes the raw files of its folder.
const MANIFEST: &str = "manifest.json";

/// How many levels of folders are searched. Tools make a folder for each `/` in a name.
const DEPTH: usize = 32;

/// The tensors that a device or framework dumped, by name. Each is read when it is wanted.
#[derive(Debug, Clone, Default)]
pub struct Dump {
    tensors: BTreeMap<String, DumpedTensor>,
}

/// A tensor of a dump.
#[derive(Debug, Clone)]
struct DumpedTensor {
    place: DumpEntry,
    dtype: Dtype,
}

impl Dump {
    /// Opens an `.npz`, `.safetensors`, `.pt` or `.pth` file, outputs that Polygraphy saved as `.json`, or a folder of
    /// `.npy`, `.pb` and `.tensorproto` files, of all these, and of raw files. A `manifest.json` describes raw files; a
    /// `.raw` file without one holds elements of `f32`. A tensor in a folder of the folder has this folder in its name.
    ///
    /// Every tensor is read once, so what is damaged is found before any work is done.
    ///
    /// # Errors
    /// If a tensor of the dump cannot be read, or the dump has none.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let fail = |error: std::io::Error| refuse(path, error.to_string());
        let mut places = Vec::new();
        if !fs::metadata(path).map_err(fail)?.is_dir() {
            places.extend(in_file(path, true)?);
        } else {
            places.extend(in_folder(path, "", DEPTH)?);
        }
        let mut dump = Dump::default();
        for (name, place) in places {
            let dtype = place.read()?.dtype();
            dump.tensors.insert(name, DumpedTensor { place, dtype });
        }
        match dump.tensors.is_empty() {
            true => Err(refuse(path, "it has no tensor in a format that offby reads".into())),
            false => Ok(dump),
        }
    }

    /// The names of the tensors.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.tensors.keys()
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The element types of the tensors.
    pub fn dtypes(&self) -> impl Iterator<Item = Dtype> {
        self.tensors.values().map(|dumped| dumped.dtype)
    }

    /// Reads a tensor; `None` if there is none of this name.
    ///
    /// # Errors
    /// If the tensor can no longer be read.
    pub fn read(&self, name: &str) -> Result<Option<Tensor>, InputError> {
        self.tensors.get(name).map(|dumped| dumped.place.read()).transpose()
    }

    /// Whether a tensor has elements and no shape: a raw file without a manifest.
    pub fn is_flat(&self, name: &str) -> bool {
        let place = self.tensors.get(name).map(|dumped| &dumped.place);
        matches!(place, Some(DumpEntry::Flat { .. }))
    }

    /// Refuses a raw file without a manifest if it does not have as many elements as the value: its element type is not known.
    ///
    /// # Errors
    /// If the tensor is such a file.
    pub fn must_have_form(&self, name: &str, value: &Tensor) -> Result<(), InputError> {
        let place = self.tensors.get(name).map(|dumped| &dumped.place);
        let Some(DumpEntry::Flat { path, count }) = place else { return Ok(()) };
        let (dtype, shape) = (value.dtype(), ShapeText(value.shape()));
        Err(refuse(
            path,
            format!("{count} elements of f32 are not `{name}`, which is {dtype} {shape}"),
        ))
    }

    /// The tensors with other names; those without a new name are left out.
    #[must_use]
    pub fn renamed(mut self, names: &BTreeMap<String, String>) -> Self {
        let tensors = names
            .iter()
            .filter_map(|(old, new)| Some((new.clone(), self.tensors.remove(old)?)))
            .collect();
        Dump { tensors }
    }
}

impl From<BTreeMap<String, Tensor>> for Dump {
    fn from(tensors: BTreeMap<String, Tensor>) -> Self {
        let here =
            |tensor: Tensor| DumpedTensor { dtype: tensor.dtype(), place: DumpEntry::Here(tensor) };
        Dump { tensors: tensors.into_iter().map(|(name, tensor)| (name, here(tensor))).collect() }
    }
}

/// The tensors of a folder and of the folders in it, so many levels down. Links to folders are not followed.
fn in_folder(
    path: &Path,
    prefix: &str,
    depth: usize,
) -> Result<Vec<(String, DumpEntry)>, InputError> {
    let fail = |error: std::io::Error| refuse(path, error.to_string());
    let is_described = path.join(MANIFEST).is_file();
    let mut places = Vec::new();
    for entry in fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_described && name.ends_with(".raw") {
            continue;
        }
        if !entry.file_type().map_err(fail)?.is_dir() {
            let found = in_file(&entry.path(), false)?;
            places
                .extend(found.into_iter().map(|(name, place)| (format!("{prefix}{name}"), place)));
        } else if depth > 0 {
            places.extend(in_folder(&entry.path(), &format!("{prefix}{name}/"), depth - 1)?);
        }
    }
    Ok(places)
}

/// The tensors of a file. A file of an unknown kind has none. A text file in a folder may be anything.
fn in_file(path: &Path, is_alone: bool) -> Result<Vec<(String, DumpEntry)>, InputError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let one = |place: fn(PathBuf) -> DumpEntry| vec![(stem(), place(path.to_owned()))];
    Ok(match ending {
        "npy" => one(DumpEntry::Npy),
        "pb" | "tensorproto" => one(DumpEntry::Proto),
        "raw" => vec![(stem(), flat(path)?)],
        "npz" => {
            let place =
                |member: String| (member.clone(), DumpEntry::Npz { path: path.to_owned(), member });
            stored::members(path)?.into_iter().map(place).collect()
        }
        "safetensors" => safetensors::places(path)?,
        "pt" | "pth" => pt::places(path, &stem())?,
        "json" if path.file_name().is_some_and(|name| name == MANIFEST) => raw_files(path)?,
        "json" => match polygraphy::read(path) {
            Err(_) if !is_alone => Vec::new(),
            read => {
                read?.into_iter().map(|(name, tensor)| (name, DumpEntry::Here(tensor))).collect()
            }
        },
        _ => Vec::new(),
    })
}

/// The elements of a raw file that no manifest describes: the tools of Qualcomm write `f32` without a shape.
fn flat(path: &Path) -> Result<DumpEntry, InputError> {
    let length = fs::metadata(path).map_err(|error| refuse(path, error.to_string()))?.len();
    let count = usize::try_from(length / 4).unwrap_or(usize::MAX);
    if !length.is_multiple_of(4) {
        return Err(refuse(path, format!("{length} bytes are not elements of f32")));
    }
    let path = path.to_owned();
    Ok(DumpEntry::Flat { path, count })
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
fn raw_files(manifest: &Path) -> Result<Vec<(String, DumpEntry)>, InputError> {
    let fail = |problem: String| refuse(manifest, problem);
    let size = fs::metadata(manifest).map_err(|error| fail(error.to_string()))?.len();
    if size > MANIFEST_LIMIT {
        return Err(fail(format!("it has {size} bytes, the limit is {MANIFEST_LIMIT}")));
    }
    let text = fs::read_to_string(manifest).map_err(|error| fail(error.to_string()))?;
    let files: Vec<Raw> = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let place = |raw: Raw| {
        let is_plain = Path::new(&raw.file).file_name().is_some_and(|name| *name == *raw.file);
        if !is_plain {
            return Err(fail(format!("`{}` is not a file name", raw.file)));
        }
        let path = folder.join(&raw.file);
        let length = fs::metadata(&path).map_err(|error| fail(format!("{}: {error}", raw.file)))?;
        let (begin, length) = (0, length.len());
        Ok((raw.name, DumpEntry::Bytes { path, begin, length, dtype: raw.dtype, shape: raw.shape }))
    };
    files.into_iter().map(place).collect()
}
