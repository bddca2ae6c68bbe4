//! The writers and readers of each value of a graph, including readers inside subgraphs, and the
//! resulting order of nodes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use tract_onnx::pb::{GraphProto, NodeProto, SparseTensorProto};

/// The values of a graph by name.
pub(super) struct Wiring<'a> {
    /// The node that writes each value. If a broken file has several, the first one.
    producers: BTreeMap<&'a str, usize>,
    /// The values that each node reads, itself or inside its subgraphs, each once.
    reads: Vec<Vec<&'a str>>,
    /// Dense and sparse initializers.
    initializers: BTreeSet<&'a str>,
    /// Declared inputs, with or without an initializer.
    inputs: BTreeSet<&'a str>,
}

impl<'a> Wiring<'a> {
    pub(super) fn of(graph: &'a GraphProto) -> Self {
        let mut producers = BTreeMap::new();
        for (index, node) in graph.node.iter().enumerate() {
            for output in node.output.iter().filter(|output| !output.is_empty()) {
                producers.entry(output.as_str()).or_insert(index);
            }
        }
        Wiring {
            producers,
            reads: graph.node.iter().map(reads).collect(),
            initializers: initializers(graph).collect(),
            inputs: graph.input.iter().map(|input| input.name.as_str()).collect(),
        }
    }

    /// The node that writes a value.
    pub(super) fn producer(&self, value: &str) -> Option<usize> {
        self.producers.get(value).copied()
    }

    /// The values that a node reads, including constants.
    pub(super) fn reads(&self, node: usize) -> &[&'a str] {
        &self.reads[node]
    }

    /// Every value that a node writes, with that node.
    pub(super) fn producers(&self) -> impl Iterator<Item = (&'a str, usize)> {
        self.producers.iter().map(|(value, node)| (*value, *node))
    }

    /// The nodes in evaluation order: each node follows the nodes it reads from, otherwise the
    /// file's order stays. Nodes in cycles are left out.
    pub(super) fn order(&self) -> Vec<usize> {
        let count = self.node_count();
        let mut readers = vec![Vec::new(); count];
        let mut waiting = vec![0usize; count];
        for (node, waiting) in waiting.iter_mut().enumerate() {
            for producer in self.reads(node).iter().filter_map(|value| self.producer(value)) {
                readers[producer].push(node);
                *waiting += 1;
            }
        }
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..count).filter(|&node| waiting[node] == 0).map(Reverse).collect();
        let mut order = Vec::with_capacity(count);
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for &reader in &readers[node] {
                waiting[reader] -= 1;
                if waiting[reader] == 0 {
                    ready.push(Reverse(reader));
                }
            }
        }
        order
    }

    pub(super) fn node_count(&self) -> usize {
        self.reads.len()
    }

    pub(super) fn is_initializer(&self, value: &str) -> bool {
        self.initializers.contains(value)
    }

    /// Whether the graph declares the value as an input.
    pub(super) fn is_input(&self, value: &str) -> bool {
        self.inputs.contains(value)
    }

    /// Whether the value is fed from outside.
    pub(super) fn is_fed(&self, value: &str) -> bool {
        self.inputs.contains(value) && !self.is_initializer(value)
    }

    /// Whether the graph has a value of this name, outside its subgraphs.
    pub(super) fn has(&self, value: &str) -> bool {
        self.producers.contains_key(value)
            || self.inputs.contains(value)
            || self.initializers.contains(value)
    }

    /// Every value, outside subgraphs.
    pub(super) fn values(&self) -> impl Iterator<Item = &'a str> {
        let named = self.inputs.union(&self.initializers).copied();
        self.producers.keys().copied().chain(named)
    }
}

/// The name of a sparse initializer, which ONNX keeps with its values.
pub(super) fn sparse_name(tensor: &SparseTensorProto) -> &str {
    tensor.values.as_ref().map_or("", |values| &values.name)
}

/// The subgraphs of a node: the branches of an `If`, the body of a `Loop` or `Scan`.
pub(super) fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// Whether a value of this name is defined inside a subgraph, at any depth.
pub(super) fn defines(graph: &GraphProto, value: &str) -> bool {
    locals(graph).any(|local| local == value)
        || graph.node.iter().flat_map(subgraphs).any(|inner| defines(inner, value))
}

fn initializers(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let dense = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let sparse = graph.sparse_initializer.iter().map(sparse_name);
    dense.chain(sparse).filter(|name| !name.is_empty())
}

/// The values that a node reads: its inputs, and the values that its subgraphs capture.
pub(super) fn reads(node: &NodeProto) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let own = node.input.iter().map(String::as_str).filter(|input| !input.is_empty());
    own.chain(subgraphs(node).flat_map(captures)).filter(|value| seen.insert(*value)).collect()
}

/// The values a subgraph reads and does not define.
pub(super) fn captures(graph: &GraphProto) -> Vec<&str> {
    // Depth is bounded: protobuf decoding stops at 100 levels.
    let local: BTreeSet<&str> = locals(graph).collect();
    let inside = graph.node.iter().flat_map(reads);
    let results = graph.output.iter().map(|output| output.name.as_str());
    inside.chain(results).filter(|value| !local.contains(value)).collect()
}

/// The values a subgraph defines itself.
fn locals(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    let written = graph.node.iter().flat_map(|node| &node.output).map(String::as_str);
    inputs.chain(initializers(graph)).chain(written)
}
