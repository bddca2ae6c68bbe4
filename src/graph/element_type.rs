//! Guesses a value's element type if the file declares none.

use super::value_info::{elem_type, undeclared_shape};
use super::wiring::Wiring;
use std::cell::RefCell;
use std::collections::BTreeMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto};

/// Operators whose output type does not depend on their inputs.
const FIXED: &[(&str, DataType)] = &[
    ("Shape", DataType::Int64),
    ("Size", DataType::Int64),
    ("ArgMax", DataType::Int64),
    ("ArgMin", DataType::Int64),
    ("NonZero", DataType::Int64),
    ("NonMaxSuppression", DataType::Int64),
    ("Equal", DataType::Bool),
    ("Greater", DataType::Bool),
    ("GreaterOrEqual", DataType::Bool),
    ("Less", DataType::Bool),
    ("LessOrEqual", DataType::Bool),
    ("And", DataType::Bool),
    ("Or", DataType::Bool),
    ("Xor", DataType::Bool),
    ("Not", DataType::Bool),
    ("IsNaN", DataType::Bool),
    ("IsInf", DataType::Bool),
    ("ConvInteger", DataType::Int32),
    ("MatMulInteger", DataType::Int32),
    ("DynamicQuantizeLinear", DataType::Uint8),
];

/// Operators whose output type equals the type of an input other than the first, with that input's position.
const FOLLOW: &[(&str, usize)] =
    &[("Where", 1), ("QuantizeLinear", 2), ("DequantizeLinear", 1), ("OneHot", 2)];

/// The element types of a graph's values, as far as the file says them. Each value is looked up once.
pub(super) struct ElementTypes<'a> {
    graph: &'a GraphProto,
    wiring: Wiring<'a>,
    /// The codes of the types that the file states.
    stated: BTreeMap<&'a str, i32>,
    /// The codes that were found, or `None` if the file does not say it.
    found: RefCell<BTreeMap<&'a str, Option<i32>>>,
}

impl<'a> ElementTypes<'a> {
    pub(super) fn of(graph: &'a GraphProto) -> Self {
        let mut stated = BTreeMap::new();
        for tensor in &graph.initializer {
            stated.entry(tensor.name.as_str()).or_insert(tensor.data_type);
        }
        for value in graph.value_info.iter().chain(&graph.input).chain(&graph.output) {
            if let Some(code) = elem_type(value) {
                stated.entry(value.name.as_str()).or_insert(code);
            }
        }
        ElementTypes { graph, wiring: Wiring::of(graph), stated, found: RefCell::default() }
    }

    /// The declaration of a value without a shape. The type is the operator's fixed type, or else the
    /// type of the followed input. If neither is known, the type is `f32`.
    pub(super) fn likely(&self, name: &str) -> ValueInfoProto {
        undeclared_shape(name, self.known(name).unwrap_or(DataType::Float as i32))
    }

    /// The code of a value's element type.
    pub(super) fn known(&self, name: &str) -> Option<i32> {
        let mut value = name;
        let mut passed = Vec::new();
        let code = loop {
            let found = self.found.borrow().get(value).copied();
            if let Some(code) = found.or_else(|| self.stated.get(value).copied().map(Some)) {
                break code;
            }
            let Some(node) = self.wiring.producer(value).map(|at| &self.graph.node[at]) else {
                break None;
            };
            let output = node.output.iter().position(|output| output == value).unwrap_or(0);
            passed.push(node.output[output].as_str());
            if let Some(code) = of_operator(node, output) {
                break Some(code);
            }
            let followed = FOLLOW.iter().find(|(op, _)| *op == node.op_type);
            match node.input.get(followed.map_or(0, |(_, at)| *at)) {
                // In a cycle, no value has a type.
                Some(input) if !input.is_empty() && passed.len() <= self.graph.node.len() => {
                    value = input;
                }
                _ => break None,
            }
        };
        self.found.borrow_mut().extend(passed.into_iter().map(|name| (name, code)));
        code
    }
}

/// The output type that a node determines by itself.
fn of_operator(node: &NodeProto, output: usize) -> Option<i32> {
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let fixed = FIXED.iter().find(|(op, _)| *op == node.op_type).map(|(_, code)| *code as i32);
    match (node.op_type.as_str(), output) {
        ("Cast", _) => attribute("to").and_then(|to| i32::try_from(to.i).ok()),
        ("Constant" | "ConstantOfShape", _) => {
            Some(attribute("value")?.t.as_ref().map_or(DataType::Float as i32, |t| t.data_type))
        }
        // The second output holds counts or indices; for Dropout, a mask.
        ("TopK" | "MaxPool" | "Unique", 1..) => Some(DataType::Int64 as i32),
        ("Dropout", 1) => Some(DataType::Bool as i32),
        ("DynamicQuantizeLinear", 1) => Some(DataType::Float as i32),
        ("QuantizeLinear", _) if node.input.len() < 3 => Some(DataType::Uint8 as i32),
        _ => fixed,
    }
}
