//! Simpler numbers: zeros, ones, counting, few that are not zero, small whole numbers; and the
//! smallest value that fails, where an operator only passes values on.

use super::oracle::{Finding, Oracle, Seen};
use super::specimen::Specimen;
use crate::graph::ValueName;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which values fail, of an operator that only passes them on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The largest magnitude below which every value that occurs is passed on exactly.
    pub exact_up_to: f32,
    /// The smallest magnitude that is not.
    pub fails_at: f32,
    /// What becomes of it.
    pub becomes: f32,
    /// Whether a tensor of nothing but that value fails, and one of nothing but the value below it
    /// does not.
    pub proven: bool,
}

impl Limit {
    /// `values up to 2048 are exact; the smallest failing value is 2049, which becomes 2048`.
    pub fn sentence(&self) -> String {
        let Limit { exact_up_to, fails_at, becomes, proven } = self;
        let proof = if *proven { "; both proven by tensors of that value alone" } else { "" };
        format!(
            "values up to {exact_up_to} are exact; the smallest failing value is {fails_at}, which becomes {becomes}{proof}"
        )
    }
}

/// Replaces every feed by the simplest one that still shows the finding.
pub(super) fn simplify_feeds(
    specimen: &mut Specimen,
    finding: Finding,
    oracle: &mut Oracle<'_>,
    announce: &mut dyn FnMut(&str),
) {
    let names: Vec<ValueName> = specimen.feeds.iter().map(|feed| feed.name.clone()).collect();
    for name in names {
        announce(&format!("simpler values for {name}"));
        let Some(feed) = specimen.feeds.iter().find(|feed| feed.name == name) else { continue };
        let kinds = simpler(&feed.tensor);
        let simple = kinds.into_iter().find_map(|(spec, tensor)| {
            let changed = specimen.refed(&name, tensor, spec);
            oracle.shows(&changed, finding).then_some(changed)
        });
        match simple {
            Some(changed) => *specimen = changed,
            None => few_nonzeros(specimen, &name, finding, oracle),
        }
    }
}

/// Replaces every constant of floating-point numbers by the simplest one that will do.
pub(super) fn simplify_constants(
    specimen: &mut Specimen,
    finding: Finding,
    oracle: &mut Oracle<'_>,
    announce: &mut dyn FnMut(&str),
) {
    for (name, tensor) in specimen.model.initializers() {
        if !tensor.dtype().is_float() {
            continue;
        }
        announce(&format!("simpler values for the constant {name}"));
        let simple = simpler(&tensor).into_iter().find_map(|(_, simple)| {
            let changed = specimen.with_constant(&name, simple).ok()?;
            oracle.shows(&changed, finding).then_some(changed)
        });
        if let Some(changed) = simple {
            *specimen = changed;
        }
    }
}

/// Ever less simple tensors of the same shape; none for other types than `f32`.
fn simpler(tensor: &Tensor) -> Vec<(&'static str, Tensor)> {
    let Tensor::F32(array) = tensor else { return Vec::new() };
    let filled = |value: f32| Tensor::F32(array.mapv(|_| value));
    let mut next = -1.0;
    let counting = Tensor::F32(array.mapv(|_| {
        next += 1.0;
        next
    }));
    let whole = Tensor::F32(array.mapv(|value| value.clamp(-8.0, 8.0).round()));
    let all = [
        ("zeros", filled(0.0)),
        ("ones", filled(1.0)),
        ("arange", counting),
        ("small whole numbers", whole),
    ];
    all.into_iter().filter(|(_, simple)| simple != tensor).collect()
}

/// Sets half after half of the elements to zero while the finding stays.
fn few_nonzeros(
    specimen: &mut Specimen,
    name: &ValueName,
    finding: Finding,
    oracle: &mut Oracle<'_>,
) {
    let Some(feed) = specimen.feeds.iter().find(|feed| feed.name == *name) else { return };
    let Tensor::F32(array) = feed.tensor.clone() else { return };
    let mut kept: Vec<usize> =
        array.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(at, _)| at).collect();
    let only = |kept: &[usize]| {
        let kept: BTreeSet<usize> = kept.iter().copied().collect();
        let mut at = 0;
        Tensor::F32(array.mapv(|value| {
            at += 1;
            if kept.contains(&(at - 1)) { value } else { 0.0 }
        }))
    };
    while kept.len() > 1 {
        let (left, right) = kept.split_at(kept.len() / 2);
        let half = [left, right].into_iter().find_map(|half| {
            let changed = specimen.refed(name, only(half), "few non-zeros");
            oracle.shows(&changed, finding).then(|| (half.to_vec(), changed))
        });
        let Some((half, changed)) = half else { break };
        kept = half;
        *specimen = changed;
    }
}

/// Which values fail, where the reference's output holds nothing but values of the input; the
/// specimen becomes one of nothing but the smallest failing value, where that fails, too.
pub(super) fn find_limit(
    specimen: &mut Specimen,
    finding: Finding,
    oracle: &mut Oracle<'_>,
) -> Option<Limit> {
    let seen = oracle.ask(specimen);
    let (fails_at, becomes, exact_up_to) = smallest_failing(specimen, &seen)?;
    let name = specimen.feeds.first()?.name.clone();
    let filled = |value: f32| match &specimen.feeds.first()?.tensor {
        Tensor::F32(array) => Some(specimen.refed(
            &name,
            Tensor::F32(array.mapv(|_| value)),
            &format!("const:{value}"),
        )),
        _ => None,
    };
    let (failing, exact) = (filled(fails_at)?, filled(exact_up_to)?);
    let proven = oracle.shows(&failing, finding) && oracle.ask(&exact).finding == Finding::Agrees;
    if proven {
        *specimen = failing;
    }
    Some(Limit { exact_up_to, fails_at, becomes, proven })
}

/// The smallest magnitude that is not passed on, what becomes of it, and the largest below it.
fn smallest_failing(specimen: &Specimen, seen: &Seen) -> Option<(f32, f32, f32)> {
    let [feed] = specimen.feeds.as_slice() else { return None };
    let (reference, candidate) = seen.worst.as_ref()?;
    let (Tensor::F32(fed), Tensor::F32(right), Tensor::F32(found)) =
        (&feed.tensor, &reference.tensor, &candidate.tensor)
    else {
        return None;
    };
    let fed: BTreeSet<u32> = fed.iter().map(|value| value.to_bits()).collect();
    if !right.iter().all(|value| fed.contains(&value.to_bits())) {
        return None;
    }
    let pairs = right.iter().zip(found);
    let failing = pairs.filter(|(right, found)| right.to_bits() != found.to_bits());
    let (fails_at, becomes) = failing.min_by(|a, b| a.0.abs().total_cmp(&b.0.abs()))?;
    let below = right.iter().filter(|value| value.abs() < fails_at.abs());
    let exact_up_to = below.max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
    Some((*fails_at, *becomes, *exact_up_to))
}
