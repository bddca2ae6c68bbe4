//! Tests what stays and what is replaced. That the definitions compute what ONNX Runtime computes is tested with ONNX
//! Runtime, in `tests/it/expansions.rs`.

use crate::graph::{Attribute, Cut, Model, Network};
use crate::tensor::{Dtype, Tensor};
use prost::Message as _;
use std::path::Path;
use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
};

/// A network with two fused activations.
fn activations() -> Model {
    let network = Network::new("fused")
        .input("x", Dtype::F32, &[2, 4])
        .node("first", "FastGelu", &["x"], &["y"], &[])
        .of_domain("com.microsoft")
        .node("second", "QuickGelu", &["y"], &["z"], &[("alpha", Attribute::Float(2.0))])
        .of_domain("com.microsoft")
        .output("z", Dtype::F32, &[2, 4]);
    Model::from_bytes(&network.to_bytes(), Path::new("fused.onnx")).unwrap()
}

#[test]
fn operators_of_onnx_runtime_become_standard_ones() {
    let model = activations();
    assert!(model.is_expanded());
    assert!(model.nodes().all(|node| node.domain.is_empty()));
    assert!(
        model
            .nodes()
            .all(|node| node.name.starts_with("first/") || node.name.starts_with("second/"))
    );
    assert_eq!(model.nodes().last().unwrap().outputs, ["z"]);
    let written: Vec<&str> = model.as_written().nodes().map(|node| node.op_type).collect();
    assert_eq!(written, ["FastGelu", "QuickGelu"]);
    assert_eq!(
        model.replaced().into_iter().collect::<Vec<_>>(),
        [("FastGelu".to_owned(), 1), ("QuickGelu".to_owned(), 1)]
    );
}

#[test]
fn a_cut_between_written_nodes_keeps_both_forms() {
    let model = activations();
    let cut = model.cut(&Cut::to("y".into())).unwrap();
    assert_eq!(cut.as_written().nodes().map(|node| node.op_type).collect::<Vec<_>>(), ["FastGelu"]);
    let inside = model.nodes().nth(2).unwrap().outputs[0].clone();
    let cut = model.cut(&Cut::to(inside.as_str().into())).unwrap();
    assert!(!cut.is_expanded(), "the file has no value inside its operators");
    assert_eq!(cut.node_count(), 3);
}

#[test]
fn a_node_in_an_unknown_form_stays() {
    let network = Network::new("fused")
        .input("x", Dtype::F32, &[2, 4])
        .initializer("w", &Tensor::from_f32(&[4, 4], vec![0.5; 16]).unwrap())
        .node("a", "FusedMatMul", &["x", "w"], &["y"], &[("transBatchA", Attribute::Int(1))])
        .of_domain("com.microsoft")
        .output("y", Dtype::F32, &[2, 4]);
    let model = Model::from_bytes(&network.to_bytes(), Path::new("fused.onnx")).unwrap();
    assert!(!model.is_expanded());
    assert_eq!(model.nodes().next().unwrap().op_type, "FusedMatMul");
}

fn node(op_type: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    NodeProto {
        op_type: op_type.to_owned(),
        input: names(inputs),
        output: names(outputs),
        ..NodeProto::default()
    }
}

/// Functions of the file: `Outer(x)` is `Inner(Neg(x), slope)`, and `Inner` is a LeakyRelu of that slope.
#[test]
fn functions_of_a_file_become_their_nodes() {
    let network = Network::new("functions")
        .opset(17)
        .input("x", Dtype::F32, &[3])
        .node("call", "Outer", &["x"], &["y"], &[("slope", Attribute::Float(0.5))])
        .of_domain("own")
        .output("y", Dtype::F32, &[3]);
    let reference = |name: &str, of: &str| AttributeProto {
        name: name.into(),
        ref_attr_name: of.into(),
        r#type: 1,
        ..AttributeProto::default()
    };
    let function = |name: &str, nodes: Vec<NodeProto>| FunctionProto {
        name: Some(name.into()),
        domain: Some("own".into()),
        input: vec!["a".into()],
        output: vec!["b".into()],
        attribute: vec!["slope".into()],
        node: nodes,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        ..FunctionProto::default()
    };
    let inner = NodeProto { domain: "own".into(), ..node("Inner", &["t"], &["b"]) };
    let inner = NodeProto { attribute: vec![reference("slope", "slope")], ..inner };
    let leaky = NodeProto {
        attribute: vec![reference("alpha", "slope")],
        ..node("LeakyRelu", &["a"], &["b"])
    };
    let mut proto = ModelProto::decode(network.to_bytes().as_slice()).unwrap();
    proto.functions = vec![
        function("Outer", vec![node("Neg", &["a"], &["t"]), inner]),
        function("Inner", vec![leaky]),
    ];
    let model = Model::from_bytes(&proto.encode_to_vec(), Path::new("functions.onnx")).unwrap();
    let nodes: Vec<(&str, &str)> = model.nodes().map(|node| (node.op_type, node.name)).collect();
    assert_eq!(nodes, [("Neg", "call/Neg_0"), ("LeakyRelu", "call/Inner_1/LeakyRelu_0")]);
    let last = model.nodes().last().unwrap();
    assert_eq!((last.inputs, last.outputs), (&["call/t".to_owned()][..], &["y".to_owned()][..]));
    assert_eq!(model.attributes(1)["alpha"], Attribute::Float(0.5));
    assert_eq!(model.as_written().node_count(), 1);
}

/// A function that calls itself in a branch, and one that calls itself twice: neither may end the program.
#[test]
fn endless_functions_end() {
    let network = Network::new("endless")
        .opset(17)
        .input("x", Dtype::F32, &[3])
        .node("call", "Again", &["x"], &["y"], &[])
        .of_domain("own")
        .output("y", Dtype::F32, &[3]);
    let call = |from: &str, to: &str| NodeProto {
        domain: "own".into(),
        name: "same".into(),
        ..node("Again", &[from], &[to])
    };
    let branch = GraphProto { node: vec![call("a", "c")], ..GraphProto::default() };
    let body = |name: &str| AttributeProto {
        name: name.into(),
        r#type: 5,
        g: Some(branch.clone()),
        ..AttributeProto::default()
    };
    let choice = NodeProto {
        attribute: vec![body("then_branch"), body("else_branch")],
        ..node("If", &["a"], &["b"])
    };
    for nodes in [vec![choice], vec![call("a", "t"), call("t", "u"), call("u", "b")]] {
        let mut proto = ModelProto::decode(network.to_bytes().as_slice()).unwrap();
        proto.functions = vec![FunctionProto {
            name: Some("Again".into()),
            domain: Some("own".into()),
            input: vec!["a".into()],
            output: vec!["b".into()],
            node: nodes,
            ..FunctionProto::default()
        }];
        let model = Model::from_bytes(&proto.encode_to_vec(), Path::new("endless.onnx")).unwrap();
        assert!(!model.is_expanded());
    }
}

#[test]
fn nodes_of_one_name_are_told_apart() {
    let network = Network::new("alike")
        .input("x", Dtype::F32, &[2])
        .node("n", "QuickGelu", &["x"], &["y"], &[])
        .of_domain("com.microsoft")
        .node("n", "QuickGelu", &["y"], &["z"], &[])
        .of_domain("com.microsoft")
        .output("z", Dtype::F32, &[2]);
    let model = Model::from_bytes(&network.to_bytes(), Path::new("alike.onnx")).unwrap();
    let outputs: Vec<&String> = model.nodes().flat_map(|node| node.outputs).collect();
    let distinct: std::collections::BTreeSet<&String> = outputs.iter().copied().collect();
    assert_eq!((outputs.len(), distinct.len()), (6, 6));
}

/// Its cache is written in place, which ONNX's operators cannot do.
#[test]
fn an_attention_with_a_fixed_cache_stays() {
    let cache = [1, 1, 16, 8];
    let network = Network::new("fixed")
        .opset(17)
        .input("q", Dtype::F32, &[1, 1, 24])
        .input("k", Dtype::F32, &cache)
        .input("v", Dtype::F32, &cache)
        .input("lengths", Dtype::I32, &[1])
        .input("total", Dtype::I32, &[])
        .node(
            "attention",
            "GroupQueryAttention",
            &["q", "", "", "k", "v", "lengths", "total"],
            &["y", "k_all", "v_all"],
            &[("num_heads", Attribute::Int(1)), ("kv_num_heads", Attribute::Int(1))],
        )
        .of_domain("com.microsoft")
        .output("y", Dtype::F32, &[1, 1, 8])
        .output("k_all", Dtype::F32, &cache)
        .output("v_all", Dtype::F32, &cache);
    assert!(!Model::from_bytes(&network.to_bytes(), Path::new("f.onnx")).unwrap().is_expanded());
}
