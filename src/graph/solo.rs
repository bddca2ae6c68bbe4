//! Models of a single node.

use super::value_info::declare;
use super::zeros::encoded;
use super::{Model, ModelError, keep, tensor_proto};
use crate::tensor::Tensor;
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto};

/// One node with its fed values and its constant values.
#[derive(Debug, Clone, Copy)]
pub struct Solo<'a> {
    /// The node's place in the file.
    pub node: usize,
    /// Values that become the model's inputs, with tensors of their element types and shapes.
    pub inputs: &'a [(&'a str, &'a Tensor)],
    /// Values that become initializers.
    pub constants: &'a [(&'a str, &'a Tensor)],
    /// Tensors with the types and shapes of the outputs, if known. The new model declares its
    /// outputs by them.
    pub outputs: &'a [(&'a str, &'a Tensor)],
}

impl Model {
    /// The model of one node alone. Its path names no file.
    ///
    /// # Errors
    /// When the node writes no value.
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
        Model::from_bytes(&encoded(&proto), &path)
    }
}

fn like(name: &str, tensor: &Tensor) -> ValueInfoProto {
    declare(name, tensor.dtype(), tensor.shape())
}
