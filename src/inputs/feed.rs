//! Drawing: one tensor for each input, with what it came from and its digest.

use super::{InputError, Spec, fill, picture, stored};
use crate::graph::{ResolvedInput, ValueName};
use crate::tensor::{Digest, Tensor};
use std::collections::BTreeMap;

/// The tensor every engine is given for one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// The input.
    pub name: ValueName,
    /// The spec it was drawn from, as one would write it to draw it again.
    pub spec: String,
    /// The numbers.
    pub tensor: Tensor,
    /// The digest of element type, shape and numbers.
    pub digest: Digest,
}

/// Draws a feed for every input, in the model's order; inputs without a spec get [`Spec::default_for`].
///
/// # Errors
/// When a file cannot be read, or a spec or file does not fit the input.
pub fn draw(
    inputs: &[ResolvedInput],
    specs: &BTreeMap<ValueName, Spec>,
) -> Result<Vec<Feed>, InputError> {
    let draw_one = |(index, input): (usize, &ResolvedInput)| {
        let default = Spec::default_for(index);
        let spec = specs.get(&input.name).unwrap_or(&default);
        let tensor = match spec {
            Spec::Npy(path) | Spec::Pb(path) | Spec::Npz { path, .. } => {
                stored::fed(spec, path, input)?
            }
            Spec::Picture { path, normalization } => {
                picture::read(path, normalization, picture::Framing::default(), input)?
            }
            _ => fill::fill(spec, input)?,
        };
        let digest = tensor.digest();
        Ok(Feed { name: input.name.clone(), spec: spec.to_string(), tensor, digest })
    };
    inputs.iter().enumerate().map(draw_one).collect()
}
