//! Tests data flow, order and shapes, by hand and against brute force.

use super::*;
use crate::tensor::{Dtype, Tensor};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Instant;

/// A network of nodes `name: inputs`, each with an output of its own name. `x` and `m` are fed.
fn network(nodes: &[(&str, &str, &[&str])]) -> Model {
    let shape = Tensor::from_bytes(Dtype::I64, &[1], &[0; 8]).unwrap();
    let start = Network::new("flow")
        .input("x", Dtype::F32, &[4])
        .input("m", Dtype::F32, &[4])
        .initializer("c", &shape);
    let whole = nodes
        .iter()
        .fold(start, |network, (name, op, inputs)| network.node(name, op, inputs, &[name], &[]));
    let (last, _, _) = nodes.last().unwrap();
    whole.output(last, Dtype::F32, &[4]).finish().unwrap()
}

fn behind(model: &Model, value: &str) -> String {
    let topology = Topology::of(model);
    let names: Vec<String> =
        topology.values_behind(&value.into()).into_iter().map(ToString::to_string).collect();
    names.join(" ")
}

fn order(model: &Model) -> Vec<String> {
    let label = |node: usize| model.node(node).label().to_owned();
    model.evaluation_order().into_iter().map(label).collect()
}

#[test]
fn constants_carry_no_data() {
    let model = network(&[
        ("a", "Relu", &["x"]),
        ("l", "Tanh", &["a"]),
        ("k", "Cast", &["c"]),
        ("j", "Add", &["l", "m"]),
        ("e", "Mul", &["j", "k"]),
    ]);
    assert_eq!(behind(&model, "e"), "a j l m x");
    assert_eq!(behind(&model, "l"), "a x");
    assert_eq!(behind(&model, "k"), "");
    assert_eq!(behind(&model, "x"), "");
    let topology = Topology::of(&model);
    assert!(topology.is_computed(&"k".into()) && !topology.is_computed(&"x".into()));
    assert!(topology.shape_values().is_empty());
}

#[test]
fn shapes_are_no_flow_unless_numbers_decide_them() {
    let model = network(&[
        ("a", "Relu", &["x"]),
        ("s", "Shape", &["a"]),
        ("g", "Gather", &["s", "c"]),
        ("b", "Tanh", &["a"]),
        ("r", "Reshape", &["b", "g"]),
    ]);
    assert_eq!(behind(&model, "r"), "a b x");
    assert_eq!(Topology::of(&model).shape_values(), ["g".into()]);
    let model = network(&[
        ("a", "Relu", &["x"]),
        ("n", "NonZero", &["a"]),
        ("t", "Transpose", &["n"]),
        ("s", "Shape", &["t"]),
        ("b", "Tanh", &["a"]),
        ("r", "Expand", &["b", "s"]),
    ]);
    assert_eq!(behind(&model, "r"), "a b n s t x");
    assert!(Topology::of(&model).shape_values().is_empty());
}

#[test]
fn a_circle_and_a_file_out_of_order_do_no_harm() {
    let circle =
        network(&[("a", "Add", &["x", "b"]), ("b", "Relu", &["a"]), ("y", "Tanh", &["x"])]);
    assert_eq!(order(&circle), ["y"]);
    assert_eq!((behind(&circle, "y").as_str(), behind(&circle, "a").as_str()), ("x", "a b x"));
    let disorder = network(&[("c1", "Tanh", &["b"]), ("b", "Relu", &["a"]), ("a", "Exp", &["x"])]);
    assert_eq!(order(&disorder), ["a", "b", "c1"]);
}

/// Node `i` reads the earlier nodes that its row names; without any, the node reads the input.
fn grid(rows: &[Vec<usize>]) -> Model {
    let names: Vec<String> = (0..rows.len()).map(|at| format!("n{at}")).collect();
    let start = Network::new("grid").input("x", Dtype::F32, &[4]);
    let whole = rows.iter().enumerate().fold(start, |network, (at, row)| {
        let mut inputs: Vec<&str> =
            row.iter().filter(|&&from| from < at).map(|&from| names[from].as_str()).collect();
        if inputs.is_empty() {
            inputs.push("x");
        }
        network.node(&names[at], "Sum", &inputs, &[&names[at]], &[])
    });
    whole.output(names.last().unwrap(), Dtype::F32, &[4]).finish().unwrap()
}

/// All values behind a value, found by repeated passes over all nodes.
fn behind_by_force(model: &Model, value: &str) -> BTreeSet<ValueName> {
    let mut found = BTreeSet::new();
    loop {
        let wanted =
            |name: &String| name == value || found.contains(&ValueName::from(name.as_str()));
        let nodes = model.nodes().filter(|node| node.outputs.iter().any(wanted));
        let read: BTreeSet<ValueName> =
            nodes.flat_map(|node| node.inputs).map(|name| name.as_str().into()).collect();
        let before = found.len();
        found.extend(read);
        if found.len() == before {
            return found;
        }
    }
}

proptest! {
    #[test]
    fn what_lies_behind_a_value_is_what_it_is_computed_from(
        rows in prop::collection::vec(prop::collection::vec(0..9_usize, 1..3), 1..10),
        chosen in any::<prop::sample::Index>(),
    ) {
        let model = grid(&rows);
        let value = format!("n{}", chosen.index(rows.len()));
        let topology = Topology::of(&model);
        let found: BTreeSet<ValueName> =
            topology.values_behind(&value.as_str().into()).into_iter().cloned().collect();
        prop_assert_eq!(found, behind_by_force(&model, &value));
        prop_assert_eq!(model.evaluation_order(), (0..rows.len()).collect::<Vec<_>>());
    }
}

#[test]
fn fifty_thousand_nodes_take_less_than_a_second() {
    const MANY: usize = 50_000;
    let residual: Vec<Vec<usize>> =
        (0..MANY).map(|at| vec![at.saturating_sub(1), at.saturating_sub(3)]).collect();
    // A long chain, and then nodes that each join its end with its start.
    let half = MANY / 2;
    let comb: Vec<Vec<usize>> = (0..MANY)
        .map(|at| if at < half { vec![at.saturating_sub(1)] } else { vec![half - 1, 0, at - 1] })
        .collect();
    for rows in [residual, comb] {
        let model = grid(&rows);
        let started = Instant::now();
        let topology = Topology::of(&model);
        assert_eq!(topology.values_behind(&model.outputs()[0]).len(), MANY);
        assert_eq!(model.evaluation_order().len(), MANY);
        assert!((0..MANY).all(|node| !model.reads(node).is_empty()));
        assert!(started.elapsed().as_secs_f64() < 1.0, "{:?}", started.elapsed());
    }
}
