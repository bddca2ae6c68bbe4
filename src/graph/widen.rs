//! Converts networks of 16-bit floating-point numbers to 32 bits.
//!
//! Engines compute such networks in 32 bits, and so does the reference. In 16 bits, an inner value
//! that no engine rounds could overflow.

use super::zeros::encoded;
use super::{Model, ModelError, from_proto, to_proto};
use crate::tensor::{Dtype, Tensor};
use std::path::Path;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{AttributeProto, GraphProto, TensorProto, ValueInfoProto};

/// The 16-bit types.
const NARROW: [i32; 2] = [DataType::Float16 as i32, DataType::Bfloat16 as i32];

impl Model {
    /// Whether any tensor in the file is declared with 16-bit floating-point elements.
    pub fn is_narrow(&self) -> bool {
        graph_is_narrow(self.graph())
    }

    /// The network with 32-bit elements in place of all 16-bit elements.
    ///
    /// # Errors
    /// When a stored tensor cannot be read.
    pub fn widened(&self) -> Result<Model, ModelError> {
        let mut proto = self.proto().clone();
        let folder = self.path().parent().unwrap_or(Path::new("")).to_owned();
        if let Some(graph) = &mut proto.graph {
            widen_graph(graph, &folder);
        }
        Model::from_bytes(&encoded(&proto), self.path())
    }
}

fn graph_is_narrow(graph: &GraphProto) -> bool {
    let values = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
    let casts = graph.node.iter().flat_map(|node| &node.attribute);
    values.filter_map(element).any(|element| NARROW.contains(&element))
        || graph.initializer.iter().any(|tensor| NARROW.contains(&tensor.data_type))
        || casts.clone().any(is_narrow_cast)
        || casts.filter_map(|attribute| attribute.g.as_ref()).any(graph_is_narrow)
}

fn is_narrow_cast(attribute: &AttributeProto) -> bool {
    let tensor = attribute.t.as_ref().map(|tensor| tensor.data_type);
    (attribute.name == "to" && NARROW.contains(&(attribute.i as i32)))
        || tensor.is_some_and(|element| NARROW.contains(&element))
}

fn element(value: &ValueInfoProto) -> Option<i32> {
    let Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    Some(tensor.elem_type)
}

fn widen_graph(graph: &mut GraphProto, folder: &Path) {
    let values = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
    for value in values {
        let kind = value.r#type.as_mut().and_then(|kind| kind.value.as_mut());
        if let Some(Value::TensorType(tensor)) = kind
            && NARROW.contains(&tensor.elem_type)
        {
            tensor.elem_type = DataType::Float as i32;
        }
    }
    graph.initializer.iter_mut().for_each(|tensor| widen_tensor(tensor, folder));
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        if attribute.name == "to" && NARROW.contains(&(attribute.i as i32)) {
            attribute.i = i64::from(DataType::Float as i32);
        }
        attribute.t.iter_mut().for_each(|tensor| widen_tensor(tensor, folder));
        attribute.g.iter_mut().for_each(|graph| widen_graph(graph, folder));
    }
}

/// A tensor that cannot be read stays as it is. Loading the network reports why.
fn widen_tensor(proto: &mut TensorProto, folder: &Path) {
    if NARROW.contains(&proto.data_type)
        && let Ok(tensor) = from_proto(proto, folder)
    {
        *proto = to_proto(&proto.name, &widened(&tensor));
    }
}

/// Converts 16-bit elements to 32 bits exactly. Other tensors stay unchanged.
pub fn widened(tensor: &Tensor) -> Tensor {
    match tensor.dtype() {
        Dtype::F16 | Dtype::Bf16 => {
            let elements = tensor.numbers(1).into_iter().map(|value| value as f32).collect();
            Tensor::from_f32(tensor.shape(), elements).expect("the elements fit their own shape")
        }
        _ => tensor.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Network;
    use half::f16;
    use ndarray::{ArrayD, IxDyn};

    #[test]
    fn a_network_of_f16_becomes_one_of_f32() {
        let elements = vec![f16::from_f32(0.5); 2];
        let half = Tensor::F16(ArrayD::from_shape_vec(IxDyn(&[2]), elements).unwrap());
        let network = Network::new("half").input("x", Dtype::F16, &[2]).initializer("w", &half);
        let network = network.node("a", "Add", &["x", "w"], &["y"], &[]);
        let model = network.output("y", Dtype::F16, &[2]).finish().unwrap();
        assert!(model.is_narrow());
        let wide = model.widened().unwrap();
        assert!(!wide.is_narrow());
        assert_eq!(wide.initializers().values().next(), Some(&widened(&half)));
        assert_eq!(wide.inputs()[0].dtype, Dtype::F32);
    }
}
