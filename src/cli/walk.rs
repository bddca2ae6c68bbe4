//! `offby walk`: which operators introduce error, and is it a bug or the storage format?

use super::args::WalkArgs;
use super::examine::examine;
use super::failure::Failure;
use super::prepare::Prepared;
use super::registry::read_target;
use super::run::run_reference;
use super::screen;
use crate::engine::{Execution, Output, Target};
use crate::graph::Model;
use crate::report::{OutputReport, TargetReport, evidence_text, walk_text};
use crate::verdict::exit_code;
use crate::walk::{conclude, gauge};
use crate::worker::Walked;
use std::collections::BTreeMap;

/// Walks, concludes, reports; gives the exit code.
pub(super) fn walk(args: &WalkArgs) -> Result<u8, Failure> {
    let target = read_target(&args.on)?;
    let prepared = Prepared::new(&args.network)?;
    let progress = screen::progress(args.network.output.quiet);
    progress.set_message("tract (reference)");
    let truth = run_reference(&prepared, &Target::Tract)?;

    let engine = prepared.registry.walker(&target).ok_or_else(|| not_walkable(&target))?;
    progress.set_message(format!("{target}: opening"));
    let walked = engine.walk(&prepared.request(), &mut |operator| {
        progress.set_message(format!(
            "{target}: {} {} {}",
            operator.index, operator.op_type, operator.name
        ));
    });
    progress.finish_and_clear();
    prepared.keep(&target.to_string(), &walked.execution.outputs)?;
    prepared.keep("reference", &walked.reference)?;

    let report = prepared.report(
        "walk",
        &Target::Tract,
        &truth,
        vec![examine_walk(&prepared, &target, walked, &truth)],
    );
    prepared.answer(&report, || {
        let evidence =
            if args.network.output.verbose { evidence_text(&report) } else { String::new() };
        walk_text(&report, args.all, screen::width(), screen::painter()) + &evidence
    })?;
    Ok(exit_code(report.targets.iter().map(|target| target.verdict.kind)))
}

fn not_walkable(target: &Target) -> Failure {
    Failure::new(
        format!("walk {target}: it is the reference"),
        "walk one of MNN's backends, such as mnn:vulkan:low",
    )
}

/// The target against the reference's clean stream, and that against tract: what is left between
/// the last two is the conversion's doing, not the backend's.
fn examine_walk(
    prepared: &Prepared<'_>,
    target: &Target,
    walked: Walked,
    truth: &Execution,
) -> TargetReport {
    let walk = walked
        .found
        .as_ref()
        .map(|(trace, trust)| conclude(trace, trust, &node_names(&prepared.model)));
    let mut execution = walked.execution;
    if let (Some(reason), Some(last)) = (&mut execution.reason, &walked.last) {
        reason.push_str(&format!(", in operator {}, {} `{}`", last.index, last.op_type, last.name));
    }
    let mut report = examine(target, execution, &walked.reference, prepared.user, walk);
    for output in &mut report.outputs {
        let find = |outputs: &[Output]| {
            outputs.iter().find(|o| o.name == output.name).map(|o| o.tensor.clone())
        };
        let pair = find(&truth.outputs).zip(find(&walked.reference));
        output.conversion = pair.and_then(|(tract, clean)| gauge(&tract, &clean));
    }
    // Names are the converter's: where the end result is tract's, a value that differs on the way is
    // another value under the same name, not another network.
    let unchanged = |output: &OutputReport| output.conversion.is_some_and(|gauge| gauge.within_f32);
    if report.outputs.iter().all(unchanged)
        && let Some(walk) = &mut report.walk
    {
        walk.first_converted = None;
    }
    report
}

/// For each ONNX value and node the node's own name.
fn node_names(model: &Model) -> BTreeMap<String, String> {
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
