//! Reads a node's attributes.

use super::network::Attribute;
use super::{Model, from_proto};
use std::collections::BTreeMap;
use tract_onnx::pb::{AttributeProto, NodeProto, attribute_proto::AttributeType};

impl Model {
    /// A node's attributes by name. Attributes that hold graphs, or lists of texts or tensors, are left out.
    pub fn attributes(&self, node: usize) -> BTreeMap<String, Attribute> {
        let proto = &self.graph().node[node];
        let folder = self.path().parent().unwrap_or(std::path::Path::new(""));
        let read = |proto: &AttributeProto| Some((proto.name.clone(), read(proto, folder)?));
        proto.attribute.iter().filter_map(read).collect()
    }
}

impl Model {
    /// The number of a node's attributes, including the attributes that [`Model::attributes`] leaves out.
    pub fn attribute_count(&self, node: usize) -> usize {
        self.graph().node[node].attribute.len()
    }
}

impl Attribute {
    /// The value, if it is one integer.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Attribute::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The value, if it is a list of integers.
    pub fn as_ints(&self) -> Option<&[i64]> {
        match self {
            Attribute::Ints(values) => Some(values),
            _ => None,
        }
    }

    /// The value, if it is one number.
    pub fn as_float(&self) -> Option<f32> {
        match self {
            Attribute::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The value, if it is a text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Attribute::Text(value) => Some(value),
            _ => None,
        }
    }
}

/// The attributes of a node's protobuf message. Their tensors must be stored in the message itself.
pub fn attributes_of(node: &NodeProto) -> BTreeMap<String, Attribute> {
    let read =
        |proto: &AttributeProto| Some((proto.name.clone(), read(proto, std::path::Path::new(""))?));
    node.attribute.iter().filter_map(read).collect()
}

fn read(proto: &AttributeProto, folder: &std::path::Path) -> Option<Attribute> {
    Some(match AttributeType::try_from(proto.r#type).ok()? {
        AttributeType::Int => Attribute::Int(proto.i),
        AttributeType::Ints => Attribute::Ints(proto.ints.clone()),
        AttributeType::Float => Attribute::Float(proto.f),
        AttributeType::Floats => Attribute::Floats(proto.floats.clone()),
        AttributeType::String => Attribute::Text(String::from_utf8_lossy(&proto.s).into_owned()),
        AttributeType::Tensor => Attribute::Tensor(from_proto(proto.t.as_ref()?, folder).ok()?),
        _ => return None,
    })
}
