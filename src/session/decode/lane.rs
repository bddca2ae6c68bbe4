//! One target over all steps: runs each step on the target's own state, and judges it.

use super::moment::Moment;
use super::{Decoder, Failure, Wanted, sentence};
use crate::decode::{DecodeLane, Plane, RelativeError, Step, relative};
use crate::engine::{Execution, Outcome, RanOn, Session, Target};
use crate::graph::ValueName;
use crate::report::TargetReport;
use crate::session::Evaluator;
use crate::tensor::Tensor;
use crate::verdict::News;
use std::collections::BTreeMap;

/// The feeds of all steps are kept for later walks, up to this many bytes.
const KEPT: usize = 1 << 30;
/// After this many consecutive steps without outputs, the target is not asked again.
const FAILURES: usize = 3;

/// One target over all steps.
pub(super) struct Lane<'a> {
    pub(super) decoder: &'a Decoder<'a>,
    pub(super) target: &'a Target,
    name: String,
    session: Box<dyn Session + 'a>,
    /// The shapes that the session is open on.
    open: Option<Vec<Vec<usize>>>,
    /// The state after the last step; `None` if that step returned none.
    state: Option<Vec<Tensor>>,
    failures: usize,
    ran_on: Option<RanOn>,
    pub(super) steps: Vec<Step>,
    /// The steps as they were fed; `None` where memory did not suffice.
    pub(super) moments: Vec<Option<Moment>>,
    kept: usize,
    /// Whether a wrong step is kept already.
    has_wrong: bool,
}

impl<'a> Lane<'a> {
    pub(super) fn new(
        decoder: &'a Decoder<'a>,
        name: &str,
        target: &'a Target,
        session: Box<dyn Session + 'a>,
    ) -> Self {
        Lane {
            decoder,
            target,
            name: name.to_owned(),
            session,
            open: None,
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
        let execution = self.run(&moment);
        if execution.outcome == Outcome::Interrupted {
            return Ok(());
        }
        let own = match moment.is_same(&wanted.moment) {
            true => None,
            false if execution.outcome == Outcome::Completed => {
                Some(self.decoder.wanted(moment.clone())?)
            }
            false => None,
        };
        let own = own.as_ref().unwrap_or(wanted);
        let outputs: BTreeMap<ValueName, Tensor> = execution
            .outputs
            .iter()
            .map(|output| (output.name.clone(), output.tensor.clone()))
            .collect();
        let report = self.judge(own, execution);
        self.ran_on = report.ran_on.clone().or(self.ran_on.take());
        self.failures = if report.outcome == Outcome::Completed { 0 } else { self.failures + 1 };
        self.record(lent, &moment, &report, (wanted, own), &outputs);
        self.keep(moment, report.verdict.kind.news() == News::Bad);
        self.state = self.decoder.interface.state_after(&outputs);
        Ok(())
    }

    fn run(&mut self, moment: &Moment) -> Execution {
        let request = moment.request(self.decoder.deadline);
        let shapes = moment.shapes();
        let is_open = self.open.as_ref() == Some(&shapes);
        let execution = match is_open {
            true => self.session.next(&request),
            false => self.session.execute(&request),
        };
        self.open = (execution.outcome == Outcome::Completed).then_some(shapes);
        execution
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
        Evaluator::new(request, decoder.registry, &own.reference, decoder.settings.clone())
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
        self.steps.push(Step {
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
