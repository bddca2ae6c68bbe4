//! One case: its model and feeds, its targets, and their expectations.

use super::cut::{AskedReference, truncate};
use super::place::behind;
use crate::case::{Allowed, Case, CaseTarget, Said, resolve_beside};
use crate::compare::Explanation;
use crate::engine::{Outcome, Request, Target, Via};
use crate::graph::Model;
use crate::inputs::{Feed, InputError, draw};
use crate::report::{CaseReport, CaseStatus, CaseTargetReport, TargetReport};
use crate::session::Registry;
use crate::session::{Evaluator, Failure, Reference, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// Time limit for a target in seconds, unless the case sets one.
const TIMEOUT: u64 = 120;
/// Runs per target: two, to show outputs that differ between runs.
pub(super) const REPEATS: usize = 2;

/// Runs a case on all its targets, or only on targets whose name contains `only`. Their workers run
/// behind the `via` command, if given. The reference runs on this machine.
pub(super) fn run_case(
    file: &Path,
    case: &Case,
    registry: &Registry,
    only: Option<&str>,
    via: Option<&Via>,
    reference: Option<&Target>,
) -> CaseReport {
    let mut report = CaseReport {
        id: case.id.clone(),
        title: case.title.clone(),
        file: file.display().to_string(),
        kind: case.kind,
        upstream: case.upstream.clone(),
        targets: Vec::new(),
        failure: None,
    };
    match try_run(case, registry, only, via, reference) {
        Ok(targets) => report.targets = targets,
        Err(failure) => report.failure = Some(failure.line()),
    }
    report
}

fn try_run(
    case: &Case,
    registry: &Registry,
    only: Option<&str>,
    via: Option<&Via>,
    reference: Option<&Target>,
) -> Result<Vec<CaseTargetReport>, Failure> {
    let deadline = Duration::from_secs(case.timeout.unwrap_or(TIMEOUT));
    let reference = resolved(case, reference.unwrap_or(&case.reference), None)?;
    let (model, feeds) = prepare(case, AskedReference { registry, target: &reference, deadline })?;
    let request = Request { model: &model, feeds: &feeds, repeats: REPEATS, deadline };
    let reference = Reference::run(registry, &request, &reference)?;
    let targets = case.targets.iter().map(|target| resolved(case, &target.on, via));
    let settings = Settings { targets: targets.collect::<Result<_, _>>()?, ..Settings::default() };
    let mut reports = Vec::new();
    for (target, expected) in grouped(case, only) {
        let target = resolved(case, &target, via)?;
        let started = Instant::now();
        let walk = expected.iter().any(|e| e.expect.as_ref().is_some_and(|e| e.needs_walk()));
        let allow_converter = expected.iter().find_map(|e| e.expect.as_ref()?.allow_converter);
        let allow_overflow = expected
            .iter()
            .any(|e| e.expect.as_ref().is_some_and(|e| e.allow == Some(Allowed::Overflow)));
        let settings = Settings { allow_converter, allow_overflow, ..settings.clone() };
        let session = Evaluator::new(request, registry, &reference, settings);
        let can_walk = registry.walker(&target).is_some() || session.can_be_searched(&target);
        let report = match walk && can_walk {
            true => session.walk(&target, &mut |_| (), &mut |_| ())?,
            false => session.run(&target),
        };
        reports.push(judge(report, &expected, started.elapsed().as_secs_f64()));
    }
    Ok(reports)
}

/// The network and its feeds. If the case contains a cut, the network is truncated.
pub(super) fn prepare(
    case: &Case,
    reference: AskedReference<'_>,
) -> Result<(Model, Vec<Feed>), Failure> {
    let mut model = Model::load(&case.model_path())?;
    model.fix_shapes(&BTreeMap::new())?;
    let specs = case.specs();
    let known = || model.inputs().iter().map(|input| input.name.clone()).collect::<Vec<_>>();
    if let Some(name) = specs.keys().find(|name| !known().contains(name)) {
        let (name, known) = (name.to_string(), known());
        return Err(InputError::UnknownInput { name, closest: None, known }.into());
    }
    let feeds = draw(&model, &specs)?;
    match &case.cut {
        None => Ok((model, feeds)),
        Some(cut) => truncate(reference, &model, &cut.to, &cut.from, feeds),
    }
}

/// A target with its device, behind the `via` command if given. Device paths are relative to the case's folder.
pub(super) fn resolved(case: &Case, target: &Target, via: Option<&Via>) -> Result<Target, Failure> {
    behind(resolve_beside(&case.folder, target.clone())?, via)
}

/// Each target once, with all its expectations, in the file's order.
fn grouped<'c>(case: &'c Case, only: Option<&str>) -> Vec<(Target, Vec<&'c CaseTarget>)> {
    let mut seen = BTreeSet::new();
    let mut groups = Vec::new();
    for target in &case.targets {
        let name = target.on.to_string();
        if only.is_some_and(|only| !name.contains(only)) || !seen.insert(name.clone()) {
            continue;
        }
        let same = case.targets.iter().filter(|other| other.on.to_string() == name).collect();
        groups.push((target.on.clone(), same));
    }
    groups
}

/// Compares a target's report with the first expectation that applies to the actual device and driver.
fn judge(report: TargetReport, expected: &[&CaseTarget], seconds: f64) -> CaseTargetReport {
    let ran_on = report.ran_on.as_ref();
    let applies = expected.iter().find(|target| target.applies(ran_on));
    let expect = applies.and_then(|target| target.expect.as_ref());
    let missing = matches!(report.outcome, Outcome::Unavailable | Outcome::FellBack)
        && expect.is_none_or(|expect| expect.verdict != report.verdict.kind);
    let (status, differences) = if missing {
        (CaseStatus::Skipped, vec![report.verdict.sentence.clone()])
    } else if let Some(expect) = expect {
        let differences = differences(&report, expect);
        let status = match differences.is_empty() {
            true => CaseStatus::AsExpected,
            false => CaseStatus::Unexpected,
        };
        (status, differences)
    } else {
        let words = "the case expects no verdict of this target on this device and driver";
        (CaseStatus::Unjudged, vec![format!("{words}: {}", report.verdict.sentence)])
    };
    let reason = expect.and_then(|expect| expect.reason.clone());
    let expected = expect.map(|expect| expect.verdict.to_string());
    CaseTargetReport { status, differences, reason, expected, seconds, report }
}

fn differences(report: &TargetReport, expect: &crate::case::Expectation) -> Vec<String> {
    let explained_by: Vec<Explanation> =
        report.outputs.iter().filter_map(|output| output.explained_by).collect();
    let comparisons = report.outputs.iter().filter_map(|output| output.comparison.as_ref());
    let previews: Vec<String> = comparisons.map(|c| c.preview.clone()).collect();
    let sources: Option<Vec<(String, String)>> = report.walk.as_ref().map(|walk| {
        let owned = |(source, node): (&str, Option<&str>)| {
            (source.to_owned(), node.unwrap_or_default().to_owned())
        };
        walk.accused().map(owned).collect()
    });
    expect.differences(&Said {
        verdict: &report.verdict,
        ran_on: report.ran_on.as_ref(),
        explained_by: &explained_by,
        previews: &previews,
        sources: sources.as_deref(),
    })
}
