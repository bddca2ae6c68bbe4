//! The nodes of a model in the order in which they can run, and what each reads.

use super::Model;
use super::wiring::{Wiring, reads, subgraphs};
use std::collections::{BTreeMap, BTreeSet};
use tract_onnx::pb::GraphProto;

impl Model {
    /// The nodes in an order that writes every value before it is read. A valid order in the file
    /// stays unchanged. Nodes in a cycle are left out.
    pub fn evaluation_order(&self) -> Vec<usize> {
        Wiring::of(self.graph()).order()
    }

    /// All values that a node reads: its inputs as listed, then the other values that its subgraphs
    /// capture. An empty name is an omitted input.
    pub fn reads(&self, node: usize) -> Vec<String> {
        let proto = &self.graph().node[node];
        let own: BTreeSet<&str> = proto.input.iter().map(String::as_str).collect();
        let beside = reads(proto).into_iter().filter(|name| !own.contains(name));
        proto.input.iter().cloned().chain(beside.map(str::to_owned)).collect()
    }
}

impl Model {
    /// The number of nodes inside the bodies of nodes, at any depth, by the types of the outermost nodes.
    pub fn nodes_in_bodies(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for node in &self.graph().node {
            let count: usize = subgraphs(node).map(nodes_of).sum();
            if count > 0 {
                *counts.entry(node.op_type.clone()).or_default() += count;
            }
        }
        counts
    }
}

/// The number of nodes in a subgraph and in its own subgraphs.
fn nodes_of(graph: &GraphProto) -> usize {
    let inside = graph.node.iter().flat_map(subgraphs).map(nodes_of);
    graph.node.len() + inside.sum::<usize>()
}
