//! Draws one tensor for each input, with its origin and its digest.

use super::guess::{Guess, guess, rows};
use super::{InputError, Spec, WrittenNumber, fill, picture, stored};
use crate::graph::{Model, ResolvedInput, ValueName};
use crate::tensor::{Digest, Tensor};
use std::collections::BTreeMap;

/// The tensor that every engine gets for one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// The input.
    pub name: ValueName,
    /// The spec that the tensor was drawn from, in the form that draws it again.
    pub spec: String,
    /// Why the spec was guessed from the network's use of the input, or what a file was converted from.
    pub note: Option<String>,
    /// The numbers.
    pub tensor: Tensor,
    /// The digest of element type, shape and numbers.
    pub digest: Digest,
}

impl Feed {
    /// Makes a feed of a tensor.
    pub fn new(name: impl Into<ValueName>, spec: impl Into<String>, tensor: Tensor) -> Self {
        let digest = tensor.digest();
        Feed { name: name.into(), spec: spec.into(), note: None, tensor, digest }
    }
}

/// The shapes of feeds, by input.
pub fn shapes_of(feeds: &[Feed]) -> BTreeMap<ValueName, Vec<usize>> {
    feeds.iter().map(|feed| (feed.name.clone(), feed.tensor.shape().to_vec())).collect()
}

/// Draws a feed for every input, in the model's order. An integer input without a spec gets a spec that fits its use
/// in the network. If the network shows no use, or the input is no integer, the spec is [`Spec::default_for`].
///
/// # Errors
/// If a dimension is open, a file cannot be read, or a spec or file does not fit the input.
pub fn draw(model: &Model, specs: &BTreeMap<ValueName, Spec>) -> Result<Vec<Feed>, InputError> {
    let inputs = model.resolved_inputs()?;
    let draw_one = |(index, input): (usize, &ResolvedInput)| {
        let (spec, guessed) = match specs.get(&input.name) {
            Some(asked) => (asked.clone(), None),
            None => match guess(model, index, input) {
                Some(Guess { spec, why }) => (spec, Some(format!("guessed: {why}"))),
                None => (Spec::default_for(input.dtype, index as u64), None),
            },
        };
        let (tensor, converted) = tensor(model, &spec, input)?;
        let note = guessed.or(converted);
        Ok(Feed { note, ..Feed::new(input.name.clone(), spec.to_string(), tensor) })
    };
    inputs.iter().enumerate().map(draw_one).collect()
}

/// The tensor of a spec, and a note if a file was converted.
fn tensor(
    model: &Model,
    spec: &Spec,
    input: &ResolvedInput,
) -> Result<(Tensor, Option<String>), InputError> {
    let tensor = match spec {
        Spec::Npy(path) | Spec::Pb(path) | Spec::Npz { path, .. } => {
            let stored = stored::read(spec)?;
            let found = stored.dtype();
            let note = format!("converted from {found}, which changes no value");
            let note = (found != input.dtype).then_some(note);
            return Ok((stored::accept(stored, path, input)?, note));
        }
        Spec::Picture { path, normalization } => {
            picture::read(path, normalization, picture::Framing::default(), input)?
        }
        Spec::Ids { seed } => fill::fill(&ids(model, *seed, input)?, input)?,
        _ => fill::fill(spec, input)?,
    };
    Ok((tensor, None))
}

/// The range of the rows that the network looks up with this input.
fn ids(model: &Model, seed: u64, input: &ResolvedInput) -> Result<Spec, InputError> {
    let unfit = |problem: &str| InputError::Unfit {
        name: input.name.clone(),
        spec: Spec::Ids { seed }.to_string(),
        problem: problem.to_owned(),
        remedy: format!("give the range yourself: `uniform:0,ROWS,{seed}`"),
    };
    if input.dtype.is_float() {
        return Err(unfit(&format!("indices are integers, the input is {}", input.dtype)));
    }
    let (rows, _) = rows(&model.usages(&input.name))
        .ok_or_else(|| unfit("no Gather or OneHot of known size reads this input"))?;
    let high = i64::try_from(rows).map_err(|_| unfit("the table has too many rows"))?;
    Ok(Spec::Uniform { low: WrittenNumber::from(0), high: WrittenNumber::from(high), seed })
}
