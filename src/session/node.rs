//! Runs single nodes on any engine.

use crate::engine::{Engine, EngineSession, Outcome, Output, Request, Second};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The outputs of a one-node network, in the order of its outputs.
pub(super) fn run_node(
    session: &mut dyn EngineSession,
    model: &Model,
    feeds: &[Feed],
    deadline: Duration,
) -> Result<Vec<Tensor>, String> {
    let execution = session.execute(&Request { model, feeds, repeats: 1, deadline });
    if execution.outcome != Outcome::Completed {
        return Err(execution.reason.unwrap_or_else(|| execution.outcome.to_string()));
    }
    let output = |name: &crate::graph::ValueName| {
        let found = execution.outputs.iter().find(|output| output.name == *name);
        found.map(|output| output.tensor.clone()).ok_or_else(|| format!("{name} did not come"))
    };
    model.outputs().iter().map(output).collect()
}

/// An engine that computes the nodes that tract refuses, or every node.
pub fn second(engine: Box<dyn Engine>, deadline: Duration, first: bool) -> Second {
    // The session borrows from its engine and must outlive this call. An engine is a few names and paths, and a
    // command makes a handful of engines: they stay until the process ends.
    let mut session = Box::leak(engine).session();
    let compute = move |model: &Model, feeds: &[Feed]| {
        let outputs = run_node(session.as_mut(), model, feeds, deadline)?;
        let names = model.outputs().iter().cloned();
        Ok(names.zip(outputs).map(|(name, tensor)| Output { name, tensor }).collect())
    };
    Second { compute: Rc::new(RefCell::new(compute)), first }
}

/// The node's own name for each ONNX value and node.
pub fn node_names(model: &Model) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for node in model.nodes() {
        let label = node.label().to_owned();
        names.insert(label.clone(), label.clone());
        for output in node.outputs {
            names.insert(output.clone(), label.clone());
        }
    }
    names
}
