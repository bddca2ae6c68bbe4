//! `offby compare A B`: two networks that should compute the same, such as before and after an optimizer.
//!
//! The reference computes every value of both. B's values are walked along A's nodes: the first piece of A whose
//! values B does not have is where the two part.

use super::args::CompareArgs;
use super::prepare::Prepared;
use super::screen;
use super::walk_dump::{answer_dump, execution};
use crate::engine::{DumpTarget, NodeSteps, Second, Target, Values};
use crate::graph::{Model, ValueName};
use crate::inputs::{Dump, Feed};
use crate::session::Failure;
use crate::walk::align;
use std::collections::BTreeMap;
use std::path::Path;

/// Compares, reports; returns the exit code.
pub(super) fn compare(args: &CompareArgs) -> Result<u8, Failure> {
    let network = &args.network;
    let prepared = Prepared::new(network)?;
    let (second, feeds) = second_network(&args.second, &prepared)?;
    let reference = prepared.reference()?;
    let name = args.second.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let target = Target::Dump(DumpTarget { name, storage: None });
    let session = prepared.session(&reference, &[]);
    let progress = screen::progress(network.output.quiet);
    progress.set_message("computing the values of both networks".to_owned());
    let helper = session.second();
    let theirs = all_values(&second, &feeds, helper.clone())?;
    let ours = all_values(&prepared.model, &prepared.feeds, helper)?;
    let mut aligned = align(&ours, &theirs);
    for (our, their) in prepared.model.outputs().iter().zip(second.outputs()) {
        if let Some(tensor) = theirs.get(their.as_str()) {
            aligned.insert(our.to_string(), tensor.clone());
        }
    }
    let aligned = Dump::from(aligned);
    let execution = execution(&args.second, &aligned, session.truth())?;
    let mut target_report = session.judge_dumped(&target, &execution, &aligned)?;
    progress.finish_and_clear();
    target_report.evidence = described(&target_report.walk, &aligned, &ours, &second);
    answer_dump(&prepared, &session, "compare", args.all, vec![target_report])
}

/// The second network, fed like the first: inputs of the same name, or else in the same order.
fn second_network(path: &Path, first: &Prepared<'_>) -> Result<(Model, Vec<Feed>), Failure> {
    let mut model = Model::load(path)?;
    let inputs: Vec<ValueName> = model.inputs().iter().map(|input| input.name.clone()).collect();
    if inputs.len() != first.feeds.len() || model.outputs().len() != first.model.outputs().len() {
        return Err(Failure::new(
            format!(
                "compare with {}: it has {} inputs and {} outputs, the first network has {} and {}",
                path.display(),
                inputs.len(),
                model.outputs().len(),
                first.feeds.len(),
                first.model.outputs().len()
            ),
            "compare two forms of the same network; `offby cut` makes parts with the same ends",
        ));
    }
    let by_name = |name: &ValueName| first.feeds.iter().find(|feed| feed.name == *name);
    let fed = inputs.iter().zip(&first.feeds).map(|(name, in_order)| {
        let feed = by_name(name).unwrap_or(in_order);
        Feed { name: name.clone(), ..feed.clone() }
    });
    let feeds: Vec<Feed> = fed.collect();
    let shapes: BTreeMap<ValueName, Vec<usize>> =
        feeds.iter().map(|feed| (feed.name.clone(), feed.tensor.shape().to_vec())).collect();
    model.fix_shapes(&shapes)?;
    Ok((model, feeds))
}

fn all_values(model: &Model, feeds: &[Feed], second: Option<Second>) -> Result<Values, Failure> {
    let failed = |reason: String| {
        Failure::new(
            format!("compute {}: {reason}", model.path().display()),
            "the reference must be able to compute each node of both networks",
        )
    };
    let mut steps = NodeSteps::with_second(model, second).map_err(failed)?;
    steps.capture_all(feeds).map_err(failed)
}

/// How the networks were matched, and which node of the second writes the value of each source.
fn described(
    walk: &Option<crate::walk::WalkReport>,
    aligned: &Dump,
    ours: &Values,
    second: &Model,
) -> Vec<String> {
    let mut lines =
        vec![format!("{} of {} values are in both networks", aligned.len(), ours.len())];
    for op in
        walk.iter().flat_map(|walk| walk.ops.iter().filter(|op| walk.sources.contains(&op.name)))
    {
        let node =
            second.nodes().find(|node| node.outputs.contains(&op.name) || node.label() == op.name);
        lines.extend(node.map(|node| {
            format!(
                "the second network writes the value of `{}` by `{}` ({})",
                op.name,
                node.label(),
                node.op_type
            )
        }));
    }
    lines
}
