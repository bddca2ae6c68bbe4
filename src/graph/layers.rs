//! The layers of a network, by the numbers in the names of its nodes.

use super::{Model, ValueName};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The words before the number of a layer in the names that exporters write.
const WORDS: &[&str] = &["layers", "layer", "blocks", "block", "h"];

/// The layer in a node's name, such as 2 in `/layers.2/attention/MatMul`.
pub fn layer_of(name: &str) -> Option<usize> {
    let parts: Vec<&str> = name.split(['/', '.', '_']).collect();
    let mut named = parts.windows(2).filter(|pair| WORDS.contains(&pair[0]));
    named.find_map(|pair| pair[1].parse().ok())
}

/// The first and the last of some layers, as in `10..12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRange(RangeInclusive<usize>);

impl FromStr for LayerRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| text.trim().parse().ok();
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(LayerRange(first..=last)),
            _ => Err("layers are FIRST..LAST, such as 10..12, or one number"),
        }
    }
}

/// Where some layers begin and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEnds {
    /// Computed values that the layers read.
    pub from: Vec<ValueName>,
    /// Values of the layers that other nodes read, or that are outputs of the network.
    pub to: Vec<ValueName>,
}

impl Model {
    /// The numbers of the layers.
    pub fn layers(&self) -> BTreeSet<usize> {
        self.nodes().filter_map(|node| layer_of(node.label())).collect()
    }

    /// Where these layers begin and end. `None` if no node is in one of them.
    pub fn ends_of_layers(&self, layers: &LayerRange) -> Option<LayerEnds> {
        let is_inside =
            |label: &str| layer_of(label).is_some_and(|layer| layers.0.contains(&layer));
        let (mut inside, mut outside) = (Reads::default(), Reads::default());
        for node in self.nodes() {
            let side = if is_inside(node.label()) { &mut inside } else { &mut outside };
            side.read.extend(node.inputs.iter().map(String::as_str));
            side.written.extend(node.outputs.iter().map(String::as_str));
        }
        let outputs: BTreeSet<&str> = self.outputs().iter().map(ValueName::as_str).collect();
        let is_needed = |name: &&&str| outside.read.contains(**name) || outputs.contains(**name);
        let names = |found: Vec<&&str>| -> Vec<ValueName> {
            let named = found.into_iter().filter(|name| !name.is_empty());
            named.map(|name| ValueName::from(*name)).collect()
        };
        let to = names(inside.written.iter().filter(is_needed).collect());
        let from = names(inside.read.intersection(&outside.written).collect());
        (!to.is_empty()).then_some(LayerEnds { from, to })
    }
}

/// The values that some nodes read and write.
#[derive(Default)]
struct Reads<'a> {
    read: BTreeSet<&'a str>,
    written: BTreeSet<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Network;
    use crate::tensor::Dtype;

    #[test]
    fn layers_end_where_other_nodes_read() {
        let network = Network::new("layers")
            .input("x", Dtype::F32, &[2])
            .node("/embed", "Neg", &["x"], &["a"], &[])
            .node("/layers.0/exp", "Exp", &["a"], &["b"], &[])
            .node("/layers.1/tanh", "Tanh", &["b"], &["c"], &[])
            .node("/layers.1/add", "Add", &["b", "c"], &["d"], &[])
            .node("/layers.2/relu", "Relu", &["d"], &["e"], &[])
            .output("e", Dtype::F32, &[2])
            .output("c", Dtype::F32, &[2]);
        let model = network.finish().unwrap();
        assert_eq!(model.layers(), BTreeSet::from([0, 1, 2]));
        let ends = |range: &str| model.ends_of_layers(&range.parse().unwrap());
        assert_eq!(
            ends("1").unwrap(),
            LayerEnds { from: vec!["b".into()], to: vec!["c".into(), "d".into()] }
        );
        let first = ends("0..1").unwrap();
        assert_eq!(first.from, ["a".into()]);
        assert_eq!(ends("3..9"), None);
        assert!("3..2".parse::<LayerRange>().is_err() && "a".parse::<LayerRange>().is_err());
        assert_eq!(layer_of("/model/layers.12/mlp/MatMul"), Some(12));
        assert_eq!(layer_of("/blocks/blocks.3/conv/Conv"), Some(3));
        assert_eq!(layer_of("/conv/Conv"), None);
    }
}
