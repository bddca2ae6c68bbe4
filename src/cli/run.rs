//! `offby run`: runs the network on the reference and on every target, and compares each output.

use super::args::{NetworkArgs, RunArgs};
use super::network_name::network_names;
use super::place::read_target;
use super::place_for_results::can_hold_results;
use super::prepare::Prepared;
use super::screen;
use crate::engine::{Execution, Outcome, Target};
use crate::report::{evidence_text, run_text};
use crate::session::Failure;
use crate::verdict::{Kind, exit_code};
use crate::worker::interrupted;
use std::path::{Path, PathBuf};

/// Runs, compares and reports each network; returns the exit code.
pub(super) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let place = &args.network.place;
    let targets =
        args.on.iter().map(|text| read_target(text, place)).collect::<Result<Vec<Target>, _>>()?;
    if args.more.is_empty() {
        return Ok(exit_code(run_network(args, &args.network, &targets)?));
    }
    // Each network gets a folder in `--out`. Checks before the first run that `--out` is writable.
    args.network.out.as_deref().map_or(Ok(()), can_hold_results)?;
    let mut kinds = Vec::new();
    let paths: Vec<&Path> =
        [&args.network.model.path].into_iter().chain(&args.more).map(PathBuf::as_path).collect();
    for (path, name) in paths.iter().zip(network_names(&paths)) {
        let mut network = args.network.clone();
        network.out = network.out.map(|folder| folder.join(name));
        network.model.path = path.to_path_buf();
        kinds.extend(run_network(args, &network, &targets)?);
        if interrupted() {
            // The later networks have no result.
            kinds.push(Kind::Inconclusive);
            break;
        }
    }
    Ok(exit_code(kinds))
}

/// Runs, compares and reports one network; returns the verdict of each target.
fn run_network(
    args: &RunArgs,
    network: &NetworkArgs,
    targets: &[Target],
) -> Result<Vec<Kind>, Failure> {
    let prepared = Prepared::new(network)?.with_finite(args.finite);
    let request = prepared.request();

    let progress = screen::progress(network.output.quiet);
    progress.set_message(format!("{} (reference)", network.reference));
    let reference = prepared.reference()?;
    prepared.keep(&format!("reference {}", reference.target), &reference.execution.outputs);
    let session = prepared.session(&reference, targets);
    let mut reports = Vec::new();
    for target in targets {
        progress.set_message(target.to_string());
        let execution = match interrupted() {
            true => not_begun(),
            false => prepared.registry.engine(target).execute(&request),
        };
        prepared.keep(&target.to_string(), &execution.outputs);
        reports.push(session.judge_run(target, execution));
    }
    progress.finish_and_clear();

    let mut report = prepared.report("run", &reference, reports);
    prepared.remark(&mut report, &session);
    prepared.answer(&report, || {
        let evidence = if network.output.verbose { evidence_text(&report) } else { String::new() };
        run_text(&report, screen::width(), screen::painter()) + &evidence
    })?;
    Ok(report.targets.iter().map(|target| target.verdict.kind).collect())
}

/// The execution of a target that did not start before the interruption.
fn not_begun() -> Execution {
    let reason = "the command was interrupted before its turn";
    Execution::without_outputs(Outcome::Interrupted, reason)
}
