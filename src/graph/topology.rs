//! How data flows through a model: which nodes everything passes, and the branches between them.
//!
//! Constants are no flow. Nor are shapes, once the inputs' are fixed: without that, a late `Reshape`
//! by an early value's shape would leave nothing that everything passes.

use super::constancy::{Constancy, judge, origin};
use super::dominators::Dominators;
use super::wiring::Wiring;
use super::{Model, ValueName};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;

/// A node's position in the file, as [`super::Node::index`] has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The data flow of a model; all inputs together are one source.
///
/// Lists of nodes are in topological order: the file's, wherever the file's is one. Nodes that wait
/// for each other in a circle have no place in it and are in no list.
#[derive(Debug, Clone)]
pub struct Topology {
    /// The position of each node in the order; `None` for constants and nodes in circles.
    ranks: Vec<Option<usize>>,
    /// The flowing nodes.
    order: Vec<usize>,
    /// For each node those it gets data from; the node count stands for the inputs.
    predecessors: Vec<Vec<usize>>,
    /// For each node the flowing values it reads.
    reads: Vec<Vec<ValueName>>,
    producers: BTreeMap<ValueName, usize>,
    shape_values: Vec<ValueName>,
    dominators: Dominators,
}

impl Topology {
    /// Reads a model's structure, in time n log n. Shapes of inputs are taken as fixed.
    pub fn of(model: &Model) -> Self {
        let graph = model.graph();
        let wiring = Wiring::of(graph);
        let count = graph.node.len();
        let order = topological(&wiring);
        let known = judge(graph, &wiring, &order);
        let order: Vec<usize> = order.into_iter().filter(|&node| known[node].flows).collect();
        let mut ranks = vec![None; count];
        order.iter().enumerate().for_each(|(rank, &node)| ranks[node] = Some(rank));
        let flowing = |node: usize| {
            let reads = wiring.reads(node).iter().copied();
            reads.filter(|value| origin(value, &wiring, &known).flows)
        };
        let origins = |node: usize| -> Vec<usize> {
            let nodes = flowing(node).map(|value| wiring.producer(value).unwrap_or(count));
            nodes.collect::<BTreeSet<usize>>().into_iter().collect()
        };
        let predecessors: Vec<Vec<usize>> = (0..count).map(origins).collect();
        let dominators = Dominators::of(count, &order, |node| &predecessors[node]);
        let outputs = |node: usize| graph.node[node].output.iter().map(move |name| (name, node));
        Topology {
            shape_values: shape_values(&wiring, &known),
            reads: (0..count).map(|node| flowing(node).map(ValueName::from).collect()).collect(),
            producers: (0..count)
                .rev()
                .flat_map(outputs)
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, node)| (name.as_str().into(), node))
                .collect(),
            ranks,
            order,
            predecessors,
            dominators,
        }
    }

    /// The nodes through which every path from the model's inputs to `output` passes, in order,
    /// ending with the node that computes it: the chain along which a bisection may search.
    ///
    /// That node alone for a constant; empty where no node computes it.
    pub fn chain(&self, output: &ValueName) -> Vec<NodeIndex> {
        let Some(&producer) = self.producers.get(output) else { return Vec::new() };
        match self.ranks[producer] {
            Some(_) => indices(self.dominators.chain(producer)),
            None => vec![NodeIndex(producer)],
        }
    }

    /// The nodes strictly between `good` (`None`: the inputs), which every path to `bad` passes, and
    /// `bad`: what `bad` depends on and `good` does not.
    pub fn inner(&self, good: Option<NodeIndex>, bad: NodeIndex) -> Vec<NodeIndex> {
        let mut known = good.map(|good| self.back_from(good)).unwrap_or_default();
        known.extend(good.map(|good| good.0));
        let inner = self.back_from(bad).into_iter().filter(|node| !known.contains(node));
        self.sorted(inner)
    }

    /// The branches between `good` and `bad`: the nodes of [`Topology::inner`], grouped so that no
    /// data goes from one branch to another. A way from `good` straight to `bad`, as around a
    /// residual block, has no nodes and is no branch. Branches may branch again within.
    pub fn between(&self, good: Option<NodeIndex>, bad: NodeIndex) -> Vec<Vec<NodeIndex>> {
        let inner = self.inner(good, bad);
        let mut group: BTreeMap<usize, usize> = inner.iter().map(|node| (node.0, node.0)).collect();
        for node in &inner {
            for predecessor in &self.predecessors[node.0] {
                if group.contains_key(predecessor) {
                    let (a, b) = (root(&mut group, node.0), root(&mut group, *predecessor));
                    group.insert(a.max(b), a.min(b));
                }
            }
        }
        let mut places = BTreeMap::new();
        let mut branches: Vec<Vec<NodeIndex>> = Vec::new();
        for node in inner {
            let place = *places.entry(root(&mut group, node.0)).or_insert(branches.len());
            if place == branches.len() {
                branches.push(Vec::new());
            }
            branches[place].push(node);
        }
        branches
    }

    /// The nodes that a node gets data from.
    pub fn inputs_of(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let nodes = self.predecessors.get(node.0).into_iter().flatten().copied();
        self.sorted(nodes.filter(|&node| node < self.ranks.len()))
    }

    /// All nodes that a node's data comes through, itself left out.
    pub fn ancestors(&self, node: NodeIndex) -> Vec<NodeIndex> {
        self.sorted(self.back_from(node).into_iter())
    }

    /// The values a node reads that carry data, those its subgraphs take from around it among them:
    /// the `from` of a cut to this node alone.
    pub fn values_into(&self, node: NodeIndex) -> &[ValueName] {
        self.reads.get(node.0).map_or(&[], Vec::as_slice)
    }

    /// The node that computes a value.
    pub fn producer(&self, value: &ValueName) -> Option<NodeIndex> {
        self.producers.get(value).copied().map(NodeIndex)
    }

    /// Whether a node gives the same whatever numbers are fed, or has no place in the order.
    pub fn is_constant(&self, node: NodeIndex) -> bool {
        self.ranks.get(node.0).is_none_or(Option::is_none)
    }

    /// The flowing nodes.
    pub fn nodes(&self) -> Vec<NodeIndex> {
        indices(self.order.clone())
    }

    /// Values that depend on the inputs' shapes but not on their numbers, and that nodes read which
    /// carry data. A cut that begins behind the inputs gives them as its constants, or needs the
    /// inputs only for their shapes.
    pub fn shape_values(&self) -> &[ValueName] {
        &self.shape_values
    }

    fn back_from(&self, node: NodeIndex) -> BTreeSet<usize> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![node.0]);
        while let Some(node) = open.pop() {
            for &predecessor in self.predecessors.get(node).into_iter().flatten() {
                if predecessor < self.ranks.len() && seen.insert(predecessor) {
                    open.push(predecessor);
                }
            }
        }
        seen
    }

    fn sorted(&self, nodes: impl Iterator<Item = usize>) -> Vec<NodeIndex> {
        let mut nodes: Vec<usize> = nodes.filter(|&node| self.ranks[node].is_some()).collect();
        nodes.sort_by_key(|&node| self.ranks[node]);
        indices(nodes)
    }
}

fn indices(nodes: Vec<usize>) -> Vec<NodeIndex> {
    nodes.into_iter().map(NodeIndex).collect()
}

/// The representative of a node's group; ways there are shortened for the next who asks.
fn root(group: &mut BTreeMap<usize, usize>, node: usize) -> usize {
    let mut at = node;
    while group[&at] != at {
        let above = group[&group[&at]];
        group.insert(at, above);
        at = above;
    }
    at
}

/// The nodes, each after those it reads from, else as the file has them. Nodes in circles are left out.
fn topological(wiring: &Wiring<'_>) -> Vec<usize> {
    let count = wiring.node_count();
    let mut readers = vec![Vec::new(); count];
    let mut waiting = vec![0usize; count];
    for (node, waiting) in waiting.iter_mut().enumerate() {
        for producer in wiring.reads(node).iter().filter_map(|value| wiring.producer(value)) {
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

fn shape_values(wiring: &Wiring<'_>, known: &[Constancy]) -> Vec<ValueName> {
    let flowing = (0..known.len()).filter(|&node| known[node].flows);
    let read: BTreeSet<&str> = flowing.flat_map(|node| wiring.reads(node)).copied().collect();
    let shaped = |value: &&str| {
        let origin = origin(value, wiring, known);
        origin.tied && !origin.flows
    };
    read.into_iter().filter(shaped).map(ValueName::from).collect()
}
