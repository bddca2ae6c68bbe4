//! Simpler numbers: zeros, ones, counting, few non-zeros, small whole numbers.

use super::oracle::{Finding, Oracle};
use super::specimen::Specimen;
use crate::graph::ValueName;
use crate::tensor::Tensor;
use std::collections::BTreeSet;

/// Replaces every feed by the simplest tensor that still shows the finding.
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

/// Replaces every floating-point constant by the simplest tensor that still shows the finding.
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

/// Tensors of the same shape, from simple to less simple. Empty for types other than `f32`.
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

/// Sets half after half of the elements to zero as long as the finding remains.
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
