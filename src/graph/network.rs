//! Builds small ONNX networks: debug networks, and models of a single node.

use super::value_info::{declare, declare_open};
use super::{Dim, Model, ModelError, tensor_proto};
use crate::tensor::{Dtype, Tensor};
use prost::Message as _;
use std::collections::BTreeSet;
use std::path::Path;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    attribute_proto::AttributeType,
};

/// ONNX's intermediate representation 8, which opset 13 files may use.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 13;

/// A network under construction. The same calls always return the same bytes.
///
/// No name is checked before [`Network::finish`]. A dangling name fails only when an engine loads the model.
#[derive(Debug, Clone)]
pub struct Network {
    graph: GraphProto,
    opset: i64,
}

/// The value of a node's attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// One integer.
    Int(i64),
    /// A list of integers.
    Ints(Vec<i64>),
    /// One number.
    Float(f32),
    /// A list of numbers.
    Floats(Vec<f32>),
    /// A string.
    Text(String),
    /// A tensor, as the `value` of a `Constant`.
    Tensor(Tensor),
}

impl Network {
    /// An empty network of opset 13.
    pub fn new(name: &str) -> Self {
        let graph = GraphProto { name: name.to_owned(), ..GraphProto::default() };
        Network { graph, opset: OPSET }
    }

    /// Sets a different opset, for an operator that 13 does not have. Up to 18 the files stay valid.
    #[must_use]
    pub fn opset(mut self, version: i64) -> Self {
        self.opset = version;
        self
    }

    /// Declares an input.
    #[must_use]
    pub fn input(mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Self {
        self.graph.input.push(declare(name, dtype, shape));
        self
    }

    /// Declares an input with open dimensions.
    #[must_use]
    pub fn open_input(mut self, name: &str, dtype: Dtype, shape: &[Dim]) -> Self {
        self.graph.input.push(declare_open(name, dtype, shape));
        self
    }

    /// Declares an output with open dimensions, which some node must write.
    #[must_use]
    pub fn open_output(mut self, name: &str, dtype: Dtype, shape: &[Dim]) -> Self {
        self.graph.output.push(declare_open(name, dtype, shape));
        self
    }

    /// Declares an output, which some node must write.
    #[must_use]
    pub fn output(mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Self {
        self.graph.output.push(declare(name, dtype, shape));
        self
    }

    /// Adds a constant.
    #[must_use]
    pub fn initializer(mut self, name: &str, tensor: &Tensor) -> Self {
        self.graph.initializer.push(tensor_proto::to_proto(name, tensor));
        self
    }

    /// Adds a constant whose bytes are in a file next to the network, from an offset on.
    #[must_use]
    pub fn external_initializer(
        mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        (file, offset): (&str, u64),
    ) -> Self {
        self.graph.initializer.push(tensor_proto::external(name, dtype, shape, file, offset));
        self
    }

    /// Adds a node. The caller adds nodes in topological order.
    #[must_use]
    pub fn node(
        mut self,
        name: &str,
        op_type: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.graph.node.push(NodeProto {
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            input: names(inputs),
            output: names(outputs),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
            ..NodeProto::default()
        });
        self
    }

    /// Says that the last node is of a different operator set than ONNX's own.
    #[must_use]
    pub fn of_domain(mut self, domain: &str) -> Self {
        if let Some(node) = self.graph.node.last_mut() {
            domain.clone_into(&mut node.domain);
        }
        self
    }

    /// Adds an `If` with one output. Each body is a network without inputs and may read the values around it.
    #[must_use]
    pub fn choice(
        mut self,
        name: &str,
        condition: &str,
        output: &str,
        bodies: [Network; 2],
    ) -> Self {
        let branch = |(name, body): (&str, Network)| AttributeProto {
            name: name.to_owned(),
            r#type: AttributeType::Graph as i32,
            g: Some(body.graph),
            ..AttributeProto::default()
        };
        self.graph.node.push(NodeProto {
            name: name.to_owned(),
            op_type: "If".to_owned(),
            input: vec![condition.to_owned()],
            output: vec![output.to_owned()],
            attribute: ["then_branch", "else_branch"].into_iter().zip(bodies).map(branch).collect(),
            ..NodeProto::default()
        });
        self
    }

    /// The bytes of the ONNX file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let own = OperatorSetIdProto { domain: String::new(), version: self.opset };
        let domains = self.graph.node.iter().map(|node| node.domain.clone());
        let domains: BTreeSet<String> = domains.filter(|domain| !domain.is_empty()).collect();
        let others = domains.into_iter().map(|domain| OperatorSetIdProto { domain, version: 1 });
        ModelProto {
            ir_version: IR_VERSION,
            opset_import: [own].into_iter().chain(others).collect(),
            // No version here: a release must not change the committed files.
            producer_name: "offby".to_owned(),
            graph: Some(self.graph.clone()),
            ..ModelProto::default()
        }
        .encode_to_vec()
    }

    /// The finished model; its path is the network's name with `.onnx`.
    ///
    /// # Errors
    /// When the network has no nodes or no outputs.
    pub fn finish(self) -> Result<Model, ModelError> {
        let path = format!("{}.onnx", self.graph.name);
        Model::from_bytes(&self.to_bytes(), Path::new(&path))
    }
}

pub(super) fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    let kind = match value {
        Attribute::Int(int) => {
            proto.i = *int;
            AttributeType::Int
        }
        Attribute::Ints(ints) => {
            proto.ints.clone_from(ints);
            AttributeType::Ints
        }
        Attribute::Float(float) => {
            proto.f = *float;
            AttributeType::Float
        }
        Attribute::Floats(floats) => {
            proto.floats.clone_from(floats);
            AttributeType::Floats
        }
        Attribute::Text(text) => {
            proto.s = text.clone().into_bytes();
            AttributeType::String
        }
        Attribute::Tensor(tensor) => {
            proto.t = Some(tensor_proto::to_proto("", tensor));
            AttributeType::Tensor
        }
    };
    proto.r#type = kind as i32;
    proto
}
