//! Small changes to a model: new shapes, new constants, new integers in its attributes.

use super::value_info::{declare, elem_type, undeclared_shape};
use super::zeros::encoded;
use super::{Boundary, Model, ModelError, ValueName, tensor_proto};
use crate::tensor::Tensor;
use tract_onnx::pb::attribute_proto::AttributeType;

/// The integers of one attribute of one node: axes, sizes, strides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integers {
    /// The node's place in the file.
    pub node: usize,
    /// The attribute's name.
    pub attribute: String,
    /// The attribute's value.
    pub values: Vec<i64>,
}

/// The changes to make. All other parts stay.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// Inputs, with their new shapes.
    pub inputs: Vec<Boundary>,
    /// Initializers, with their new elements.
    pub initializers: Vec<(ValueName, Tensor)>,
    /// Attributes, with their new integers.
    pub integers: Vec<Integers>,
}

impl Model {
    /// The lists of integers in the attributes of the nodes, without subgraphs.
    pub fn integers(&self) -> Vec<Integers> {
        let nodes = self.graph().node.iter().enumerate();
        let lists = nodes.flat_map(|(node, proto)| {
            let is_list = |a: &&_| has_type(a, AttributeType::Ints);
            proto.attribute.iter().filter(is_list).map(move |attribute| Integers {
                node,
                attribute: attribute.name.clone(),
                values: attribute.ints.clone(),
            })
        });
        lists.collect()
    }

    /// The changed model. The file's declarations of inner values and of output shapes are removed.
    ///
    /// # Errors
    /// When the result is not a usable model.
    pub fn edited(&self, edit: &Edit) -> Result<Model, ModelError> {
        if let Some(written) = self.written.as_ref().filter(|_| edit.integers.is_empty()) {
            return written.edited(edit);
        }
        let mut proto = self.proto().clone();
        let graph = proto.graph.as_mut().expect("a model was checked to have a graph");
        for change in &edit.inputs {
            let name = change.name.as_str();
            let inputs = graph.input.iter_mut().filter(|input| input.name == name);
            inputs.for_each(|input| *input = declare(name, change.dtype, &change.shape));
        }
        for (name, tensor) in &edit.initializers {
            let old = graph.initializer.iter_mut().filter(|old| old.name == name.as_str());
            old.for_each(|old| *old = tensor_proto::to_proto(name.as_str(), tensor));
        }
        for change in &edit.integers {
            let attributes = graph.node.get_mut(change.node).map(|node| &mut node.attribute);
            for attribute in attributes.into_iter().flatten() {
                if attribute.name == change.attribute {
                    attribute.ints.clone_from(&change.values);
                }
            }
        }
        graph.value_info.clear();
        for output in &mut graph.output {
            // The element type stays. The declared extents are removed, because they may have changed.
            if let Some(element) = elem_type(output) {
                *output = undeclared_shape(&output.name, element);
            }
        }
        Model::from_bytes(&encoded(&proto), self.path())
    }
}

/// Removes parts of single nodes.
impl Model {
    /// Removes each attribute and each constant input of a one-node model in turn. Returns each
    /// removed part's name with the model without it. Attributes that hold graphs stay.
    pub fn without_each_part(&self) -> Vec<(String, Model)> {
        let Some(node) = self.graph().node.first() else { return Vec::new() };
        let mut found = Vec::new();
        let mut keep = |part: String, change: &dyn Fn(&mut tract_onnx::pb::NodeProto)| {
            let mut proto = self.proto().clone();
            let graph = proto.graph.as_mut().expect("a model was checked to have a graph");
            change(&mut graph.node[0]);
            let read: Vec<String> = graph.node[0].input.clone();
            graph.initializer.retain(|constant| read.contains(&constant.name));
            if let Ok(model) = Model::from_bytes(&encoded(&proto), self.path()) {
                found.push((part, model));
            }
        };
        for attribute in node.attribute.iter().filter(|attribute| attribute.g.is_none()) {
            keep(format!("the attribute `{}`", attribute.name), &|node| {
                node.attribute.retain(|other| other.name != attribute.name);
            });
        }
        let is_constant =
            |name: &String| self.graph().initializer.iter().any(|constant| constant.name == *name);
        for (place, name) in node.input.iter().enumerate().filter(|(_, name)| is_constant(name)) {
            keep(format!("its input {place}, `{name}`"), &|node| {
                node.input[place] = String::new();
                while node.input.last().is_some_and(String::is_empty) {
                    node.input.pop();
                }
            });
        }
        found
    }
}

fn has_type(attribute: &tract_onnx::pb::AttributeProto, kind: AttributeType) -> bool {
    attribute.r#type == kind as i32 || (attribute.r#type == 0 && !attribute.ints.is_empty())
}
