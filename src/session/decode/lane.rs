//! One target over all steps: runs each step on the target's own state, and judges it.

use super::decoder::Decoder;
use super::moment::{Moment, by_name};
use super::sentence;
use super::teacher::{Teacher, Wanted};
use crate::decode::{DecodeLane, DecodeStep, Plane, RelativeError, relative};
use crate::engine::{EngineSession, Execution, OpenSession, Outcome, RanOn, Target};
use crate::graph::ValueName;
use crate::report::TargetReport;
use crate::session::{Evaluator, Failure, Settings};
use crate::tensor::Tensor;
use crate::verdict::News;
use std::collections::BTreeMap;

/// The prompt and the first token have all shapes of the network: in these steps the reference is checked.
const CHECKED: usize = 2;
/// The feeds of all steps are kept for later walks, up to this many bytes.
const KEPT: usize = 1 << 30;
/// After this many consecutive steps without outputs, the target is not asked again.
const FAILURES: usize = 3;

/// One target over all steps.
pub(super) struct LaneRun<'a, 'e> {
    pub(super) decoder: &'a Decoder<'a>,
    pub(super) teacher: &'a Teacher<'e>,
    pub(super) target: &'a Target,
    name: String,
    session: OpenSession<'a>,
    /// The state after the last step; `None` if that step returned none.
    state: Option<Vec<Tensor>>,
    failures: usize,
    ran_on: Option<RanOn>,
    pub(super) steps: Vec<DecodeStep>,
    /// The steps as they were fed; `None` where memory did not suffice.
    pub(super) moments: Vec<Option<Moment>>,
    kept: usize,
    /// Whether a wrong step is kept already.
    has_wrong: bool,
}

impl<'a, 'e> LaneRun<'a, 'e> {
    pub(super) fn new(
        teacher: &'a Teacher<'e>,
        name: &str,
        target: &'a Target,
        session: Box<dyn EngineSession + 'a>,
    ) -> Self {
        let decoder = teacher.decoder;
        LaneRun {
            decoder,
            teacher,
            target,
            name: name.to_owned(),
            session: OpenSession::new(session),
            state: Some(decoder.interface.first_state()),
            failures: 0,
            ran_on: None,
            steps: Vec::new(),
            moments: Vec::new(),
            kept: 0,
            has_wrong: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs the reference's tokens on the target's own state. If the target has none, it gets the reference's.
    pub(super) fn step(&mut self, wanted: &Wanted, before: &[Tensor]) -> Result<(), Failure> {
        if self.failures >= FAILURES {
            return Ok(());
        }
        let lent = self.state.is_none();
        let state = self.state.take().unwrap_or_else(|| before.to_vec());
        let Moment { fed, past, .. } = &wanted.moment;
        let moment = self.decoder.moment(fed, *past, &state)?;
        let execution = self.session.run(&moment.request(self.decoder.deadline));
        if execution.outcome == Outcome::Interrupted {
            return Ok(());
        }
        let own = match moment.is_same(&wanted.moment) {
            true => None,
            false if execution.outcome == Outcome::Completed => {
                Some(self.teacher.wanted(moment.clone())?)
            }
            false => None,
        };
        let own = own.as_ref().unwrap_or(wanted);
        let outputs = by_name(&execution.outputs);
        let report = self.judge(own, execution);
        self.ran_on = report.ran_on.clone().or(self.ran_on.take());
        self.failures = if report.outcome == Outcome::Completed { 0 } else { self.failures + 1 };
        self.record(lent, &moment, &report, (wanted, own), &outputs);
        self.keep(moment, report.verdict.kind.news() == News::Bad);
        self.state = self.decoder.interface.state_after(&outputs);
        Ok(())
    }

    fn judge(&self, own: &Wanted, execution: Execution) -> TargetReport {
        self.evaluator(own).judge_run(self.target, execution)
    }

    /// The judgement of one step, with the reference's outputs for the same feeds.
    pub(super) fn evaluator<'w>(&self, own: &'w Wanted) -> Evaluator<'w>
    where
        'a: 'w,
    {
        let decoder = self.decoder;
        let request = own.moment.request(decoder.deadline);
        let is_checked = self.steps.len() >= CHECKED;
        let settings = Settings { is_checked, ..decoder.settings.clone() };
        Evaluator::new(request, decoder.registry, &own.reference, settings)
    }

    fn record(
        &mut self,
        lent: bool,
        moment: &Moment,
        report: &TargetReport,
        (wanted, own): (&Wanted, &Wanted),
        got: &BTreeMap<ValueName, Tensor>,
    ) {
        let completed = report.outcome == Outcome::Completed;
        let scores = self.decoder.scores(got).filter(|_| completed);
        let rows = |want: &BTreeMap<ValueName, Tensor>| match completed {
            true => self.errors(moment.past, want, got),
            false => Vec::new(),
        };
        self.steps.push(DecodeStep {
            past: moment.past,
            fed: moment.fed.clone(),
            outcome: report.outcome,
            reason: (!completed).then(|| report.verdict.sentence.clone()),
            lent,
            kind: report.verdict.kind,
            sentence: report.verdict.sentence.clone(),
            token: scores.map(|scores| wanted.scores.compare(&scores)),
            introduced: rows(&own.outputs),
            accumulated: rows(&wanted.outputs),
        });
    }

    /// The relative errors of what a step wrote: each state from the step's first position on, and the scores.
    fn errors(
        &self,
        past: usize,
        want: &BTreeMap<ValueName, Tensor>,
        got: &BTreeMap<ValueName, Tensor>,
    ) -> Vec<RelativeError> {
        let interface = self.decoder.interface;
        let states = interface.states.iter().map(|state| {
            let pair = [want, got].map(|outputs| {
                let plane = outputs.get(&state.output).map(|tensor| Plane::of(state, tensor));
                plane.map_or(Vec::new(), |plane| {
                    plane.from(if state.axis.is_some() { past } else { 0 })
                })
            });
            relative(&pair[0], &pair[1])
        });
        let scores = match (self.decoder.scores(want), self.decoder.scores(got)) {
            (Some(want), Some(got)) => relative(want.numbers(), got.numbers()),
            _ => f64::INFINITY,
        };
        states.chain([scores]).map(RelativeError).collect()
    }

    /// Keeps the feeds of a step for later walks: while memory suffices, and always those of the first wrong step.
    fn keep(&mut self, moment: Moment, is_wrong: bool) {
        self.kept += moment.size();
        let is_first = is_wrong && !self.has_wrong;
        self.has_wrong |= is_wrong;
        self.moments.push((self.kept <= KEPT || is_first).then_some(moment));
    }

    /// The lane as saved; parts are filled in by the caller.
    pub(super) fn document(&self) -> DecodeLane {
        let declared = self.target.declared_storage();
        DecodeLane {
            target: self.name.clone(),
            simulated: self.name.starts_with("sim:"),
            ran_on: self.ran_on.clone(),
            declared: declared.map(|format| format.name().to_owned()),
            limit: sentence::limit(declared),
            steps: self.steps.clone(),
            part: None,
            free: None,
            kind: crate::verdict::Kind::Inconclusive,
            sentence: String::new(),
        }
    }
}
