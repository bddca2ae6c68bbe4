//! The data flow of a model: the computed values, and the values they are computed from.
//!
//! Constants do not count as flow. Once the inputs' shapes are fixed, shapes do not count either.
//! Otherwise a cut behind the inputs would keep the inputs for a late `Reshape` to an early value's shape.

use super::constancy::{Constancy, judge, origin};
use super::wiring::Wiring;
use super::{Model, ValueName};
use std::collections::{BTreeMap, BTreeSet};

/// The data flow of a model; all inputs together are one source.
#[derive(Debug, Clone)]
pub struct Topology {
    /// The flowing values that each node reads.
    reads: Vec<Vec<ValueName>>,
    producers: BTreeMap<ValueName, usize>,
    shape_values: Vec<ValueName>,
}

impl Topology {
    /// Reads a model's structure in time n log n. The inputs' shapes are taken as fixed.
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

    /// Every value that carries data to this value, without this value itself. Values that
    /// subgraphs capture are included.
    pub fn values_behind(&self, value: &ValueName) -> BTreeSet<&ValueName> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<usize> = self.producers.get(value).copied().into_iter().collect();
        while let Some(node) = open.pop() {
            let new = self.reads[node].iter().filter(|value| seen.insert(*value));
            open.extend(new.filter_map(|value| self.producers.get(value)));
        }
        seen
    }

    /// Values that depend on the inputs' shapes but not on their elements, and that data-carrying
    /// nodes read. A cut that begins behind the inputs stores these values as constants. Otherwise
    /// the cut needs the inputs only for their shapes.
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
