//! How a network uses an input of integers: to look up rows, as a mask, as a length, as a choice.

use super::wiring::subgraphs;
use super::{Model, ValueName};
use std::collections::{BTreeMap, BTreeSet};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// One use of an input, found at a node that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usage {
    /// The values are indices.
    Index {
        /// The number of rows to choose from.
        rows: usize,
        /// The node that looks up the rows.
        node: String,
    },
    /// The values are compared with this constant.
    Compared {
        /// The constant.
        with: i64,
        /// The node that compares.
        node: String,
    },
    /// The values say how much of each sequence is valid.
    Length {
        /// The node that reads the lengths.
        node: String,
    },
    /// The values hide or show elements.
    Mask {
        /// The node that applies the mask.
        node: String,
    },
}

/// Operators that pass integers on without changing their meaning.
const PROPAGATORS: [&str; 9] = [
    "Identity",
    "Cast",
    "Reshape",
    "Unsqueeze",
    "Squeeze",
    "Flatten",
    "Transpose",
    "Slice",
    "Expand",
];

impl Model {
    /// The uses of an input, in the file's order. Nodes inside subgraphs are included.
    pub fn usages(&self, input: &ValueName) -> Vec<Usage> {
        let mut graphs = Vec::new();
        collect(self.graph(), &mut graphs);
        let constants = Constants::of(&graphs);
        let mut same = BTreeSet::from([input.as_str()]);
        let mut usages = Vec::new();
        for node in graphs.iter().flat_map(|graph| &graph.node) {
            for (slot, _) in
                node.input.iter().enumerate().filter(|(_, name)| same.contains(name.as_str()))
            {
                usages.extend(constants.usage(node, slot));
            }
            let first = node.input.first().map_or("", String::as_str);
            if PROPAGATORS.contains(&node.op_type.as_str()) && same.contains(first) {
                same.extend(node.output.iter().map(String::as_str));
            }
        }
        usages
    }
}

/// Collects a graph and its subgraphs.
fn collect<'a>(graph: &'a GraphProto, into: &mut Vec<&'a GraphProto>) {
    into.push(graph);
    graph.node.iter().flat_map(subgraphs).for_each(|inner| collect(inner, into));
}

/// The constants of all graphs of a model, and the values derived from them with the same extents.
struct Constants<'a> {
    tensors: BTreeMap<&'a str, &'a TensorProto>,
    /// The first input of `DequantizeLinear`, `Cast` or `Identity` by its output.
    behind: BTreeMap<&'a str, &'a str>,
}

impl<'a> Constants<'a> {
    fn of(graphs: &[&'a GraphProto]) -> Self {
        let mut tensors = BTreeMap::new();
        let mut behind = BTreeMap::new();
        for graph in graphs {
            tensors.extend(graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)));
            for node in &graph.node {
                let (Some(output), input) = (node.output.first(), node.input.first()) else {
                    continue;
                };
                let value = node.attribute.iter().find(|attribute| attribute.name == "value");
                if let ("Constant", Some(tensor)) =
                    (node.op_type.as_str(), value.and_then(|value| value.t.as_ref()))
                {
                    tensors.insert(output, tensor);
                }
                if let ("DequantizeLinear" | "Cast" | "Identity", Some(input)) =
                    (node.op_type.as_str(), input)
                {
                    behind.insert(output.as_str(), input.as_str());
                }
            }
        }
        Constants { tensors, behind }
    }

    /// The constant of a name. Nodes that keep the constant's extents may be in between.
    fn constant(&self, name: &str) -> Option<&'a TensorProto> {
        let mut name = name;
        // A cycle of casts in a file must not cause an endless loop.
        for _ in 0..=self.behind.len() {
            match self.tensors.get(name) {
                Some(tensor) => return Some(tensor),
                None => name = self.behind.get(name)?,
            }
        }
        None
    }

    fn number(&self, name: &str) -> Option<i64> {
        let tensor = super::from_proto(self.constant(name)?, std::path::Path::new("")).ok()?;
        let number = tensor.numbers(1);
        match number.as_slice() {
            [only] if only.fract() == 0.0 => Some(*only as i64),
            _ => None,
        }
    }

    /// How a node uses its input at `slot`.
    fn usage(&self, node: &NodeProto, slot: usize) -> Option<Usage> {
        let name = || match (node.name.as_str(), node.output.first()) {
            ("", Some(output)) => output.clone(),
            (name, _) => name.to_owned(),
        };
        let other = |slot: usize| node.input.get(slot).map_or("", String::as_str);
        match (node.op_type.as_str(), slot) {
            ("Gather" | "GatherElements", 1) => {
                let axis = node.attribute.iter().find(|attribute| attribute.name == "axis");
                let dims = &self.constant(other(0))?.dims;
                let axis = axis.map_or(0, |axis| axis.i);
                let at = usize::try_from(axis).ok().or_else(|| {
                    dims.len().checked_sub(usize::try_from(axis.unsigned_abs()).ok()?)
                })?;
                let rows = usize::try_from(*dims.get(at)?).ok().filter(|rows| *rows > 0)?;
                Some(Usage::Index { rows, node: name() })
            }
            ("OneHot", 0) => {
                let rows = usize::try_from(self.number(other(1))?).ok().filter(|rows| *rows > 0)?;
                Some(Usage::Index { rows, node: name() })
            }
            ("Equal", slot @ (0 | 1)) => {
                Some(Usage::Compared { with: self.number(other(1 - slot))?, node: name() })
            }
            ("GRU" | "LSTM" | "RNN", 4) => Some(Usage::Length { node: name() }),
            ("Where", 0) | ("Not" | "And" | "Or", _) => Some(Usage::Mask { node: name() }),
            // (1 - mask) * -10000, as exporters of transformers write a mask.
            ("Sub", 1) if self.number(other(0)) == Some(1) => Some(Usage::Mask { node: name() }),
            _ => None,
        }
    }
}
