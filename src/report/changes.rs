//! What changed between two reports on the same network: verdicts, sources, errors of outputs.

use super::document::{Report, TargetReport};
use super::text::wrapped;
use std::collections::BTreeSet;

/// A change by at least this factor in an output's error is listed. Less is the noise of other feeds and drivers.
const FACTOR: f64 = 2.0;

/// The changes from one report to another, a line each.
pub fn changes_between(before: &Report, after: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if before.model.digest != after.model.digest {
        lines.push(format!(
            "the network differs: `{}` and `{}`",
            before.model.path, after.model.path
        ));
    }
    for (at, target) in before.targets.iter().enumerate() {
        match same_target(after, target, at) {
            Some(other) => lines.extend(changed_target(target, other)),
            None => lines.push(format!("{}: only in the first report", target.target)),
        }
    }
    let new = after.targets.iter().enumerate();
    let new = new.filter(|(at, target)| same_target(before, target, *at).is_none());
    lines.extend(new.map(|(_, target)| format!("{}: only in the second report", target.target)));
    lines
}

/// The changes as text.
pub fn changes_text(lines: &[String], width: usize) -> String {
    match lines.is_empty() {
        true => "no change\n".to_owned(),
        false => lines.iter().map(|line| wrapped(line, width)).collect(),
    }
}

/// The same target in another report. A target that several strategies walked is there several times.
fn same_target<'r>(
    report: &'r Report,
    target: &TargetReport,
    at: usize,
) -> Option<&'r TargetReport> {
    let strategy = |target: &TargetReport| target.walk.as_ref().map(|walk| walk.strategy);
    let same = |other: &&TargetReport| other.target == target.target;
    let exact = |other: &&TargetReport| same(other) && strategy(other) == strategy(target);
    let targets = || report.targets.iter();
    let alone = || report.targets.get(at).filter(|_| report.targets.len() == 1);
    targets().find(exact).or_else(|| targets().find(same)).or_else(alone)
}

fn changed_target(before: &TargetReport, after: &TargetReport) -> Vec<String> {
    let name = match before.target == after.target {
        true => before.target.clone(),
        false => format!("{} and {}", before.target, after.target),
    };
    let mut lines = Vec::new();
    if before.verdict.kind != after.verdict.kind {
        lines.push(format!("{name}: {} before, {} now", before.verdict.kind, after.verdict.kind));
    }
    let version = |target: &TargetReport| {
        let on = target.ran_on.as_ref()?;
        Some(format!("{} {} on {}", on.engine, on.engine_version, on.device.replace('\0', "")))
    };
    if let (Some(old), Some(new)) = (version(before), version(after))
        && old != new
    {
        lines.push(format!("{name}: {old} before, {new} now"));
    }
    lines.extend(changed_sources(&name, before, after));
    lines.extend(changed_outputs(&name, before, after));
    lines
}

fn changed_sources(name: &str, before: &TargetReport, after: &TargetReport) -> Vec<String> {
    let sources = |target: &TargetReport| {
        let walk = target.walk.iter();
        walk.flat_map(|walk| walk.sources.iter().cloned()).collect::<BTreeSet<String>>()
    };
    let (old, new) = (sources(before), sources(after));
    let gone = old.difference(&new).map(|op| format!("{name}: `{op}` introduces error no more"));
    let come = new.difference(&old).map(|op| format!("{name}: `{op}` now introduces error"));
    gone.chain(come).collect()
}

fn changed_outputs(name: &str, before: &TargetReport, after: &TargetReport) -> Vec<String> {
    let mut lines = Vec::new();
    for old in &before.outputs {
        let Some(new) = after.outputs.iter().find(|new| new.name == old.name) else { continue };
        let (Some(a), Some(b)) = (&old.comparison, &new.comparison) else { continue };
        let (low, high) = (a.rel_l2.min(b.rel_l2), a.rel_l2.max(b.rel_l2));
        if high > FACTOR * low || old.agreement != new.agreement {
            lines.push(format!(
                "{name}: output `{}` is off by {:.1e}, before {:.1e} (relative L2)",
                old.name, b.rel_l2, a.rel_l2
            ));
        }
    }
    lines
}
