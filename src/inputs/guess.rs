//! Guesses a spec for an integer input without one: values that fit the network's use of the input.

use super::{Spec, WrittenNumber};
use crate::graph::{Model, ResolvedInput, Usage};

/// A spec for an input, and why it fits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guess {
    /// The spec.
    pub(super) spec: Spec,
    /// The reason, for the report.
    pub(super) why: String,
}

/// How many rows an input of indices may choose from, and the node that looks them up. Of several nodes, the node
/// with the fewest rows counts.
pub(super) fn rows(usages: &[Usage]) -> Option<(usize, &str)> {
    let indices = usages.iter().filter_map(|usage| match usage {
        Usage::Index { rows, node } => Some((*rows, node.as_str())),
        _ => None,
    });
    indices.min()
}

/// A guess for the `index`-th input. `None` for floats, or if the network shows no use of the integers.
///
/// Indices come first, because a network also derives its masks from them. Names decide only if no node does.
pub(super) fn guess(model: &Model, index: usize, input: &ResolvedInput) -> Option<Guess> {
    if input.dtype.is_float() {
        return None;
    }
    let usages = model.usages(&input.name);
    if let Some((rows, node)) = rows(&usages) {
        let last = rows.saturating_sub(1);
        let why = format!("`{node}` looks up rows 0 to {last}");
        return Some(Guess { spec: Spec::Ids { seed: index as u64 }, why });
    }
    usages.iter().find_map(|usage| of_usage(model, input, usage)).or_else(|| by_name(model, input))
}

fn of_usage(model: &Model, input: &ResolvedInput, usage: &Usage) -> Option<Guess> {
    match usage {
        Usage::Compared { with, node } => {
            Some(Guess { spec: constant(*with), why: format!("`{node}` compares it with {with}") })
        }
        Usage::Length { node } => lengths(model, input, &format!("`{node}` reads lengths")),
        Usage::Mask { node } => {
            Some(Guess { spec: Spec::Ones, why: format!("`{node}` masks with it") })
        }
        Usage::Index { .. } => None,
    }
}

fn by_name(model: &Model, input: &ResolvedInput) -> Option<Guess> {
    let name = input.name.as_str().to_lowercase();
    if name.contains("mask") {
        return Some(Guess { spec: Spec::Ones, why: "its name says that it is a mask".into() });
    }
    let is_length = name.contains("length") || name.ends_with("_lens") || name.ends_with("_len");
    is_length.then(|| lengths(model, input, "its name says that it is a length")).flatten()
}

/// The whole sequence is valid, so the length is the second extent of the first other input with two or more axes.
fn lengths(model: &Model, input: &ResolvedInput, reason: &str) -> Option<Guess> {
    let inputs = model.resolved_inputs().ok()?;
    let sequence = inputs.iter().find(|other| other.name != input.name && other.shape.len() > 1)?;
    let extent = *sequence.shape.get(1)?;
    let why = format!("{reason}, and `{}` is {extent} long", sequence.name);
    Some(Guess { spec: constant(i64::try_from(extent).ok()?), why })
}

fn constant(value: i64) -> Spec {
    Spec::Constant(WrittenNumber::from(value))
}
