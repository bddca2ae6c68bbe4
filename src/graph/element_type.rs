//! Guesses a value's element type if the file declares none.

use super::value_info::{elem_type, undeclared_shape};
use super::wiring::Wiring;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto};

/// The most operators to ask in a row. Any real chain without a declaration is shorter.
const PATIENCE: usize = 10_000;

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

/// The declaration of a value without a shape. The type is the operator's fixed type, or else the
/// type of the followed input. If neither is known, the type is `f32`.
pub(super) fn likely(graph: &GraphProto, wiring: &Wiring<'_>, name: &str) -> ValueInfoProto {
    let code = known_type(graph, wiring, name).unwrap_or(DataType::Float as i32);
    undeclared_shape(name, code)
}

/// The code of a value's element type, as far as the file says it.
pub(super) fn known_type(graph: &GraphProto, wiring: &Wiring<'_>, name: &str) -> Option<i32> {
    let mut value = name;
    for _ in 0..PATIENCE {
        let stored = graph.initializer.iter().find(|tensor| tensor.name == value);
        if let Some(known) =
            stored.map(|tensor| tensor.data_type).or_else(|| declared(graph, value))
        {
            return Some(known);
        }
        let node = &graph.node[wiring.producer(value)?];
        let output = node.output.iter().position(|output| output == value).unwrap_or(0);
        if let Some(known) = of_operator(node, output) {
            return Some(known);
        }
        let followed = FOLLOW.iter().find(|(op, _)| *op == node.op_type).map_or(0, |(_, at)| *at);
        value = node.input.get(followed).filter(|input| !input.is_empty())?;
    }
    None
}

fn declared(graph: &GraphProto, value: &str) -> Option<i32> {
    let all = graph.value_info.iter().chain(&graph.input).chain(&graph.output);
    all.filter(|known| known.name == value).find_map(elem_type)
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
