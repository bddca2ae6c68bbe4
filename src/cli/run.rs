//! `offby run`: the network on the reference and on every target, output by output.

use super::args::{NetworkArgs, RunArgs};
use super::examine::{Truth, examine};
use super::failure::Failure;
use super::place::{read_reference, read_target};
use super::place_for_results::can_hold_results;
use super::prepare::Prepared;
use super::screen;
use crate::choice::Source;
use crate::engine::{Execution, Outcome, Request, Target};
use crate::report::{evidence_text, run_text};
use crate::verdict::{Kind, exit_code};
use crate::worker::interrupted;

/// Runs, compares, reports each network; gives the exit code.
pub(super) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let place = &args.network.place;
    let targets =
        args.on.iter().map(|text| read_target(text, place)).collect::<Result<Vec<Target>, _>>()?;
    let reference = read_reference(&args.reference, place)?;
    if args.more.is_empty() {
        return Ok(exit_code(run_network(&args.network, &reference, &targets)?));
    }
    // Each has a folder in it: whether that can be written shows before the first of them runs.
    args.network.out.as_deref().map_or(Ok(()), can_hold_results)?;
    let mut kinds = Vec::new();
    for path in [&args.network.model.path].into_iter().chain(&args.more) {
        let mut network = args.network.clone();
        network.out = network.out.map(|folder| folder.join(path.file_stem().unwrap_or_default()));
        network.model.path.clone_from(path);
        kinds.extend(run_network(&network, &reference, &targets)?);
        if interrupted() {
            // Of the networks after this one nothing is known.
            kinds.push(Kind::Inconclusive);
            break;
        }
    }
    Ok(exit_code(kinds))
}

/// Runs, compares, reports one; gives the verdict of each target.
fn run_network(
    network: &NetworkArgs,
    reference: &Target,
    targets: &[Target],
) -> Result<Vec<Kind>, Failure> {
    let prepared = Prepared::new(network)?;
    let request = prepared.request();

    let progress = screen::progress(network.output.quiet);
    progress.set_message(format!("{reference} (reference)"));
    let truth = run_reference(&prepared, reference)?;
    prepared.keep(&format!("reference {reference}"), &truth.outputs);
    let source = Source::new(request, prepared.registry.engine(reference));
    let mut reports = Vec::new();
    for target in targets {
        progress.set_message(target.to_string());
        let execution = match interrupted() {
            true => not_begun(),
            false => prepared.registry.engine(target).execute(&request),
        };
        prepared.keep(&target.to_string(), &execution.outputs);
        reports.push(examine(target, execution, Truth::of(&truth, &source), prepared.user, None));
    }
    progress.finish_and_clear();

    let report = prepared.report("run", reference, &truth, reports);
    prepared.answer(&report, || {
        let evidence = if network.output.verbose { evidence_text(&report) } else { String::new() };
        run_text(&report, screen::width(), screen::painter()) + &evidence
    })?;
    Ok(report.targets.iter().map(|target| target.verdict.kind).collect())
}

/// What comes of a target whose turn did not come.
fn not_begun() -> Execution {
    let reason = "the command was interrupted before its turn";
    Execution::without_outputs(Outcome::Interrupted, reason)
}

/// The reference's outputs; without them there is nothing to compare with.
pub(super) fn run_reference(
    prepared: &Prepared<'_>,
    reference: &Target,
) -> Result<Execution, Failure> {
    let truth =
        prepared.registry.engine(reference).execute(&Request { repeats: 1, ..prepared.request() });
    if truth.outcome == Outcome::Completed {
        Ok(truth)
    } else {
        Err(no_reference(reference, &truth))
    }
}

/// The failure of a reference that gave nothing.
pub(super) fn no_reference(reference: &Target, truth: &Execution) -> Failure {
    let reason = truth.reason.clone().unwrap_or_else(|| truth.outcome.to_string());
    let hint = truth.hint.clone().unwrap_or_else(|| {
        "without a reference there is nothing to compare with; another one may do: --reference mnn:cpu:high".into()
    });
    Failure::new(format!("run the reference {reference}: {reason}"), hint)
}
