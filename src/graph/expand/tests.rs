//! Tests what stays and what is replaced. That the definitions compute what ONNX Runtime computes is tested with ONNX
//! Runtime, in `tests/it/expansions.rs`.

use crate::graph::{Attribute, Cut, Model, Network};
use crate::tensor::{Dtype, Tensor};
use std::path::Path;

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
