//! What files provide apart from numbers. A folder or an archive feeds several inputs, and a file
//! determines the shape of an input.

use super::{InputError, Spec, picture, stored};
use crate::graph::{Dim, ValueInfo, ValueName};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The specs of a folder or an `.npz` with a file for each input. `None` if the text names neither.
///
/// A folder holds `NAME.npy`, with `_` allowed for every character of the name that is no letter or digit. A folder
/// may also hold `input_0.pb`, `input_1.pb`... in the order of the inputs, as ONNX's `test_data_set_0` does.
///
/// # Errors
/// If the folder or archive has none of the inputs.
pub(super) fn of_several(
    text: &str,
    inputs: &[ValueInfo],
) -> Option<Result<Vec<(ValueName, Spec)>, InputError>> {
    let path = Path::new(text);
    let is_archive = path.extension().is_some_and(|ending| ending == "npz");
    if !is_archive && !path.is_dir() {
        return None;
    }
    let of_one = |(at, input): (usize, &ValueInfo)| {
        let spec = match is_archive {
            true => stored::has_member(path, input.name.as_str())
                .then(|| Spec::Npz { path: path.to_owned(), member: input.name.to_string() }),
            false => in_folder(path, at, input.name.as_str()),
        };
        Some((input.name.clone(), spec?))
    };
    let found: Vec<_> = inputs.iter().enumerate().filter_map(of_one).collect();
    let known = || inputs.iter().map(|input| input.name.clone()).collect();
    Some(match found.is_empty() {
        true => Err(InputError::NothingInside { path: path.to_owned(), known: known() }),
        false => Ok(found),
    })
}

fn in_folder(folder: &Path, at: usize, name: &str) -> Option<Spec> {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let there = |file: String| Some(folder.join(file)).filter(|path: &PathBuf| path.is_file());
    let npy = there(format!("{name}.npy")).or_else(|| there(format!("{plain}.npy")));
    npy.map(Spec::Npy).or_else(|| there(format!("input_{at}.pb")).map(Spec::Pb))
}

/// The shapes that files determine for inputs with open dimensions. A file that cannot be read has no shape here, and
/// is refused when it is fed.
pub fn shapes_given(
    specs: &BTreeMap<ValueName, Spec>,
    inputs: &[ValueInfo],
) -> BTreeMap<ValueName, Vec<usize>> {
    let is_open = |input: &&ValueInfo| {
        let dims = input.shape.as_deref();
        dims.is_none_or(|dims| dims.iter().any(|dim| !matches!(dim, Dim::Known(1..))))
    };
    let given = |input: &ValueInfo| {
        let shape = match specs.get(&input.name)? {
            Spec::Npy(_) | Spec::Pb(_) | Spec::Npz { .. } => {
                stored::read(specs.get(&input.name)?).ok()?.shape().to_vec()
            }
            Spec::Picture { path, .. } => picture::shape(path, input.shape.as_deref()?)?,
            _ => return None,
        };
        Some((input.name.clone(), shape))
    };
    inputs.iter().filter(is_open).filter_map(given).collect()
}
