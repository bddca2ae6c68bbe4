//! The node that chose an output, and the values that it chose from.

use super::ranks::AxisRanking;
use crate::graph::{Attribute, Model, Node, ValueName};

/// A node whose output is a choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Chooser {
    /// The node's label.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// The values that the node chose from, in the node's order; an empty name is an omitted input.
    pub inputs: Vec<ValueName>,
    pub(super) how: How,
}

/// How a node chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By the order of the values along an axis.
    Ranks(AxisRanking),
    /// By score, and by overlap with a box that has a higher score.
    Boxes { is_centred: bool },
}

/// Operators that keep the elements and their order.
const HANDED_ON: [&str; 5] = ["Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"];
/// ONNX's numbers of the element types that hold every index: f32, i32, i64, f64, u32, u64.
const WIDE: [i64; 6] = [1, 6, 7, 11, 12, 13];

fn is_handed_on(model: &Model, node: &Node<'_>) -> bool {
    let is_wide = || matches!(model.attributes(node.index).get("to"), Some(Attribute::Int(to)) if WIDE.contains(to));
    HANDED_ON.contains(&node.op_type) || (node.op_type == "Cast" && is_wide())
}

impl Chooser {
    /// The node that chose a value; `None` if the value is no choice.
    pub fn of(model: &Model, value: &ValueName) -> Option<Self> {
        let mut value = value.to_string();
        // The bound ends the search in a network with a cycle.
        for _ in 0..model.node_count() {
            let node = model.nodes().find(|node| node.outputs.contains(&value))?;
            if !matches!(node.domain, "" | "ai.onnx") {
                return None;
            }
            if !is_handed_on(model, &node) {
                return Chooser::at(model, &node, &value);
            }
            value.clone_from(node.inputs.first()?);
        }
        None
    }

    fn at(model: &Model, node: &Node<'_>, value: &str) -> Option<Self> {
        let attributes = model.attributes(node.index);
        let number = |name: &str, otherwise: i64| match attributes.get(name) {
            Some(Attribute::Int(number)) => *number,
            _ => otherwise,
        };
        let place = node.outputs.iter().position(|output| output == value)?;
        let how = match (node.op_type, place) {
            ("ArgMax" | "ArgMin", 0) => How::Ranks(AxisRanking {
                axis: number("axis", 0),
                is_largest: node.op_type == "ArgMax",
                is_ordered: true,
            }),
            ("TopK", 1) => How::Ranks(AxisRanking {
                axis: number("axis", -1),
                is_largest: number("largest", 1) != 0,
                is_ordered: number("sorted", 1) != 0,
            }),
            ("NonMaxSuppression", 0) => {
                How::Boxes { is_centred: number("center_point_box", 0) != 0 }
            }
            _ => return None,
        };
        Some(Chooser {
            node: node.label().to_owned(),
            op_type: node.op_type.to_owned(),
            inputs: node.inputs.iter().map(|name| name.as_str().into()).collect(),
            how,
        })
    }
}
