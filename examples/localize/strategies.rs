//! The strategies as `offby walk` runs them: the device in a child process.

use crate::dumps::{self, First};
use crate::plant::Trial;
use offby::engine::{Engine as _, Request, SimTarget};
use offby::graph::Model;
use offby::inputs::Feed;
use offby::walk::{
    OpReport, SearchJournal, SearchTask, Strategy, WalkReport, conclude, cut, isolate,
};
use offby::worker::{SimEngine, Walker as _, WorkerProgram};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The strategies by name.
pub(crate) const STRATEGIES: [&str; 8] =
    ["follow", "cut", "isolate", "dump", "dump-50", "dump-20", "dump-5", "sample"];
/// The strategies that run if no other is asked for.
pub(crate) const USUAL: [&str; 3] = ["follow", "cut", "isolate"];

/// The findings of one strategy.
pub(crate) struct Found {
    /// The labels of the nodes that the strategy names.
    pub(crate) sources: Vec<String>,
    /// Nodes that a norm accuses: their error is more than 16 times the cost of rounding for the whole tensor.
    pub(crate) by_norm: Vec<String>,
    /// The largest error of each node's elements, relative to their bounds.
    pub(crate) weights: Vec<(String, Weight)>,
    /// The strategy's measurement of every node, in words.
    pub(crate) measured: BTreeMap<String, String>,
    /// The number of runs of the candidate.
    pub(crate) runs: usize,
    /// The duration in seconds.
    pub(crate) seconds: f64,
}

/// The largest error of an operator, in bounds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weight {
    pub(crate) op_type: String,
    pub(crate) format: String,
    pub(crate) excess: f64,
}

/// Runs one strategy on a trial.
pub(crate) fn run(
    strategy: &str,
    trial: &Trial,
    model: &Model,
    feeds: &[Feed],
    worker: &WorkerProgram,
) -> Result<Found, String> {
    let started = Instant::now();
    let target = SimTarget { name: trial.device.name.clone(), device: Some(trial.device.clone()) };
    let engine = SimEngine { target, worker: worker.clone() };
    let deadline = Duration::from_secs(60);
    let names = BTreeMap::new();
    let first = match strategy {
        "dump" => Some(First::Share(1.0)),
        "dump-50" => Some(First::Share(0.5)),
        "dump-20" => Some(First::Share(0.2)),
        "dump-5" => Some(First::Share(0.05)),
        "sample" => Some(First::Suspicious(64)),
        _ => None,
    };
    if let Some(first) = first {
        let (report, rounds) = dumps::walk(trial, model, feeds, &first)?;
        return Ok(Found { runs: rounds, ..found(report, started) });
    }
    let report = if strategy == "follow" {
        let request = Request { model, feeds, repeats: 1, deadline };
        let walked = engine.walk(&request, None, &mut |_| ());
        let (trace, trust) =
            walked.found.ok_or_else(|| walked.execution.reason.unwrap_or_default())?;
        conclude(Strategy::Follow, &trace, &trust, &names)
    } else {
        let mut announce = |_: &str| ();
        let mut task = SearchTask {
            second: None,
            model,
            feeds,
            session: engine.session(),
            companion: None,
            arithmetic: trial.device.arithmetic(),
            deadline,
            announce: &mut announce,
            interrupted: Box::new(|| false),
        };
        let (execution, report) = match strategy {
            "cut" => cut(&mut task, &names, &mut SearchJournal::default())?,
            _ => isolate(&mut task, &names, &mut SearchJournal::default())?,
        };
        report.ok_or_else(|| execution.reason.unwrap_or_default())?
    };
    Ok(found(report, started))
}

fn found(report: WalkReport, started: Instant) -> Found {
    let seconds = started.elapsed().as_secs_f64();
    let measured = report.ops.iter().map(|op| (op.name.clone(), in_words(op))).collect();
    let is_accused = |op: &&OpReport| {
        op.introduced_disagreeing > 0 || op.ratio.is_some_and(|ratio| ratio > 16.0)
    };
    let by_norm = report.ops.iter().filter(is_accused).map(|op| op.name.clone()).collect();
    let weight = |op: &OpReport| {
        let found = op.excess.as_ref()?;
        let sums = found.mode.accumulate;
        let format = match sums == found.mode.format || sums.name() == "f32" {
            true => found.mode.format.to_string(),
            false => format!("{}, sums in {sums}", found.mode.format),
        };
        let weight = Weight { op_type: op.op_type.clone(), format, excess: found.excess };
        Some((op.name.clone(), weight))
    };
    let weights = report.ops.iter().filter_map(weight).collect();
    let mut sources = report.sources;
    // A node that differs from run to run is also named.
    sources.extend(report.trust.first_unstable);
    sources.dedup();
    Found { sources, by_norm, weights, measured, runs: report.candidate_runs, seconds }
}

fn in_words(op: &OpReport) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1e}"));
    let excess = op.excess.as_ref().map(|found| found.excess);
    format!(
        "error {}, {} x floor, {} x bound",
        number(op.introduced),
        number(op.ratio),
        number(excess)
    )
}
