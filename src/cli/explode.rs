//! `offby explode`: every node of a network as a test of its own, for an engine's own CI.
//!
//! The layout is that of ONNX's backend tests: `model.onnx` beside `test_data_set_0` with `input_I.pb` and
//! `output_I.pb`. Inputs are the values that the node has in the network, and outputs are the reference's.

use super::args::ExplodeArgs;
use super::conformance::run_tests;
use super::prepare::load_fed;
use super::screen;
use crate::case::write_backend_test;
use crate::engine::{NodeSteps, OrtTarget, Target};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::report::{conformance_text, plural};
use crate::session::{Failure, Registry, second_engine};
use crate::tensor::{ShapeText, Tensor};
use crate::worker::find_converter;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The time that ONNX Runtime has for a node that tract refuses.
const DEADLINE: Duration = Duration::from_secs(60);

/// A test and the nodes that it stands for: the same operator, attributes and shapes.
#[derive(Debug, Serialize)]
struct Test {
    test: String,
    op_type: String,
    inputs: Vec<String>,
    nodes: Vec<String>,
}

/// Writes a test for each different node; returns the exit code.
pub(super) fn explode(args: &ExplodeArgs) -> Result<u8, Failure> {
    let (model, feeds) = load_fed(&args.model.path, &args.model.feed)?;
    fs::create_dir_all(&args.output).map_err(|error| Failure::write(&args.output, error))?;
    let refused = |reason: String| {
        Failure::new(
            format!("compute the network node by node: {reason}"),
            "install ONNX Runtime, which computes nodes that tract refuses: pip install onnxruntime",
        )
    };
    let registry = Registry::new(find_converter(), None)?;
    let second = second_engine(registry.engine(&Target::Ort(OrtTarget::REFEREE)), DEADLINE, false);
    let mut steps = NodeSteps::with_second(&model, Some(second)).map_err(refused)?;
    steps.start(&feeds).map_err(refused)?;
    let progress = screen::progress(args.quiet);
    let mut tests: BTreeMap<String, Test> = BTreeMap::new();
    for step in 0..steps.len() {
        progress.set_message(steps.node(step).0);
        let inputs = steps.inputs(step).map_err(refused)?;
        let outputs = steps.compute(step, &inputs, &Tensor::clone).map_err(refused)?;
        add(&mut tests, &steps, step, (&inputs, &outputs), &args.output)?;
        steps.store(step, &outputs);
        steps.forget(step);
    }
    progress.finish_and_clear();
    let tests: Vec<Test> = tests.into_values().collect();
    let list = args.output.join("tests.json");
    super::answer::write(&list, super::answer::json(&tests)? + "\n")?;
    if !args.quiet {
        screen::show(&text(&tests, &model, &args.output, args.on.is_empty()));
    }
    run_on_targets(args, &registry)
}

/// Runs the tests on the targets that the user asks for; returns the exit code.
fn run_on_targets(args: &ExplodeArgs, registry: &Registry) -> Result<u8, Failure> {
    if args.on.is_empty() {
        return Ok(0);
    }
    let targets =
        args.on.iter().map(|name| Ok(name.parse()?)).collect::<Result<Vec<_>, Failure>>()?;
    let matrix = run_tests(&args.output, &targets, registry, None, args.quiet)?;
    if !args.quiet {
        screen::show(&conformance_text(&matrix, screen::columns(), true));
    }
    Ok(if matrix.interrupted { 3 } else { matrix.exit_code() })
}

/// Writes a node's test, or counts the node to an equal one.
fn add(
    tests: &mut BTreeMap<String, Test>,
    steps: &NodeSteps,
    step: usize,
    (inputs, outputs): (&[Option<Tensor>], &[Tensor]),
    folder: &Path,
) -> Result<(), Failure> {
    let (label, op_type) = steps.node(step);
    // A node with a body, or one that writes no output, has no network of its own.
    let Ok((model, feeds)) = steps.alone(step, inputs, outputs) else { return Ok(()) };
    let described: Vec<String> = feeds.iter().map(|feed| describe(&feed.tensor)).collect();
    let results: Vec<String> = outputs.iter().map(describe).collect();
    let (attributes, _) = steps.attributes(step);
    let key = format!("{op_type} {attributes:?} {described:?} {:?} {results:?}", constants(&model));
    if let Some(same) = tests.get_mut(&key) {
        same.nodes.push(label);
        return Ok(());
    }
    let test = format!("{:04}_{op_type}", tests.len());
    let place = folder.join(&test);
    let given: Vec<&Feed> = feeds.iter().collect();
    let named: Vec<_> = model.outputs().iter().zip(outputs).collect();
    write_backend_test(&place, &model, &given, &named)
        .map_err(|error| Failure::write(&place, error))?;
    tests.insert(key, Test { test, op_type, inputs: described, nodes: vec![label] });
    Ok(())
}

/// The constants of a node, as far as they make a different test: all of integers, which are axes, shapes and indices,
/// and the type and shape of weights.
fn constants(model: &Model) -> Vec<String> {
    let one = |tensor: &Tensor| match tensor.dtype().is_float() {
        true => describe(tensor),
        false => format!("{} {:?}", describe(tensor), tensor.numbers(1)),
    };
    model.initializers().values().map(one).collect()
}

fn describe(tensor: &Tensor) -> String {
    format!("{} {}", tensor.dtype(), ShapeText(tensor.shape()))
}

fn text(tests: &[Test], model: &Model, folder: &Path, hints: bool) -> String {
    let mut by_type: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for test in tests {
        let count = by_type.entry(&test.op_type).or_default();
        *count = (count.0 + 1, count.1 + test.nodes.len());
    }
    let rows = by_type.iter().map(|(op_type, (tests, nodes))| {
        format!("  {op_type}: {} for {}\n", plural(*tests, "test"), plural(*nodes, "node"))
    });
    let covered = tests.iter().map(|test| test.nodes.len()).sum::<usize>();
    let folder = folder.display();
    let hint = format!("run them: offby case run --onnx-backend-tests {folder} --on TARGET\n");
    format!(
        "{} for {covered} of {} in {folder}\n{}{}",
        plural(tests.len(), "test"),
        plural(model.node_count(), "node"),
        rows.collect::<String>(),
        if hints { &hint } else { "" },
    )
}
