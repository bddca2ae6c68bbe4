//! Oddly built networks: branches, data outside the file, two outputs, names with punctuation, constants that
//! no node reads.
#![allow(dead_code, reason = "every test file uses a part of it")]

use super::random_network::tensor;
use offby::graph::Network;
use offby::tensor::{Dtype, Tensor};
use prost::Message as _;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, ValueInfoProto,
};

pub(crate) fn changed(network: Network, change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    let mut proto = ModelProto::decode(network.to_bytes().as_slice()).unwrap();
    change(proto.graph.as_mut().unwrap());
    proto
}

pub(crate) fn declared(name: &str, dtype: Dtype, shape: &[usize]) -> ValueInfoProto {
    let network = Network::new("d").node("n", "Identity", &["x"], &[name], &[]);
    let bytes = network.output(name, dtype, shape).to_bytes();
    ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap().output.remove(0)
}

pub(crate) fn node(
    op: &str,
    inputs: &[&str],
    outputs: &[&str],
    graphs: Vec<(&str, GraphProto)>,
) -> NodeProto {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let attribute = |(name, graph): (&str, GraphProto)| AttributeProto {
        name: name.to_owned(),
        r#type: 5,
        g: Some(graph),
        ..AttributeProto::default()
    };
    NodeProto {
        op_type: op.to_owned(),
        input: names(inputs),
        output: names(outputs),
        attribute: graphs.into_iter().map(attribute).collect(),
        ..NodeProto::default()
    }
}

pub(crate) fn body(name: &str, nodes: Vec<NodeProto>, output: &str) -> GraphProto {
    GraphProto {
        name: name.to_owned(),
        node: nodes,
        output: vec![declared(output, Dtype::F32, &[4, 4])],
        ..GraphProto::default()
    }
}

pub(crate) fn flag(value: bool) -> Tensor {
    Tensor::from_bytes(Dtype::Bool, &[], &[u8::from(value)]).unwrap()
}

/// `If` in an `If`; both read values from outside.
pub(crate) fn branches() -> ModelProto {
    let network = Network::new("branches")
        .input("x", Dtype::F32, &[4, 4])
        .input("deep?", Dtype::Bool, &[])
        .node("relu", "Relu", &["x"], &["model::r"], &[])
        .node("tanh", "Tanh", &["x"], &["/t/0"], &[])
        .node("aside", "Exp", &["x"], &["aside"], &[])
        .node("not", "Not", &["deep?"], &["shallow?"], &[])
        .output("aside", Dtype::F32, &[4, 4]);
    changed(network, |graph| {
        let leaf = body("leaf", vec![node("Neg", &["/t/0"], &["leaf"], vec![])], "leaf");
        let other = body("other", vec![node("Abs", &["/t/0"], &["other"], vec![])], "other");
        let inner = vec![("then_branch", leaf), ("else_branch", other)];
        let inner = node("If", &["deep?"], &["inner"], inner);
        let deep = body("deep", vec![inner], "inner");
        let shallow = vec![node("Add", &["model::r", "model::r"], &["twice"], vec![])];
        let shallow = body("shallow", shallow, "twice");
        let branches = vec![("then_branch", shallow), ("else_branch", deep)];
        graph.node.push(node("If", &["shallow?"], &["chosen"], branches));
        graph.node.push(node("Tanh", &["chosen"], &["y"], vec![]));
        graph.output.push(declared("y", Dtype::F32, &[4, 4]));
    })
}

/// A network whose tensors are in the file `w.bin`, and that file.
pub(crate) fn outside() -> (ModelProto, Vec<u8>) {
    let network = Network::new("outside")
        .input("x", Dtype::F32, &[4, 4])
        .initializer("w", &tensor(3))
        .initializer("unused", &tensor(4))
        .node("mul", "Mul", &["x", "w"], &["m"], &[])
        .node("add", "Add", &["m", "unused"], &["y"], &[])
        .output("y", Dtype::F32, &[4, 4]);
    let mut bin = vec![0xff; 16];
    let proto = changed(network, |graph| {
        for tensor in &mut graph.initializer {
            let entry =
                |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
            tensor.external_data = vec![
                entry("location", "w.bin".into()),
                entry("offset", bin.len().to_string()),
                entry("length", tensor.raw_data.len().to_string()),
            ];
            bin.append(&mut tensor.raw_data);
            tensor.data_location = Some(1);
        }
    });
    (proto, bin)
}

/// Two outputs, names with `::` and `/`, and a constant that no node reads.
pub(crate) fn two_outputs() -> Network {
    let two = Tensor::from_f32(&[1], vec![2.0]).unwrap();
    Network::new("two")
        .input("serving::x", Dtype::F32, &[4, 4])
        .initializer("/w/::2", &two)
        .initializer("dangling", &two)
        .node("/a", "Mul", &["serving::x", "/w/::2"], &["model::a/0"], &[])
        .node("/b", "Tanh", &["model::a/0"], &["/b/out::0"], &[])
        .node("/c", "Relu", &["model::a/0"], &["::c"], &[])
        .output("/b/out::0", Dtype::F32, &[4, 4])
        .output("::c", Dtype::F32, &[4, 4])
}
