//! `offby walk`: which operators introduce error, and is it a bug or the storage format?

use super::args::{Strategy, WalkArgs};
use super::examine::{Truth, examine, judged_by};
use super::failure::Failure;
use super::place::read_target;
use super::prepare::Prepared;
use super::run::run_reference;
use super::screen;
use super::search::{cut, isolate};
use crate::choice::Source;
use crate::compare::Tolerance;
use crate::engine::{Outcome, Output, Target};
use crate::graph::Model;
use crate::report::{BegunReport, Report, TargetReport, evidence_text, walk_text};
use crate::tensor::Tensor;
use crate::verdict::{StrategyAgreement, compare_strategies, exit_code};
use crate::walk::{Gauge, WalkReport, conclude, gauge};
use crate::worker::{Announced, Walked};
use std::collections::BTreeMap;

/// Walks, concludes, reports; gives the exit code.
pub(super) fn walk(args: &WalkArgs) -> Result<u8, Failure> {
    let target = read_target(&args.on, &args.network.place)?;
    let prepared = Prepared::new(&args.network)?;
    let progress = screen::progress(args.network.output.quiet);
    progress.set_message("tract (reference)");
    let truth = run_reference(&prepared, &Target::Tract)?;

    let strategies: &[Strategy] = match &args.strategy {
        Strategy::All => &[Strategy::Follow, Strategy::Cut, Strategy::Isolate],
        one => std::slice::from_ref(one),
    };
    let source = Source::new(prepared.request(), prepared.registry.engine(&Target::Tract));
    let walk = Walk { prepared: &prepared, target: &target, truth: Truth::of(&truth, &source) };
    let mut targets = Vec::new();
    for strategy in strategies {
        let announce = |text: &str| progress.set_message(format!("{target}: {text}"));
        targets.push(match strategy {
            Strategy::Cut => walk.search(cut, announce)?,
            Strategy::Isolate => walk.search(isolate, announce)?,
            Strategy::Follow | Strategy::All => walk.follow(announce)?,
        });
    }
    progress.finish_and_clear();

    let mut report = prepared.report("walk", &Target::Tract, &truth, targets);
    report.strategies = agreement(&report, strategies);
    prepared.answer(&report, || {
        let evidence =
            if args.network.output.verbose { evidence_text(&report) } else { String::new() };
        walk_text(&report, args.all, screen::width(), screen::painter()) + &evidence
    })?;
    Ok(exit_code(report.targets.iter().map(|target| target.verdict.kind)))
}

fn agreement(report: &Report, strategies: &[Strategy]) -> Option<StrategyAgreement> {
    let walks = report.targets.iter().map(|target| target.walk.as_ref());
    let walks: Vec<(&str, Option<&WalkReport>)> =
        strategies.iter().map(|strategy| strategy.name()).zip(walks).collect();
    (walks.len() > 1).then(|| compare_strategies(&walks))
}

/// One target to walk.
struct Walk<'a> {
    prepared: &'a Prepared<'a>,
    target: &'a Target,
    truth: Truth<'a>,
}

impl Walk<'_> {
    fn follow(&self, announce: impl Fn(&str)) -> Result<TargetReport, Failure> {
        let Walk { prepared, target, .. } = self;
        let engine = prepared.registry.walker(target).ok_or_else(|| not_walkable(target))?;
        announce("opening");
        let walked = engine.walk(&prepared.request(), None, &mut |operator| {
            announce(&format!("{} {} {}", operator.index, operator.op_type, operator.name));
        });
        prepared.keep(&target.to_string(), &walked.execution.outputs);
        prepared.keep("reference", &walked.reference);
        Ok(examine_walked(target, walked, self.truth, prepared.user))
    }

    /// The strategies that work from outside, on the ONNX graph.
    fn search(
        &self,
        strategy: super::search::Search,
        announce: impl Fn(&str),
    ) -> Result<TargetReport, Failure> {
        let Walk { prepared, target, truth } = self;
        let names = node_names(&prepared.model);
        let (execution, walk) = strategy(prepared, target, &names, &mut |text| announce(text))?;
        prepared.keep(&target.to_string(), &execution.outputs);
        prepared.keep("reference tract", truth.outputs);
        Ok(examine(target, execution, *truth, prepared.user, walk))
    }
}

/// A walked target against the reference's clean stream, and that against tract: what is left
/// between the last two is the conversion's doing, not the backend's.
pub(super) fn examine_walked(
    target: &Target,
    walked: Walked,
    truth: Truth<'_>,
    user: Option<Tolerance>,
) -> TargetReport {
    let model = truth.source.model();
    let walk = walked
        .found
        .as_ref()
        .map(|(trace, trust)| conclude("follow", trace, trust, &node_names(model)));
    let mut execution = walked.execution;
    if let (Some(reason), Some(last)) = (&mut execution.reason, &walked.last) {
        let when = if walked.after_last { "in the middle of a message after" } else { "in" };
        let at = format!(", {when} operator {}, {} `{}`", last.index, last.op_type, last.name);
        reason.push_str(&at);
    }
    let is_whole = execution.outcome == Outcome::Completed;
    let conversions: Vec<Conversion> =
        walked.reference.iter().map(|clean| Conversion::of(clean, truth)).collect();
    // Where nothing on the way was compared, as indices are not, the output is all that can be named.
    let changed = conversions.iter().position(|conversion| conversion.is_same == Some(false));
    let held_to = Truth { outputs: &walked.reference, is_same: changed.is_none(), ..truth };
    let mut report = examine(target, execution, held_to, user, walk);
    if !is_whole {
        let begun = walked.begun.into_iter();
        let begun = begun.map(|Announced { index, op_type, name, .. }| BegunReport {
            index,
            op_type,
            name,
        });
        report.begun = begun.collect();
    }
    for (output, conversion) in report.outputs.iter_mut().zip(&conversions) {
        output.conversion = conversion.gauge;
    }
    if let Some(walk) = &mut report.walk {
        let on_the_way = walk.first_converted.take();
        // Names are the converter's: where the end result is tract's, a value that differs on the way
        // is another value under the same name, not another network.
        if !report.outputs.iter().zip(&conversions).all(|(_, found)| found.is_same == Some(true)) {
            let output = changed.map(|at| walked.reference[at].name.to_string());
            walk.first_converted = on_the_way.or(output);
        }
    }
    report
}

/// What the conversion did to an output: how far the walk's own reference is from tract.
struct Conversion {
    gauge: Option<Gauge>,
    /// Whether it is the same network still, where that can be said.
    is_same: Option<bool>,
}

impl Conversion {
    fn of(clean: &Output, truth: Truth<'_>) -> Self {
        let unknown = Conversion { gauge: None, is_same: None };
        let Some(tract) = truth.outputs.iter().find(|output| output.name == clean.name) else {
            return unknown;
        };
        let pair = [&tract.tensor, &clean.tensor];
        let gauge = gauge(pair[0], pair[1]);
        // What one of them chose may be as right as what the other did.
        let chose_alike = || {
            let judging = |fed: &Tensor| judged_by(&Target::Tract, fed.dtype(), None).judging();
            let choice = truth.source.look(&clean.name, pair, judging);
            choice.map(|choice| choice.beyond == 0)
        };
        let is_same = match gauge {
            _ if pair[0] == pair[1] => Some(true),
            Some(gauge) if pair[0].dtype().is_float() => Some(gauge.within_f32),
            gauge => chose_alike().or(gauge.map(|gauge| gauge.mismatched == 0)),
        };
        let within_f32 = is_same == Some(true);
        Conversion { gauge: gauge.map(|gauge| Gauge { within_f32, ..gauge }), is_same }
    }
}

/// The failure of a walk on what shows no operators.
pub(super) fn not_walkable(target: &Target) -> Failure {
    if matches!(target.itself(), Target::Ort(_) | Target::Ext(_)) {
        return Failure::new(
            format!(
                "follow the operators of {target}: it is given the network whole and shows none"
            ),
            "`offby walk` searches it from outside, with --strategy cut or --strategy isolate",
        );
    }
    Failure::new(
        format!("walk {target}: it is the reference"),
        "walk one of MNN's backends, such as mnn:vulkan:low",
    )
}

/// For each ONNX value and node the node's own name.
pub(super) fn node_names(model: &Model) -> BTreeMap<String, String> {
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
