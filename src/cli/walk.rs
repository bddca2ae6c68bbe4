//! `offby walk`: finds the operators that introduce error. Is the cause a bug or the storage format?

use super::args::WalkArgs;
use super::place::read_target;
use super::prepare::Prepared;
use super::screen;
use super::walk_dump::walk_dump;
use crate::engine::Target;
use crate::report::{Report, TargetReport, evidence_text, walk_text};
use crate::session::{Evaluator, Failure, Search};
use crate::verdict::{StrategyAgreement, compare_strategies, exit_code};
use crate::walk::{Strategy, WalkReport};

/// Walks, concludes and reports; returns the exit code.
pub(super) fn walk(args: &WalkArgs) -> Result<u8, Failure> {
    if let Some(dump) = &args.got {
        return walk_dump(args, dump);
    }
    let asked: Vec<Target> = args
        .on
        .iter()
        .map(|text| read_target(text, &args.network.place))
        .collect::<Result<_, Failure>>()?;
    can_be_sampled(args, &asked)?;
    let several = args.strategy.strategies();
    if asked.len() > 1 && several.len() > 1 {
        return Err(Failure::new(
            "walk several targets with several strategies",
            "give one --on with --strategy all, or one strategy with several --on",
        ));
    }
    let mut prepared = Prepared::new(&args.network)?.with_finite(args.finite).sampled(args.sample);
    if let Some(layers) = &args.layers {
        prepared = prepared.only(layers)?;
    }
    let progress = screen::progress(args.network.output.quiet);
    progress.set_message(format!("{} (reference)", args.network.reference));
    let reference = prepared.reference()?;
    let session = prepared.session(&reference, &asked);
    prepared.keep(&format!("reference {}", reference.target), session.truth());

    let mut targets = Vec::new();
    let mut strategies: &[Strategy] = &[];
    for target in &asked {
        let walk =
            Walk { prepared: &prepared, session: &session, target, is_alone: asked.len() == 1 };
        if walk.is_reference() {
            targets.push(session.walk_reference()?);
            continue;
        }
        strategies = several;
        for strategy in strategies {
            let announce = |text: &str| progress.set_message(format!("{target}: {text}"));
            targets.push(match strategy {
                Strategy::Cut => walk.search(Search::Cut, announce)?,
                Strategy::Isolate => walk.search(Search::Isolate, announce)?,
                _ => walk.follow(announce)?,
            });
        }
    }
    progress.finish_and_clear();

    let mut report = prepared.report("walk", &reference, targets);
    prepared.remark(&mut report, &session);
    report.strategies = agreement(&report, if asked.len() == 1 { strategies } else { &[] });
    prepared.answer(&report, || {
        let evidence =
            if args.network.output.verbose { evidence_text(&report) } else { String::new() };
        walk_text(&report, args.all, screen::width(), screen::painter()) + &evidence
    })?;
    Ok(exit_code(report.targets.iter().map(|target| target.verdict.kind)))
}

/// Refuses samples of targets that show their operators.
fn can_be_sampled(args: &WalkArgs, asked: &[Target]) -> Result<(), Failure> {
    match asked.iter().find(|target| !target.takes_onnx()) {
        Some(target) if args.sample.is_some() => Err(Failure::new(
            format!("sample the values of {target}: it shows one operator after the other"),
            "leave --sample out: offby holds the values of one operator at a time",
        )),
        _ => Ok(()),
    }
}

fn agreement(report: &Report, strategies: &[Strategy]) -> Option<StrategyAgreement> {
    let walks = report.targets.iter().map(|target| target.walk.as_ref());
    let walks: Vec<(Strategy, Option<&WalkReport>)> =
        strategies.iter().copied().zip(walks).collect();
    (walks.len() > 1).then(|| compare_strategies(&walks))
}

/// One target to walk.
struct Walk<'a> {
    prepared: &'a Prepared<'a>,
    session: &'a Evaluator<'a>,
    target: &'a Target,
    /// Whether no other target is walked.
    is_alone: bool,
}

impl Walk<'_> {
    /// Whether the target is the reference, and no engine exposes its operators.
    fn is_reference(&self) -> bool {
        *self.target == self.session.reference_target()
            && self.prepared.registry.walker(self.target).is_none()
    }

    fn follow(&self, announce: impl Fn(&str)) -> Result<TargetReport, Failure> {
        let Walk { prepared, session, target, is_alone } = self;
        let witness = if *is_alone { "witness".to_owned() } else { format!("{target} witness") };
        let report = session.walk(target, &mut |text| announce(text), &mut |walked| {
            prepared.keep(&target.to_string(), &walked.execution.outputs);
            prepared.keep(&witness, &walked.reference);
        })?;
        self.note_unwritten();
        Ok(report)
    }

    /// Runs a strategy that works from outside, on the ONNX graph.
    fn search(&self, search: Search, announce: impl Fn(&str)) -> Result<TargetReport, Failure> {
        let Walk { session, target, .. } = self;
        let report = session.search(target, search, &mut |text| announce(text))?;
        self.note_unwritten();
        Ok(report)
    }

    fn note_unwritten(&self) {
        let failures = self.session.take_unwritten();
        failures.into_iter().for_each(|failure| self.prepared.note(Err(failure)));
    }
}
