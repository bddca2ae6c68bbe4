//! Which spec goes to which input. An argument is `NAME=SPEC`, or a bare `SPEC` if there is only one input. It may
//! also be a folder or an archive with a file for each input.

use super::given::of_several;
use super::{InputError, Normalization, Spec};
use crate::graph::{ValueInfo, ValueName, closest};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads `--input` arguments against the model's inputs; images get `normalization`.
///
/// Inputs without a spec are left out, and [`super::draw`] uses their default.
///
/// # Errors
/// If a spec cannot be read, a name is unknown, or an input is given twice. Also if a bare spec
/// could mean several inputs.
pub fn parse_inputs<S: AsRef<str>>(
    texts: &[S],
    inputs: &[ValueInfo],
    normalization: &Normalization,
) -> Result<BTreeMap<ValueName, Spec>, InputError> {
    let mut specs = BTreeMap::new();
    for text in texts {
        let found = match of_several(text.as_ref(), inputs) {
            Some(several) => several?,
            None => vec![assign(text.as_ref(), inputs)?],
        };
        for (name, mut spec) in found {
            if let Spec::Picture { normalization: wanted, .. } = &mut spec {
                wanted.clone_from(normalization);
            }
            if specs.insert(name.clone(), spec).is_some() {
                return Err(InputError::Twice { name });
            }
        }
    }
    Ok(specs)
}

fn assign(text: &str, inputs: &[ValueInfo]) -> Result<(ValueName, Spec), InputError> {
    // Names and paths may themselves contain `=`, so the first split that names an input wins.
    for (at, _) in text.match_indices('=') {
        let (name, spec) = (text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or(""));
        if let Some(input) = inputs.iter().find(|input| input.name.as_str() == name) {
            return Ok((input.name.clone(), spec.parse()?));
        }
    }
    let known = || inputs.iter().map(|input| input.name.clone()).collect();
    if let Some((name, _)) = text.split_once('=')
        && !Path::new(text).exists()
    {
        let closest =
            closest(name, inputs.iter().map(|input| input.name.as_str())).map(ValueName::from);
        return Err(InputError::UnknownInput { name: name.to_owned(), closest, known: known() });
    }
    let spec = text.parse()?;
    match inputs {
        [input] => Ok((input.name.clone(), spec)),
        _ => Err(InputError::Unnamed { spec: text.to_owned(), known: known() }),
    }
}
