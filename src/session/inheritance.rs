//! What a walk's operators inherit: the origin of an operator's wrong inputs, if the operator itself is right.
//!
//! An operator may be right on its inputs and still produce NaN: 0 / 0, after rounding erased a difference. Or
//! it divides by a zero of the wrong sign. The network defines which operators come before it.

use super::node_names;
use crate::graph::Model;
use crate::walk::{FACTOR, OpReport, Role, Untimely, WalkReport};
use std::collections::{BTreeMap, BTreeSet};

/// For each node, the nodes that write its inputs.
struct Ancestors {
    parents: BTreeMap<String, Vec<String>>,
}

impl Ancestors {
    fn of(model: &Model) -> Self {
        let writers = node_names(model);
        let parents = model.nodes().enumerate().map(|(index, node)| {
            let reads = model.reads(index);
            let parents = reads.iter().filter_map(|value| writers.get(value).cloned()).collect();
            (node.label().to_owned(), parents)
        });
        Ancestors { parents: parents.collect() }
    }

    /// The positions of the operators that write this operator's inputs, as the walk saw them or else as the network
    /// has them; empty if its node is not known.
    fn before(&self, walk: &WalkReport, at: usize) -> Vec<usize> {
        if !walk.ops[at].reads.is_empty() {
            return walk.ops[at].reads.clone();
        }
        let node = walk.ops[at].onnx_node.as_ref();
        let parents = node.and_then(|node| self.parents.get(node)).into_iter().flatten();
        let last = |parent: &String| {
            walk.ops[..at].iter().rposition(|op| op.onnx_node.as_ref() == Some(parent))
        };
        parents.filter_map(last).collect()
    }
}

/// Adds the inherited errors to a walk.
pub(super) fn follow_inheritance(walk: &mut WalkReport, model: &Model) {
    let is_honest = |op: &OpReport| op.disagreeing > 0 && op.introduced_disagreeing == 0;
    if !walk.ops.iter().any(is_honest) {
        return;
    }
    let ancestors = Ancestors::of(model);
    accuse_signs(walk, &ancestors);
    let born = walk.ops.iter().position(|op| op.born.is_some());
    walk.untimely = born.map(|at| {
        let op = walk.ops[at].name.clone();
        let from = decline(walk, &ancestors, at).map(|from| walk.ops[from].name.clone());
        Untimely { op, from }
    });
}

/// The origin of the error in an operator's inputs: the nearest earlier operator whose output error exceeds its
/// input error by [`FACTOR`].
fn decline(walk: &WalkReport, ancestors: &Ancestors, at: usize) -> Option<usize> {
    let error = |&at: &usize| walk.ops[at].cumulative.unwrap_or(0.0);
    let mut here = at;
    loop {
        let before = ancestors.before(walk, here).into_iter();
        here = before.max_by(|a, b| error(a).total_cmp(&error(b)))?;
        let (error, inherited) = (error(&here), walk.ops[here].inherited.unwrap_or(0.0));
        if error == 0.0 {
            return None;
        }
        if error >= FACTOR * inherited {
            return Some(here);
        }
    }
}

/// Accuses operators that produce zeros of the wrong sign, if a later operator makes infinities of them.
fn accuse_signs(walk: &mut WalkReport, ancestors: &Ancestors) {
    for at in 0..walk.ops.len() {
        let op = &walk.ops[at];
        if op.disagreeing == 0 || op.introduced_disagreeing > 0 {
            continue;
        }
        let divides = op.name.clone();
        let before = ancestors.before(walk, at);
        if before.iter().any(|&parent| walk.ops[parent].disagreeing > 0) {
            continue;
        }
        if let Some(from) = sign(walk, ancestors, before) {
            let source = &mut walk.ops[from];
            source.role = Role::Source;
            source.divided_by.get_or_insert(divides);
        }
    }
    let sources = walk.ops.iter().filter(|op| op.divided_by.is_some()).map(|op| op.name.clone());
    let named: BTreeSet<String> = walk.sources.drain(..).chain(sources).collect();
    let in_order = walk.ops.iter().map(|op| &op.name).filter(|name| named.contains(*name));
    let in_order: Vec<String> = in_order.cloned().collect();
    let others = named.iter().filter(|name| !in_order.contains(name)).cloned();
    walk.sources = in_order.iter().cloned().chain(others).collect();
}

/// The nearest operator that produces zeros of the wrong sign.
fn sign(walk: &WalkReport, ancestors: &Ancestors, mut waiting: Vec<usize>) -> Option<usize> {
    let mut met = BTreeSet::new();
    while let Some(at) = waiting.pop() {
        if walk.ops[at].zero_signs > 0 {
            return Some(at);
        }
        if met.insert(at) {
            waiting.extend(ancestors.before(walk, at));
        }
    }
    None
}
