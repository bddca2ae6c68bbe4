//! The whole search: its start, and its steps in their order.

use super::axes::{Threshold, shorten};
use super::limit::{Limit, find_limit};
use super::oracle::{Finding, Oracle};
use super::piece::{Piece, find_piece};
use super::simplify::{simplify_constants, simplify_feeds};
use super::specimen::Specimen;
use crate::engine::NodeSteps;
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The smallest reproduction found.
#[derive(Debug)]
pub struct Shrunk {
    /// The network and its feeds.
    pub specimen: Specimen,
    /// The finding that the reproduction shows.
    pub finding: Finding,
    /// The node that the search began with. `None` if no single node shows the finding.
    pub node: Option<String>,
    /// The nodes that show the finding together, if no single node does and the whole network is not needed.
    pub piece: Vec<String>,
    /// The extents that fail with the original values.
    pub thresholds: Vec<Threshold>,
    /// The values that fail.
    pub limit: Option<Limit>,
    /// The thresholds with the simplest values, if they are different.
    pub simple_thresholds: Vec<Threshold>,
    /// Number of runs of the target.
    pub runs: usize,
    /// The steps taken.
    pub steps: Vec<ShrinkStep>,
}

/// A step of the search, and what was left after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShrinkStep {
    /// The step in words.
    pub words: String,
    /// The number of nodes.
    pub nodes: usize,
    /// The number of elements of all inputs.
    pub elements: usize,
    /// The size of the ONNX file; absent if the network cannot be written as one file.
    pub bytes: Option<u64>,
}

impl ShrinkStep {
    fn after(words: String, specimen: &Specimen) -> Self {
        ShrinkStep {
            words,
            nodes: specimen.model.node_count(),
            elements: specimen.feeds.iter().map(|feed| feed.tensor.len()).sum(),
            bytes: specimen
                .model
                .as_written()
                .to_whole_bytes()
                .ok()
                .map(|bytes| bytes.len() as u64),
        }
    }
}

/// Shrinks a finding. `suspects` are labels of nodes. With suspects, only these nodes are tried alone, and
/// without suspects every node is.
///
/// # Errors
/// If the reference refuses the network or a node. `Ok(None)` if no run shows a finding.
pub fn shrink(
    model: &Model,
    feeds: &[Feed],
    suspects: &[String],
    oracle: &mut Oracle<'_>,
    announce: &mut dyn FnMut(&str),
) -> Result<Option<Shrunk>, String> {
    announce("the whole network");
    let whole = Specimen { model: model.clone(), feeds: feeds.to_vec() };
    let at_start = ShrinkStep::after("the whole network".into(), &whole);
    let at_first = oracle.ask(&whole).finding;
    let found = find_node(model, feeds, suspects, at_first, oracle, announce)?;
    if found.is_none() && (oracle.interrupted)() {
        return Ok(None);
    }
    let start = match found {
        Some(start) => Some(start),
        None => beginning(whole, suspects, at_first, oracle, announce)?,
    };
    let Some(Start { node, piece, mut specimen, finding }) = start else { return Ok(None) };
    let words = first_step(&node, &piece, &specimen);
    let mut steps = vec![at_start, ShrinkStep::after(words, &specimen)];
    let mut step =
        |words: String, specimen: &Specimen| steps.push(ShrinkStep::after(words, specimen));
    let unshortened = specimen.clone();
    let thresholds = shorten(&mut specimen, finding, oracle, announce);
    step(format!("smaller shapes: {}", shape(&specimen)), &specimen);
    let limit = find_limit(&mut specimen, &unshortened, finding, oracle);
    if !limit.as_ref().is_some_and(|limit| limit.alone) {
        simplify_feeds(&mut specimen, finding, oracle, announce);
    }
    let specs: Vec<&str> = specimen.feeds.iter().map(|feed| feed.spec.as_str()).collect();
    step(format!("simpler values: {}", specs.join(", ")), &specimen);
    simplify_constants(&mut specimen, finding, oracle, announce);
    let simple_thresholds = shorten(&mut specimen, finding, oracle, announce);
    step(format!("shapes again, with those values: {}", shape(&specimen)), &specimen);
    let simple_thresholds =
        simple_thresholds.into_iter().filter(|threshold| !thresholds.contains(threshold)).collect();
    let runs = oracle.runs;
    let found = Shrunk {
        specimen,
        finding,
        node,
        piece,
        thresholds,
        limit,
        simple_thresholds,
        runs,
        steps,
    };
    Ok(Some(found))
}

/// The start of the search for smaller shapes.
struct Start {
    node: Option<String>,
    piece: Vec<String>,
    specimen: Specimen,
    finding: Finding,
}

/// A piece of the network, or the whole network, if no single node shows the finding.
fn beginning(
    whole: Specimen,
    suspects: &[String],
    at_first: Finding,
    oracle: &mut Oracle<'_>,
    announce: &mut dyn FnMut(&str),
) -> Result<Option<Start>, String> {
    if let Some(piece) = find_piece(&whole, suspects, at_first, oracle, announce)? {
        let Piece { labels, specimen, finding } = piece;
        return Ok(Some(Start { node: None, piece: labels, specimen, finding }));
    }
    match at_first {
        Finding::Agrees => Ok(None),
        Finding::Invalid => Err("the target gives no output that can be compared".into()),
        finding => Ok(Some(Start { node: None, piece: Vec::new(), specimen: whole, finding })),
    }
}

fn first_step(node: &Option<String>, piece: &[String], specimen: &Specimen) -> String {
    let shape = shape(specimen);
    match (node, piece) {
        (Some(label), _) => format!("the node `{label}` by itself shows it, {shape}"),
        (None, []) => "no single node shows it, nor do fewer than all: the network was kept".into(),
        (None, labels) => {
            let names: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            let count = labels.len();
            let names = names.join(", ");
            format!("no single node shows it; these {count} do together: {names}, {shape}")
        }
    }
}

fn shape(specimen: &Specimen) -> String {
    let one = |feed: &Feed| {
        let extents: Vec<String> = feed.tensor.shape().iter().map(ToString::to_string).collect();
        format!("`{}` {}", feed.name, extents.join("x"))
    };
    specimen.feeds.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The first node that alone, on the reference's values, shows the finding of the whole network. A suspect may show
/// any finding, because the whole network may have absorbed its error.
fn find_node(
    model: &Model,
    feeds: &[Feed],
    suspects: &[String],
    at_first: Finding,
    oracle: &mut Oracle<'_>,
    announce: &mut dyn FnMut(&str),
) -> Result<Option<Start>, String> {
    let mut steps = NodeSteps::with_second(model, oracle.second.clone())?;
    let labels: Vec<String> = (0..steps.len()).map(|step| steps.node(step).0).collect();
    let suspected: BTreeSet<usize> =
        (0..labels.len()).filter(|&step| suspects.contains(&labels[step])).collect();
    let wanted = |step: usize| suspected.is_empty() || suspected.contains(&step);
    steps.start(feeds)?;
    for (step, label) in labels.iter().enumerate() {
        if wanted(step) {
            announce(&format!("{label} by itself"));
            let specimen = alone(&steps, step)?;
            let finding = oracle.ask(&specimen).finding;
            let is_it = match suspected.is_empty() {
                true => finding == at_first,
                false => finding.is_wrong(),
            };
            if is_it && finding.is_wrong() && oracle.shows(&specimen, finding) {
                let (node, piece) = (Some(label.clone()), Vec::new());
                return Ok(Some(Start { node, piece, specimen, finding }));
            }
        }
        steps.advance(step, &Tensor::clone)?;
    }
    Ok(None)
}

/// A node alone, fed with the reference's values. `None` if the network has no such node.
///
/// # Errors
/// If the reference refuses the network or a node.
pub fn by_itself(model: &Model, feeds: &[Feed], label: &str) -> Result<Option<Specimen>, String> {
    let mut steps = NodeSteps::new(model)?;
    steps.start(feeds)?;
    for step in 0..steps.len() {
        if steps.node(step).0 == label {
            return alone(&steps, step).map(Some);
        }
        steps.advance(step, &Tensor::clone)?;
    }
    Ok(None)
}

fn alone(steps: &NodeSteps, step: usize) -> Result<Specimen, String> {
    let inputs = steps.inputs(step)?;
    let outputs = steps.compute(step, &inputs, &Tensor::clone)?;
    let (model, feeds) = steps.alone(step, &inputs, &outputs)?;
    Ok(Specimen { model, feeds })
}
