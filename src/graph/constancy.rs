//! Finds the nodes that carry data from the inputs, and the nodes with the same outputs for any input.
//!
//! A node whose inputs are all constant is constant. So is a `Shape` or `Size` node, once the
//! inputs' shapes are fixed. The exception is a tensor whose shape depends on element values.

use super::wiring::Wiring;
use tract_onnx::pb::{GraphProto, NodeProto};

/// Operators that return shapes and read no elements.
const SHAPE_READERS: &[&str] = &["Shape", "Size"];

/// Operators whose output shape depends on the elements that they read.
const SHAPED_BY_NUMBERS: &[&str] = &[
    "NonZero",
    "Unique",
    "Compress",
    "NonMaxSuppression",
    "ConstantOfShape",
    "Range",
    "If",
    "Loop",
    "SequenceAt",
    "ConcatFromSequence",
    "SplitToSequence",
    "StringSplit",
];

/// Operators whose output shape depends on the elements of all inputs but the first.
const SHAPED_BY_LATER_INPUTS: &[&str] = &[
    "Reshape",
    "Expand",
    "Slice",
    "Tile",
    "Pad",
    "Resize",
    "Upsample",
    "TopK",
    "OneHot",
    "Split",
    "Squeeze",
    "Unsqueeze",
    "CenterCropPad",
    "Col2Im",
    "DFT",
    "AffineGrid",
    "MaxUnpool",
];

/// The known properties of a node's outputs before anything runs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Constancy {
    /// The elements depend on fed elements.
    pub(super) flows: bool,
    /// The elements depend on the shapes or on the elements of fed values.
    pub(super) tied: bool,
    /// The shape depends on fed elements.
    open: bool,
}

/// Judges every node; `order` is topological. Nodes missing from `order` count as flowing.
pub(super) fn judge(graph: &GraphProto, wiring: &Wiring<'_>, order: &[usize]) -> Vec<Constancy> {
    let all = Constancy { flows: true, tied: true, open: true };
    let mut known = vec![all; graph.node.len()];
    for &index in order {
        let node = &graph.node[index];
        let of = |value: &str| origin(value, wiring, &known);
        let read: Vec<Constancy> = wiring.reads(index).iter().map(|value| of(value)).collect();
        let flows = read.iter().any(|input| input.flows);
        let open = read.iter().any(|input| input.open) || shaped_by_flow(node, flows, of);
        let tells_shape = is_own(node) && SHAPE_READERS.contains(&node.op_type.as_str());
        let tied = read.iter().any(|input| input.tied);
        known[index] = if tells_shape && !open {
            Constancy { flows: false, tied, open: false }
        } else {
            Constancy { flows, tied, open: open && flows }
        };
    }
    known
}

/// The known properties of a value: fed from outside, computed by a node, or stored.
pub(super) fn origin(value: &str, wiring: &Wiring<'_>, known: &[Constancy]) -> Constancy {
    match wiring.producer(value) {
        Some(node) => known[node],
        None if wiring.is_fed(value) => Constancy { flows: true, tied: true, open: false },
        None => Constancy::default(),
    }
}

/// Whether flowing values decide the shape of a node's outputs.
fn shaped_by_flow(node: &NodeProto, flows: bool, of: impl Fn(&str) -> Constancy) -> bool {
    let op = node.op_type.as_str();
    let later = || node.input.iter().skip(1).any(|value| of(value).flows);
    let reduces = op.starts_with("Reduce");
    (SHAPED_BY_NUMBERS.contains(&op) && flows)
        || ((SHAPED_BY_LATER_INPUTS.contains(&op) || reduces) && later())
}

fn is_own(node: &NodeProto) -> bool {
    matches!(node.domain.as_str(), "" | "ai.onnx")
}
