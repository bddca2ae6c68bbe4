//! `offby fallback --quantised`: layers that are quantised too coarsely are found, and what stays in float is enough.

use crate::support::{finish_json, offby};
use offby::graph::Network;
use offby::tensor::Dtype::F32;
use offby::tensor::{Dtype, Tensor};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const SIZE: usize = 8;
const LAYERS: [&str; 4] = ["first", "coarse", "narrow", "last"];
/// The largest number that the integers of each layer's input can hold. `narrow` reads larger ones.
const LARGEST: [f32; 4] = [2.0, 1.8, 0.1, 0.6];

fn weights(seed: usize) -> Vec<f32> {
    (0..SIZE * SIZE).map(|at| (((at * 37 + seed * 11) % 17) as f32 - 8.0) / 17.0).collect()
}

fn scalar(value: f32) -> Tensor {
    Tensor::from_f32(&[], vec![value]).unwrap()
}

/// Four products with a Relu after each of the first three.
fn float() -> Network {
    let mut network = Network::new("float").input("v0", F32, &[1, SIZE]);
    for (at, name) in LAYERS.iter().enumerate() {
        let weight = Tensor::from_f32(&[SIZE, SIZE], weights(at)).unwrap();
        let (read, product) = (format!("v{at}"), format!("p{at}"));
        let (weight_name, written) = (format!("w{at}"), format!("v{}", at + 1));
        network = network.initializer(&weight_name, &weight).node(
            name,
            "MatMul",
            &[&read, &weight_name],
            &[&product],
            &[],
        );
        let (op, label) = if at < 3 { ("Relu", "relu") } else { ("Identity", "end") };
        network = network.node(&format!("{label}{at}"), op, &[&product], &[&written], &[]);
    }
    network.output("v4", F32, &[1, SIZE])
}

/// The same in QDQ form. The weights of `coarse` have one step for the whole range.
fn quantised() -> Network {
    let mut network = Network::new("quantised").input("v0", F32, &[1, SIZE]);
    for (at, name) in LAYERS.iter().enumerate() {
        let scale = if *name == "coarse" { 0.5 } else { 0.004 };
        let step = LARGEST[at] / 127.0;
        let bytes: Vec<u8> =
            weights(at).iter().map(|w| ((w / scale).round() as i8).cast_unsigned()).collect();
        let weight = Tensor::from_bytes(Dtype::I8, &[SIZE, SIZE], &bytes).unwrap();
        let zero = Tensor::from_bytes(Dtype::I8, &[], &[0]).unwrap();
        let value = |what: &str| format!("{what}{at}");
        let (read, written) = (value("v"), format!("v{}", at + 1));
        let [q, dq, wq, wdq, s, ws, z, p] =
            ["q", "dq", "wq", "wdq", "s", "ws", "z", "p"].map(value);
        network = network
            .initializer(&wq, &weight)
            .initializer(&ws, &scalar(scale))
            .initializer(&s, &scalar(step))
            .initializer(&z, &zero)
            .node("", "QuantizeLinear", &[&read, &s, &z], &[&q], &[])
            .node("", "DequantizeLinear", &[&q, &s, &z], &[&dq], &[])
            .node("", "DequantizeLinear", &[&wq, &ws, &z], &[&wdq], &[])
            .node(name, "MatMul", &[&dq, &wdq], &[&p], &[]);
        let (op, label) = if at < 3 { ("Relu", "relu") } else { ("Identity", "end") };
        network = network.node(&format!("{label}{at}"), op, &[&p], &[&written], &[]);
    }
    network.output("v4", F32, &[1, SIZE])
}

fn search(folder: &Path, more: &[&str]) -> (i32, Value) {
    let (model, file) = (folder.join("float.onnx"), folder.join("quantised.onnx"));
    fs::write(&model, float().to_bytes()).unwrap();
    fs::write(&file, quantised().to_bytes()).unwrap();
    let mut command = offby();
    command.arg("fallback").arg(&model).arg("--quantised").arg(&file);
    command.args(["--on", "tract", "--input", "uniform:0,2,3", "--json", "-"]).args(more);
    finish_json(command)
}

#[test]
fn the_layers_that_cost_the_accuracy_are_named_and_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (code, found) = search(folder.path(), &["--error", "0.1", "--out", out.to_str().unwrap()]);
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(found["kept"], json!(["coarse", "narrow"]), "{found:#}");
    assert_eq!(found["proven"], 2, "{found:#}");
    let narrow = &found["layers"][2];
    assert_eq!(narrow["node"], "narrow");
    assert!(narrow["ranges"][0]["saturated"].as_f64().unwrap() > 0.1, "{narrow:#}");
    let points = found["front"].as_array().unwrap();
    assert!(points[0]["kept"].is_null(), "the float network comes first: {points:?}");
    assert_eq!(points[0]["score"]["relative_l2"], 0.0);
    assert!(points.iter().all(|point| point["seconds"].as_f64().unwrap() > 0.0));
    assert!(points.iter().any(|point| point["is_found"] == true));
    for name in ["mixed.onnx", "quantised.md", "quantised.html"] {
        assert!(out.join(name).exists(), "{name}");
    }
    // The network that was written is the one that was found: it is as near as the report says.
    let mixed = offby::Model::load(&out.join("mixed.onnx")).unwrap();
    let pairs = mixed.nodes().filter(|node| node.op_type == "QuantizeLinear").count();
    assert_eq!(pairs, 2);
}

#[test]
fn one_layer_by_itself_shows_what_it_costs() {
    let folder = tempfile::tempdir().unwrap();
    let (_, found) = search(folder.path(), &["--error", "0.1"]);
    let cost = |at: usize| found["layers"][at]["only_quantised"]["relative_l2"].as_f64().unwrap();
    assert!(cost(1) > 20.0 * cost(0) && cost(2) > 20.0 * cost(3), "{found:#}");
}

#[test]
fn a_goal_is_needed_if_no_output_holds_classes() {
    let folder = tempfile::tempdir().unwrap();
    let (model, file) = (folder.path().join("a.onnx"), folder.path().join("b.onnx"));
    fs::write(&model, float().to_bytes()).unwrap();
    fs::write(&file, float().to_bytes()).unwrap();
    let run = |more: &[&str]| {
        let mut command = offby();
        command.arg("fallback").arg(&model).arg("--quantised").arg(&file).args(["--on", "tract"]);
        let (code, _, stderr) = crate::support::finish({
            command.args(more);
            command
        });
        (code, stderr)
    };
    let (code, stderr) = run(&["--error", "0.1"]);
    assert!(code == 2 && stderr.contains("QuantizeLinear"), "{code} {stderr}");
    fs::write(&file, quantised().to_bytes()).unwrap();
    let (code, stderr) = run(&[]);
    assert!(code == 2 && stderr.contains("--error"), "{code} {stderr}");
}
