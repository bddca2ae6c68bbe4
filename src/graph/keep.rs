//! Copies the parts of a model that survive a cut.

use super::boundary::{Cut, NeededParts};
use super::element_type::ElementTypes;
use super::value_info::{declare, elem_type};
use super::wiring::{Wiring, sparse_name};
use super::{ValueName, tensor_proto};
use std::collections::{BTreeMap, BTreeSet};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorAnnotation, ValueInfoProto};

/// From this version on, an initializer need not also be declared as an input.
const IR_FREE_INITIALIZERS: i64 = 4;

/// All of a model but its graph. The training information is left out: it would name removed values.
pub(super) fn frame(model: &ModelProto) -> ModelProto {
    ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        producer_name: model.producer_name.clone(),
        producer_version: model.producer_version.clone(),
        domain: model.domain.clone(),
        model_version: model.model_version,
        doc_string: model.doc_string.clone(),
        graph: None,
        metadata_props: model.metadata_props.clone(),
        training_info: Vec::new(),
        functions: model.functions.clone(),
    }
}

/// The graph of a cut: the needed parts, in the file's order.
pub(super) fn graph(
    model: &ModelProto,
    cut: &Cut,
    wiring: &Wiring<'_>,
    needed: &NeededParts<'_>,
) -> GraphProto {
    let whole = model.graph.as_ref().expect("a model was checked to have a graph");
    let stays = |name: &str| needed.leaves.contains(name) && !needed.stops.contains(name);
    let constants =
        || cut.constants.iter().filter(|(name, _)| needed.leaves.contains(name.as_str()));
    let declared = |input: &&ValueInfoProto| stays(&input.name);
    let mut input: Vec<_> = whole.input.iter().filter(declared).cloned().collect();
    input.extend(cut.from.iter().map(|b| declare(b.name.as_str(), b.dtype, &b.shape)));
    if model.ir_version < IR_FREE_INITIALIZERS {
        input.extend(constants().map(|(name, t)| declare(name.as_str(), t.dtype(), t.shape())));
    }
    let dense = whole.initializer.iter().filter(|tensor| stays(&tensor.name)).cloned();
    let new = constants().map(|(name, tensor)| tensor_proto::to_proto(name.as_str(), tensor));
    let sparse = whole.sparse_initializer.iter().filter(|tensor| stays(sparse_name(tensor)));
    let mut graph = GraphProto {
        name: whole.name.clone(),
        doc_string: whole.doc_string.clone(),
        node: nodes(whole, wiring, needed),
        initializer: dense.chain(new).collect(),
        sparse_initializer: sparse.cloned().collect(),
        input,
        output: outputs(whole, &cut.to),
        ..GraphProto::default()
    };
    (graph.value_info, graph.quantization_annotation) = {
        let known = Wiring::of(&graph);
        (value_info(whole, &known, cut), annotations(whole, &known))
    };
    graph
}

/// The nodes that stay. A kept node may also write a value at which the cut begins. That output
/// gets a new name, because no value may have two origins. A node with the name of a new input is
/// also renamed. Some engines call an input's node like the input and require unique names.
fn nodes(whole: &GraphProto, wiring: &Wiring<'_>, needed: &NeededParts<'_>) -> Vec<NodeProto> {
    let kept = whole.node.iter().zip(&needed.nodes).filter(|(_, needed)| **needed);
    let renamed = |node: &NodeProto| {
        let mut node = node.clone();
        let taken = |name: &&mut String| needed.stops.contains(name.as_str());
        for name in node.output.iter_mut().chain([&mut node.name]).filter(taken) {
            while wiring.has(name) {
                name.push_str("/recomputed");
            }
        }
        node
    };
    kept.map(|(node, _)| renamed(node)).collect()
}

/// The declarations of new outputs: the file's declaration, or else the likely type.
fn outputs(whole: &GraphProto, to: &[ValueName]) -> Vec<ValueInfoProto> {
    let mut declared = BTreeMap::new();
    for value in whole.output.iter().chain(&whole.value_info) {
        if elem_type(value).is_some() {
            declared.entry(value.name.as_str()).or_insert(value);
        }
    }
    let types = ElementTypes::of(whole);
    let output = |name: &ValueName| match declared.get(name.as_str()) {
        Some(known) => (*known).clone(),
        None => types.likely(name.as_str()),
    };
    to.iter().map(output).collect()
}

/// The declarations of the remaining values that are neither inputs nor outputs now.
fn value_info(whole: &GraphProto, known: &Wiring<'_>, cut: &Cut) -> Vec<ValueInfoProto> {
    let mut told: BTreeSet<&str> = cut.to.iter().map(ValueName::as_str).collect();
    let inner = |value: &str| known.has(value) && !known.is_input(value);
    let declared = whole.value_info.iter().chain(&whole.output);
    // A type that offby cannot decode (a sequence, an optional) would be written back as no type.
    let readable = declared.filter(|value| elem_type(value).is_some() && inner(&value.name));
    readable.filter(|value| told.insert(&value.name)).cloned().collect()
}

/// The quantization parameters of remaining values, if all tensors that the parameters name remain.
fn annotations(whole: &GraphProto, known: &Wiring<'_>) -> Vec<TensorAnnotation> {
    let remains = |annotation: &&TensorAnnotation| {
        known.has(annotation.tensor_name())
            && annotation.quant_parameter_tensor_names.iter().all(|entry| known.has(&entry.value))
    };
    whole.quantization_annotation.iter().filter(remains).cloned().collect()
}
