//! What a cut keeps: the values that it ends at, and the nodes between them.

use super::ValueName;
use super::wiring::Wiring;
use crate::tensor::{Dtype, Tensor};
use std::collections::BTreeSet;

/// The part of a model to keep.
#[derive(Debug, Clone, Default)]
pub struct Cut {
    /// The values that become the outputs, in this order.
    pub to: Vec<ValueName>,
    /// The values that become inputs. Nodes that are needed only to compute them are left out.
    pub from: Vec<Boundary>,
    /// Values that become initializers with these elements, such as computed shapes. A value that
    /// no node reads is left out without an error.
    pub constants: Vec<(ValueName, Tensor)>,
}

impl Cut {
    /// The cut that keeps all nodes that one value needs.
    pub fn to(value: ValueName) -> Self {
        Cut { to: vec![value], ..Cut::default() }
    }
}

/// A value whose element type and shape are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    /// The value.
    pub name: ValueName,
    /// The element type.
    pub dtype: Dtype,
    /// The extent of each axis.
    pub shape: Vec<usize>,
}

impl Boundary {
    /// A value of the type and shape of a tensor.
    pub fn of(name: impl Into<ValueName>, tensor: &Tensor) -> Self {
        Boundary { name: name.into(), dtype: tensor.dtype(), shape: tensor.shape().to_vec() }
    }
}

/// The parts of a model that the outputs of a cut need.
pub(super) struct NeededParts<'a> {
    /// The values at which tracing back stopped: new inputs and new constants.
    pub(super) stops: BTreeSet<&'a str>,
    /// Whether each node stays.
    pub(super) nodes: Vec<bool>,
    /// The values that kept nodes read and that no kept node provides.
    pub(super) leaves: BTreeSet<&'a str>,
}

impl<'a> NeededParts<'a> {
    pub(super) fn of(to: &[ValueName], stops: BTreeSet<&'a str>, wiring: &Wiring<'a>) -> Self {
        let (mut nodes, mut leaves) = (vec![false; wiring.node_count()], BTreeSet::new());
        let mut open: Vec<usize> =
            to.iter().filter_map(|name| wiring.producer(name.as_str())).collect();
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut nodes[node], true) {
                continue;
            }
            for &value in wiring.reads(node) {
                match wiring.producer(value).filter(|_| !stops.contains(value)) {
                    Some(producer) => open.push(producer),
                    None => drop(leaves.insert(value)),
                }
            }
        }
        NeededParts { stops, nodes, leaves }
    }

    /// Whether a kept node reads the value.
    pub(super) fn reads(&self, value: &str, wiring: &Wiring<'_>) -> bool {
        let mut kept = self.nodes.iter().enumerate().filter(|(_, kept)| **kept);
        kept.any(|(node, _)| wiring.reads(node).contains(&value))
    }
}
