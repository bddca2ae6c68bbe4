//! `offby case`: runs case files and checks their expectations, or lists the files.

use super::answer::{self, Unwritten};
use super::args::{CaseArgs, CaseCommand, CaseListArgs, CaseRunArgs};
use super::case_run::run_case;
use super::conformance::conformance;
use super::jobs::on_threads;
use super::place::read_via;
use super::place_for_results::can_hold_file;
use super::screen;
use crate::case::{Case, load_cases};
use crate::engine::{Outcome, Target, Via};
use crate::report::{
    CASES_SCHEMA, CaseReport, CaseTargetReport, CasesReport, ToolReport, cases_junit, cases_list,
    cases_text,
};
use crate::session::Failure;
use crate::session::Registry;
use crate::worker::{find_converter, interrupted};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Runs or lists cases; returns the exit code.
pub(super) fn case(args: &CaseArgs) -> Result<u8, Failure> {
    match &args.command {
        CaseCommand::Run(args) => match &args.onnx_backend_tests {
            Some(folder) => conformance(args, folder),
            None => run(args),
        },
        CaseCommand::List(args) => list(args),
    }
}

pub(super) fn load(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Case)>, Failure> {
    let fixtures = [PathBuf::from("fixtures")];
    let paths = if paths.is_empty() { &fixtures[..] } else { paths };
    let cases = load_cases(paths).map_err(|errors| {
        let mut failures = errors.into_iter().map(Failure::from);
        let first = failures.next().unwrap_or_else(Failure::bug);
        failures.fold(first, Failure::and)
    })?;
    if cases.is_empty() {
        return Err(Failure::new(
            "find a case: there is no .yaml file there",
            "give case files, or folders that hold some; `offby cut --capture` writes one",
        ));
    }
    Ok(cases)
}

fn list(args: &CaseListArgs) -> Result<u8, Failure> {
    let cases = load(&args.paths)?;
    answer::give(&args.output, &cases.iter().map(|(_, case)| case).collect::<Vec<_>>(), || {
        cases_list(&cases, screen::width())
    })?;
    Ok(0)
}

fn run(args: &CaseRunArgs) -> Result<u8, Failure> {
    let cases = load(&args.paths)?;
    let registry = Registry::new(find_converter(), args.limits.memory)?;
    let via = read_via(args.via.as_deref())?;
    args.junit.as_deref().map_or(Ok(()), can_hold_file)?;
    args.output.can_be_written()?;
    let started = Instant::now();
    let reference = args.reference.as_deref().map(str::parse).transpose()?;
    let reports = run_all(args, &cases, &registry, via.as_ref(), reference.as_ref());
    let report = CasesReport {
        schema: CASES_SCHEMA.into(),
        tool: ToolReport::this(),
        cases: reports,
        seconds: started.elapsed().as_secs_f64(),
        interrupted: interrupted(),
    };
    let mut unwritten = Unwritten::default();
    if let Some(path) = &args.junit {
        let written = cases_junit(&report).map_err(|error| Failure::write(path, error));
        unwritten.note(written.and_then(|xml| answer::write(path, xml)));
    }
    unwritten.note(answer::give(&args.output, &report, || {
        cases_text(&report, screen::width(), screen::painter())
    }));
    unwritten.told()?;
    Ok(report.exit_code())
}

/// Runs the cases on a few threads. Each target has its own child process in any case.
fn run_all(
    args: &CaseRunArgs,
    cases: &[(PathBuf, Case)],
    registry: &Registry,
    via: Option<&Via>,
    reference: Option<&Target>,
) -> Vec<CaseReport> {
    let progress = screen::progress(args.output.quiet);
    let done = AtomicUsize::new(0);
    let reports = on_threads(cases, args.jobs, |(file, case)| {
        if interrupted() {
            return None;
        }
        let report = run_case(file, case, registry, args.on.as_deref(), via, reference);
        let done = 1 + done.fetch_add(1, Ordering::Relaxed);
        progress.set_message(format!("{done} of {}: {}", cases.len(), case.id));
        // A target that the user interrupted is neither as expected nor unexpected.
        let ended = |target: &CaseTargetReport| target.report.outcome == Outcome::Interrupted;
        (!report.targets.iter().any(ended)).then_some(report)
    });
    progress.finish_and_clear();
    reports.into_iter().flatten().collect()
}
