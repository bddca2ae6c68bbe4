//! Dominator chains and branches, by hand and against brute force.

use super::*;
use crate::tensor::{Dtype, Tensor};
use proptest::prelude::*;
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

fn chain(model: &Model, to: &str) -> Vec<String> {
    labels(model, &Topology::of(model).chain(&to.into()))
}

fn labels(model: &Model, nodes: &[NodeIndex]) -> Vec<String> {
    let label = |node: &NodeIndex| model.nodes().nth(node.0).unwrap().label().to_owned();
    nodes.iter().map(label).collect()
}

fn at(model: &Model, name: &str) -> NodeIndex {
    NodeIndex(model.nodes().position(|node| node.label() == name).unwrap())
}

#[test]
fn a_diamond_has_two_branches() {
    let model = network(&[
        ("a", "Relu", &["x"]),
        ("l1", "Tanh", &["a"]),
        ("r1", "Exp", &["a"]),
        ("l2", "Tanh", &["l1"]),
        ("k", "Cast", &["c"]),
        ("j", "Add", &["l2", "r1"]),
        ("e", "Mul", &["j", "k"]),
    ]);
    let topology = Topology::of(&model);
    assert_eq!(chain(&model, "e"), ["a", "j", "e"]);
    assert_eq!(chain(&model, "l2"), ["a", "l1", "l2"]);
    assert_eq!(chain(&model, "k"), ["k"], "a constant is its own chain");
    assert_eq!(chain(&model, "x"), [""; 0]);
    let branches = topology.between(Some(at(&model, "a")), at(&model, "j"));
    let branches: Vec<_> = branches.iter().map(|branch| labels(&model, branch)).collect();
    assert_eq!(branches, [vec!["l1", "l2"], vec!["r1"]]);
    let inner = topology.inner(Some(at(&model, "a")), at(&model, "j"));
    assert_eq!(labels(&model, &inner), ["l1", "r1", "l2"]);
    assert_eq!(labels(&model, &topology.inner(None, at(&model, "l2"))), ["a", "l1"]);
    assert_eq!(labels(&model, &topology.inputs_of(at(&model, "j"))), ["r1", "l2"]);
    assert_eq!(labels(&model, &topology.ancestors(at(&model, "j"))), ["a", "l1", "r1", "l2"]);
    assert_eq!(topology.values_into(at(&model, "e")), ["j".into()]);
    assert!(topology.is_constant(at(&model, "k")) && !topology.is_constant(at(&model, "e")));
    assert_eq!(topology.nodes().len(), 6);
}

#[test]
fn residual_blocks_hide_their_inside() {
    let model = network(&[
        ("a", "Relu", &["x"]),
        ("b", "Tanh", &["a"]),
        ("c1", "Exp", &["b"]),
        ("d", "Add", &["a", "c1"]),
        ("e", "Tanh", &["d"]),
        ("f", "Add", &["d", "e"]),
    ]);
    assert_eq!(chain(&model, "f"), ["a", "d", "f"]);
    let topology = Topology::of(&model);
    let branches = topology.between(Some(at(&model, "a")), at(&model, "d"));
    assert_eq!(branches.len(), 1, "the way around has no nodes");
    assert_eq!(labels(&model, &branches[0]), ["b", "c1"]);
}

#[test]
fn several_inputs_are_one_source() {
    let model = network(&[
        ("a", "Relu", &["x"]),
        ("b", "Tanh", &["m"]),
        ("c1", "Add", &["a", "b"]),
        ("d", "Mul", &["c1", "m"]),
        ("e", "Tanh", &["d"]),
    ]);
    assert_eq!(chain(&model, "e"), ["d", "e"]);
    let branches = Topology::of(&model).between(None, at(&model, "d"));
    assert_eq!(labels(&model, &branches[0]), ["a", "b", "c1"]);
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
    assert_eq!(chain(&model, "r"), ["a", "b", "r"]);
    assert_eq!(Topology::of(&model).shape_values(), ["g".into()]);
    let model = network(&[
        ("a", "Relu", &["x"]),
        ("n", "NonZero", &["a"]),
        ("t", "Transpose", &["n"]),
        ("s", "Shape", &["t"]),
        ("b", "Tanh", &["a"]),
        ("r", "Expand", &["b", "s"]),
    ]);
    assert_eq!(chain(&model, "r"), ["a", "r"]);
    assert!(Topology::of(&model).shape_values().is_empty());
}

#[test]
fn a_circle_and_a_file_out_of_order_do_no_harm() {
    let circle =
        network(&[("a", "Add", &["x", "b"]), ("b", "Relu", &["a"]), ("y", "Tanh", &["x"])]);
    assert_eq!(chain(&circle, "y"), ["y"]);
    assert_eq!(chain(&circle, "a"), ["a"]);
    assert_eq!(Topology::of(&circle).between(None, at(&circle, "a")), [[]; 0]);
    let disorder = network(&[("c1", "Tanh", &["b"]), ("b", "Relu", &["a"]), ("a", "Exp", &["x"])]);
    assert_eq!(chain(&disorder, "c1"), ["a", "b", "c1"]);
}

/// Node `i` reads the nodes below it that its row names, or the input.
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

/// Whether data reaches `to` from the input without passing `avoided`.
fn reaches(topology: &Topology, model: &Model, to: usize, avoided: usize) -> bool {
    if to == avoided {
        return false;
    }
    let node = model.nodes().nth(to).unwrap();
    node.inputs.contains(&"x".to_owned())
        || topology
            .inputs_of(NodeIndex(to))
            .iter()
            .any(|from| reaches(topology, model, from.0, avoided))
}

proptest! {
    #[test]
    fn every_path_passes_the_chain(
        rows in prop::collection::vec(prop::collection::vec(0..9_usize, 1..3), 1..10),
    ) {
        let model = grid(&rows);
        let topology = Topology::of(&model);
        let last = rows.len() - 1;
        let chain = topology.chain(&model.outputs()[0]);
        for node in 0..=last {
            let needed = !reaches(&topology, &model, last, node);
            prop_assert_eq!(needed, chain.contains(&NodeIndex(node)), "node {}", node);
        }
        prop_assert!(chain.is_sorted());
        let goods = std::iter::once(None).chain(chain.iter().copied().map(Some));
        let mut seen: Vec<NodeIndex> = chain.clone();
        for (good, &bad) in goods.zip(&chain) {
            let inner = topology.inner(good, bad);
            let mut parts = topology.between(good, bad).concat();
            parts.sort();
            prop_assert_eq!(&parts, &inner);
            seen.extend(inner);
        }
        seen.sort();
        let mut all = topology.ancestors(NodeIndex(last));
        all.push(NodeIndex(last));
        prop_assert_eq!(seen, all, "chain and inner parts are all there is");
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
        let chain = topology.chain(&model.outputs()[0]);
        let bad = *chain.last().unwrap();
        assert!(topology.between(None, bad).concat().len() >= MANY - 2);
        assert!(started.elapsed().as_secs_f64() < 1.0, "{:?}", started.elapsed());
    }
}
