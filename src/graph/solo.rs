//! Single nodes: what each reads and writes, and the model that has nothing but one of them.

use super::value_info::declare;
use super::wiring::{captures, subgraphs};
use super::{Model, ModelError, ValueName, keep, tensor_proto};
use crate::tensor::Tensor;
use prost::Message as _;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto};

/// One node by itself: the values it is fed and the values that stay constants.
#[derive(Debug, Clone, Copy)]
pub struct Solo<'a> {
    /// The node's place in the file.
    pub node: usize,
    /// Values that become the model's inputs, with tensors of their element types and shapes.
    pub inputs: &'a [(&'a str, &'a Tensor)],
    /// Values that become initializers.
    pub constants: &'a [(&'a str, &'a Tensor)],
    /// Tensors like its outputs, where they are known: what the model's outputs are declared to be.
    pub outputs: &'a [(&'a str, &'a Tensor)],
}

impl Model {
    /// The initializers that hold numbers, those in external files read.
    pub fn initializers(&self) -> BTreeMap<ValueName, Tensor> {
        let folder = self.path().parent().unwrap_or(std::path::Path::new(""));
        self.graph()
            .initializer
            .iter()
            .filter_map(|proto| {
                let tensor = tensor_proto::from_proto(proto, folder).ok()?;
                Some((ValueName::from(proto.name.as_str()), tensor))
            })
            .collect()
    }

    /// Everything a node reads: its inputs as they stand (an empty name is one left out), then what
    /// its subgraphs capture from outside.
    pub fn reads(&self, node: usize) -> Vec<String> {
        let proto = &self.graph().node[node];
        let captured: BTreeSet<&str> = subgraphs(proto).flat_map(captures).collect();
        let captured = captured.into_iter().map(str::to_owned);
        let captured = captured.filter(|name| !name.is_empty() && !proto.input.contains(name));
        proto.input.iter().cloned().chain(captured).collect()
    }

    /// The values a node writes, those left out not among them.
    pub fn writes(&self, node: usize) -> Vec<String> {
        self.graph().node[node].output.iter().filter(|name| !name.is_empty()).cloned().collect()
    }

    /// The nodes in an order in which every value is written before it is read: the file's own order
    /// wherever that is one. Nodes in a cycle are left out.
    pub fn evaluation_order(&self) -> Vec<usize> {
        let nodes = &self.graph().node;
        let mut writer = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            writer.extend(node.output.iter().map(|name| (name.as_str(), index)));
        }
        let mut waits = vec![0usize; nodes.len()];
        let mut readers = vec![Vec::new(); nodes.len()];
        for (index, waits) in waits.iter_mut().enumerate() {
            for name in self.reads(index).iter().filter(|name| !name.is_empty()) {
                if let Some(&from) = writer.get(name.as_str()) {
                    *waits += 1;
                    readers[from].push(index);
                }
            }
        }
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..nodes.len()).filter(|&index| waits[index] == 0).map(Reverse).collect();
        let mut order = Vec::with_capacity(nodes.len());
        while let Some(Reverse(index)) = ready.pop() {
            order.push(index);
            for &reader in &readers[index] {
                waits[reader] -= 1;
                if waits[reader] == 0 {
                    ready.push(Reverse(reader));
                }
            }
        }
        order
    }

    /// The model that has nothing but one node; its path names no file.
    ///
    /// # Errors
    /// When the node writes nothing.
    pub fn solo(&self, solo: &Solo<'_>) -> Result<Model, ModelError> {
        let node = self.graph().node[solo.node].clone();
        let written = node.output.iter().filter(|name| !name.is_empty());
        let graph = GraphProto {
            name: node.name.clone(),
            input: solo.inputs.iter().map(|(name, tensor)| like(name, tensor)).collect(),
            initializer: solo
                .constants
                .iter()
                .map(|(name, tensor)| tensor_proto::to_proto(name, tensor))
                .collect(),
            output: written
                .map(|name| match solo.outputs.iter().find(|(known, _)| known == name) {
                    Some((_, tensor)) => like(name, tensor),
                    None => ValueInfoProto { name: name.clone(), ..ValueInfoProto::default() },
                })
                .collect(),
            node: vec![node],
            ..GraphProto::default()
        };
        let proto = ModelProto { graph: Some(graph), ..keep::frame(self.proto()) };
        let path = self.path().with_extension(format!("node{}.onnx", solo.node));
        Model::from_bytes(&proto.encode_to_vec(), &path)
    }
}

fn like(name: &str, tensor: &Tensor) -> ValueInfoProto {
    declare(name, tensor.dtype(), tensor.shape())
}
