//! Feeds from `.npy`, `.npz` and `.pb` files. A file is accepted if the input's element type holds every value
//! exactly. Otherwise, the file is refused, and the error names the conversion to make.

use super::{InputError, Spec};
use crate::graph::{ResolvedInput, read_tensor_proto};
use crate::tensor::{Tensor, npy_from, read_npy};
use std::fs::File;
use std::path::Path;
use zip::ZipArchive;

/// Reads a `.pb` file. The file must have the input's shape, and values that the input's element type holds.
pub(super) fn pb(path: &Path, input: &ResolvedInput) -> Result<Tensor, InputError> {
    accept(read_tensor_proto(path)?, path, input)
}

/// The tensor of a file. All other specs are refused.
pub(super) fn read(spec: &Spec) -> Result<Tensor, InputError> {
    match spec {
        Spec::Npy(path) => Ok(read_npy(path)?),
        Spec::Pb(path) => Ok(read_tensor_proto(path)?),
        Spec::Npz { path, member } => npz(path, member),
        _ => Err(InputError::UnknownSpec { spec: spec.to_string(), closest: None }),
    }
}

/// An array of an archive that `numpy.savez` wrote.
pub(super) fn npz(path: &Path, member: &str) -> Result<Tensor, InputError> {
    let fail = |error: &dyn std::fmt::Display| InputError::Archive {
        path: path.to_owned(),
        problem: error.to_string(),
    };
    let file = File::open(path).map_err(|error| fail(&error))?;
    let mut archive = ZipArchive::new(file).map_err(|error| fail(&error))?;
    let entry = archive.by_name(&format!("{member}.npy")).map_err(|error| fail(&error))?;
    let size = entry.size();
    Ok(npy_from(entry, size, path)?)
}

/// The names of an archive's arrays.
pub(super) fn members(path: &Path) -> Result<Vec<String>, InputError> {
    let fail = |error: &dyn std::fmt::Display| InputError::Archive {
        path: path.to_owned(),
        problem: error.to_string(),
    };
    let file = File::open(path).map_err(|error| fail(&error))?;
    let archive = ZipArchive::new(file).map_err(|error| fail(&error))?;
    let names = archive.file_names();
    Ok(names.filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned())).collect())
}

/// Whether an archive has an array of this name.
pub(super) fn has_member(path: &Path, name: &str) -> bool {
    let archive = File::open(path).ok().and_then(|file| ZipArchive::new(file).ok());
    archive.is_some_and(|mut archive| archive.by_name(&format!("{name}.npy")).is_ok())
}

/// The tensor of a file in the input's element type, which must hold every value exactly.
pub(super) fn accept(
    tensor: Tensor,
    path: &Path,
    input: &ResolvedInput,
) -> Result<Tensor, InputError> {
    if tensor.shape() != input.shape {
        return Err(InputError::FileShape {
            name: input.name.clone(),
            path: path.to_owned(),
            found: tensor.shape().to_vec(),
            wanted: input.shape.clone(),
        });
    }
    let found = tensor.dtype();
    tensor.exactly(input.dtype).map_err(|value| InputError::FileDtype {
        name: input.name.clone(),
        path: path.to_owned(),
        found,
        wanted: input.dtype,
        value,
    })
}
