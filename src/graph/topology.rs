//! How data flows through a model: what is computed, and what its values are computed from.
//!
//! Constants are no flow. Nor are shapes, once the inputs' are fixed: without that, a cut behind
//! the inputs would have to keep them for the sake of a late `Reshape` by an early value's shape.

use super::constancy::{Constancy, judge, origin};
use super::wiring::Wiring;
use super::{Model, ValueName};
use std::collections::{BTreeMap, BTreeSet};

/// The data flow of a model; all inputs together are one source.
#[derive(Debug, Clone)]
pub struct Topology {
    /// For each node the flowing values it reads.
    reads: Vec<Vec<ValueName>>,
    producers: BTreeMap<ValueName, usize>,
    shape_values: Vec<ValueName>,
}

impl Topology {
    /// Reads a model's structure, in time n log n. Shapes of inputs are taken as fixed.
    pub fn of(model: &Model) -> Self {
        let graph = model.graph();
        let wiring = Wiring::of(graph);
        let known = judge(graph, &wiring, &wiring.order());
        let flowing = |node: usize| {
            let reads = wiring.reads(node).iter().copied();
            let flowing = reads.filter(|value| origin(value, &wiring, &known).flows);
            flowing.map(ValueName::from).collect()
        };
        Topology {
            reads: (0..graph.node.len()).map(flowing).collect(),
            producers: wiring.producers().map(|(value, node)| (value.into(), node)).collect(),
            shape_values: shape_values(&wiring, &known),
        }
    }

    /// Whether a node computes the value.
    pub fn is_computed(&self, value: &ValueName) -> bool {
        self.producers.contains_key(value)
    }

    /// Every value that carries data to this one, itself left out; those that subgraphs take from
    /// around them are among them.
    pub fn values_behind(&self, value: &ValueName) -> BTreeSet<&ValueName> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<usize> = self.producers.get(value).copied().into_iter().collect();
        while let Some(node) = open.pop() {
            let new = self.reads[node].iter().filter(|value| seen.insert(*value));
            open.extend(new.filter_map(|value| self.producers.get(value)));
        }
        seen
    }

    /// Values that depend on the inputs' shapes but not on their numbers, and that nodes read which
    /// carry data. A cut that begins behind the inputs gives them as its constants, or needs the
    /// inputs only for their shapes.
    pub fn shape_values(&self) -> &[ValueName] {
        &self.shape_values
    }
}

fn shape_values(wiring: &Wiring<'_>, known: &[Constancy]) -> Vec<ValueName> {
    let flowing = (0..known.len()).filter(|&node| known[node].flows);
    let read: BTreeSet<&str> = flowing.flat_map(|node| wiring.reads(node)).copied().collect();
    let shaped = |value: &&str| {
        let origin = origin(value, wiring, known);
        origin.tied && !origin.flows
    };
    read.into_iter().filter(shaped).map(ValueName::from).collect()
}
