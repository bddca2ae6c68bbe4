//! One lane of a run over a data set: a session that keeps its network open from input to input.

use super::agree_inputs::GivenInput;
use crate::agree::{Position, Record};
use crate::engine::{EngineSession, Execution, OpenSession, Outcome, RanOn, Request};
use crate::graph::Model;
use crate::inputs::{Feed, Sample};
use crate::tensor::Digest;
use std::time::Duration;

/// After this many consecutive refusals to open the network, the runner does not try again.
const REFUSALS: usize = 3;

/// One input, identical for every lane.
pub(super) struct Input<'i> {
    pub(super) model: &'i Model,
    pub(super) feeds: &'i [Feed],
    pub(super) repeats: usize,
    pub(super) deadline: Duration,
}

/// The reference, or one target.
pub(super) struct Runner<'e> {
    session: OpenSession<'e>,
    /// The last run of a text, for its other tokens.
    last: Option<(Vec<Digest>, Execution)>,
    refusals: Vec<(Outcome, Option<String>)>,
}

/// The result of one input.
pub(super) struct InputRun {
    pub(super) execution: Execution,
    /// Whether the session opened the network for this input.
    opened: bool,
}

impl<'e> Runner<'e> {
    /// Creates the runner. The session opens the network at the first input.
    pub(super) fn new(session: Box<dyn EngineSession + 'e>) -> Self {
        Runner { session: OpenSession::new(session), last: None, refusals: Vec::new() }
    }

    /// Runs one input, unless the input is `deadly`: then it has ended this command too often.
    pub(super) fn run(&mut self, input: &Input<'_>, given: &GivenInput, deadly: bool) -> InputRun {
        if deadly {
            let reason =
                "this command ended each time it ran this input, so it was not started again";
            let execution = Execution::without_outputs(Outcome::Crashed, reason);
            return InputRun { execution, opened: false };
        }
        if let [.., (outcome, reason)] = self.refusals.as_slice()
            && self.refusals.len() >= REFUSALS
        {
            let execution =
                Execution::without_outputs(*outcome, reason.clone().unwrap_or_default());
            return InputRun { execution, opened: false };
        }
        if given.token.is_none() {
            return self.really_run(input);
        }
        let fed: Vec<Digest> = input.feeds.iter().map(|feed| feed.digest.clone()).collect();
        let (mut whole, opened) = match self.last.take().filter(|(known, _)| *known == fed) {
            Some((_, whole)) => (whole, false),
            None => {
                let ran = self.really_run(input);
                (ran.execution, ran.opened)
            }
        };
        let all = std::mem::take(&mut whole.outputs);
        let execution = Execution { outputs: given.counted(&all), ..whole.clone() };
        whole.outputs = all;
        self.last = Some((fed, whole));
        InputRun { execution, opened }
    }

    fn really_run(&mut self, input: &Input<'_>) -> InputRun {
        let Input { model, feeds, repeats, deadline } = *input;
        let request = Request { model, feeds, repeats, deadline };
        let opened = !self.session.is_open_for(feeds);
        InputRun { execution: self.session.run(&request), opened }
    }

    /// Notes how an input ended, in this command or in the previous one.
    pub(super) fn remember(&mut self, record: &Record) {
        match record.outcome {
            Outcome::Rejected | Outcome::FellBack | Outcome::Unavailable => {
                if self.refusals.len() < REFUSALS {
                    self.refusals.push((record.outcome, record.reason.clone()));
                }
            }
            Outcome::Completed | Outcome::Crashed | Outcome::TimedOut | Outcome::Interrupted => {
                self.refusals.clear()
            }
        }
    }
}

impl InputRun {
    /// The record, without measurements.
    pub(super) fn record(&self, position: Position, sample: &Sample) -> Record {
        let Execution { outcome, reason, ran_on, runs, .. } = &self.execution;
        let digests = sample.feeds.iter().map(|feed| feed.digest.to_string());
        let digests: Vec<String> = digests.collect();
        let runs = runs.as_ref().filter(|runs| runs.repeats > 1);
        Record {
            input: position.input,
            id: sample.id.clone(),
            outcome: *outcome,
            reason: reason.clone(),
            digest: position
                .target
                .is_none()
                .then(|| Digest::of(digests.iter().map(String::as_bytes))),
            ran_on: ran_on.clone().filter(|_| self.opened).map(quiet),
            label: sample.label,
            identical: runs.map(|runs| runs.identical),
            measured: None,
            expected: None,
            target: position.target,
        }
    }
}

/// Trims zeros and blanks, because drivers pad their names with them.
fn quiet(ran_on: RanOn) -> RanOn {
    let trim = |text: String| text.trim_matches(['\0', ' ']).to_owned();
    RanOn { device: trim(ran_on.device), driver: trim(ran_on.driver), ..ran_on }
}
