//! Cutting: truncates the network at one position after the other, until agreement turns into divergence. This
//! classical method needs no taps, so taps cannot cause what it observes.
//!
//! The search also works for a crash, a hang or a refusal. Then "diverges" means "ends as the whole network does".

use super::conclude::conclude;
use super::error_summary::{ErrorSummary, error_summary};
use super::follow::Follow;
use super::journal::{Known, SearchJournal};
use super::line::Line;
use super::measured::MeasuredOp;
use super::node_reference::operators;
use super::role::{Role, assign_roles};
use super::rounding_floor::{FLOOR_FACTOR, StorageCensus, floor, round_to_f16};
use super::search::{Answer, Turn, find_turn};
use super::strategy::Strategy;
use super::stream::Stream;
use super::sweep::sweep;
use super::task::{Alone, SearchTask};
use super::trace::{Confirmation, Probe, Trace, Trust, WalkReport};
use crate::engine::{Execution, Outcome, Request};
use crate::graph::{Cut, ValueName};
use crate::tensor::{Format, Tensor};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Bisects the network on one target. The returned execution is the whole network's.
///
/// # Errors
/// Returns the reason if the reference refuses.
pub fn cut(
    task: &mut SearchTask<'_>,
    names: &BTreeMap<String, String>,
    journal: &mut SearchJournal<Probe>,
) -> Result<(Execution, Option<WalkReport>), String> {
    let whole = task.run_whole();
    if matches!(whole.outcome, Outcome::FellBack | Outcome::Unavailable | Outcome::Interrupted) {
        return Ok((whole, None));
    }
    let mut bisection = Bisection::new(task, journal)?;
    let found = match bisection.judge_whole(&whole)? {
        Answer::Diverges => {
            let turn = bisection.search()?;
            match bisection.nothing_judged() {
                // No truncation could be run, so the remaining position has no meaning.
                true => None,
                false => bisection.confirm(&turn)?,
            }
        }
        Answer::Agrees => bisection.look_for_absorbed()?,
        Answer::Unknown => None,
    };
    let interrupted = bisection.is_interrupted();
    // An interrupted run proves no finding.
    let mut report = bisection.report(found.filter(|_| !interrupted), names);
    report.interrupted = interrupted;
    if !interrupted {
        bisection.journal.finish();
    }
    Ok((whole, Some(report)))
}

struct Bisection<'t, 'a> {
    task: &'t mut SearchTask<'a>,
    journal: &'t mut SearchJournal<Probe>,
    line: Line,
    exact: Stream,
    /// The same network on an honest backend with the target's storage, if that is not `f32`.
    honest: Option<Stream>,
    labels: Vec<String>,
    goal: Outcome,
    probes: Vec<Probe>,
    runs: usize,
}

impl<'t, 'a> Bisection<'t, 'a> {
    fn new(
        task: &'t mut SearchTask<'a>,
        journal: &'t mut SearchJournal<Probe>,
    ) -> Result<Self, String> {
        let steps = task.steps()?;
        let line = Line::of(&steps, task.model.outputs());
        let labels = operators(&steps).into_iter().map(|operator| operator.name).collect();
        let exact = Stream::new(steps, task.feeds, Tensor::clone)?;
        let honest = match task.storage() {
            Format::F32 => None,
            // Computed in `f16`: `floor` scales the error to the format.
            Format::F16 | Format::Bf16 | Format::Tf32 => {
                Some(Stream::new(task.steps()?, task.feeds, round_to_f16)?)
            }
        };
        Ok(Bisection {
            task,
            journal,
            line,
            exact,
            honest,
            labels,
            goal: Outcome::Completed,
            probes: Vec::new(),
            runs: 1,
        })
    }

    fn last(&self) -> usize {
        self.labels.len().saturating_sub(1)
    }

    /// Judges the end of the line: does the whole network diverge at all?
    fn judge_whole(&mut self, whole: &Execution) -> Result<Answer, String> {
        self.goal = whole.outcome;
        let values = self.task.model.outputs().to_vec();
        let mut probe = self.blank(self.last(), values);
        self.answer(&mut probe, whole)?;
        let answer = probe.answer;
        self.probes.push(probe);
        Ok(answer)
    }

    /// Whether truncations were tried and none of them could be judged.
    fn nothing_judged(&self) -> bool {
        let truncations = self.probes.get(1..).unwrap_or_default();
        !truncations.is_empty() && truncations.iter().all(|probe| probe.answer == Answer::Unknown)
    }

    fn is_interrupted(&self) -> bool {
        (self.task.interrupted)()
    }

    fn search(&mut self) -> Result<Turn, String> {
        let line = self.line.clone();
        // The search asks about all positions of one start, so their widths are counted once.
        let widths = RefCell::new((0, line.widths(0)));
        let is_single = |start: usize, at: usize| {
            let mut known = widths.borrow_mut();
            if known.0 != start {
                *known = (start, line.widths(start));
            }
            known.1.get(at) == Some(&1)
        };
        let mut broken = None;
        let turn = find_turn(self.last(), &is_single, &mut |start, at| {
            if broken.is_some() {
                return Answer::Unknown;
            }
            self.probe(start, at).unwrap_or_else(|error| {
                broken = Some(error);
                Answer::Unknown
            })
        });
        broken.map_or(Ok(turn), Err)
    }

    fn probe(&mut self, start: usize, at: usize) -> Result<Answer, String> {
        if self.is_interrupted() {
            return Ok(Answer::Unknown);
        }
        let values = self.line.alive(start, at);
        if values.is_empty() {
            return Ok(Answer::Agrees);
        }
        let mut probe = self.blank(at, values);
        let key = format!("{at}: {}", listed(&probe.values));
        match self.journal.known(&key) {
            Known::Done(known) => probe = Probe { resumed: true, ..known },
            Known::Interrupted => {
                probe.reason = Some("an earlier command ended while it ran".into());
                probe.resumed = true;
            }
            Known::New => {
                self.journal.start(&key);
                self.run(&mut probe)?;
                if self.is_interrupted() {
                    self.journal.withdraw(&key);
                    return Ok(Answer::Unknown);
                }
                self.journal.done(&key, &probe);
            }
        }
        let answer = probe.answer;
        self.probes.push(probe);
        if answer == Answer::Agrees {
            self.keep(at)?;
        }
        Ok(answer)
    }

    fn run(&mut self, probe: &mut Probe) -> Result<(), String> {
        let text = format!("cut {} after {}", self.runs, probe.node);
        (self.task.announce)(&text);
        let cut = Cut { to: probe.values.clone(), ..Cut::default() };
        match self.task.model.cut(&cut) {
            Err(error) => {
                probe.reason = Some(format!("the network cannot be cut there: {error}"));
                Ok(())
            }
            Ok(part) => {
                self.runs += 1;
                let execution = self.task.run_part(&part);
                self.answer(probe, &execution)
            }
        }
    }

    /// Judges a truncation by its execution.
    fn answer(&mut self, probe: &mut Probe, execution: &Execution) -> Result<(), String> {
        if execution.outcome != Outcome::Completed {
            let reason = execution.reason.clone().unwrap_or_default();
            probe.reason = Some(format!("{}: {reason}", execution.outcome));
            probe.answer =
                if execution.outcome == self.goal { Answer::Diverges } else { Answer::Unknown };
            return Ok(());
        }
        let found = self.measure(probe, execution)?;
        probe.answer = match found {
            // The truncation completed, and the whole network does not.
            _ if self.goal != Outcome::Completed => Answer::Agrees,
            None => Answer::Unknown,
            // Integers and booleans are not rounded.
            Some(_) if probe.inexact > 0 => Answer::Diverges,
            Some(error_summary) if is_right(&error_summary, probe.floor, self.task.storage()) => {
                Answer::Agrees
            }
            Some(_) => Answer::Diverges,
        };
        Ok(())
    }

    /// The worst output's error against the reference, recorded in the probe with its floor.
    fn measure(
        &mut self,
        probe: &mut Probe,
        execution: &Execution,
    ) -> Result<Option<ErrorSummary>, String> {
        self.exact.go_to(probe.at + 1)?;
        if let Some(honest) = &mut self.honest {
            honest.go_to(probe.at + 1)?;
        }
        let (mut worst, mut cost): (Option<ErrorSummary>, Option<ErrorSummary>) = (None, None);
        for name in &probe.values {
            let expected = self.exact.value(name)?;
            let found = execution.outputs.iter().find(|output| output.name == *name);
            // An engine may hold a value inside with more axes of length 1, or fewer.
            let shaped = found.map(|found| {
                found.tensor.in_shape_of(&expected).unwrap_or_else(|| found.tensor.clone())
            });
            let Some(found) = shaped.and_then(|found| error_summary(&expected, &found)) else {
                probe.reason = Some(format!("{name} cannot be compared"));
                return Ok(None);
            };
            if !expected.dtype().is_float() {
                probe.inexact += found.mismatched;
            }
            worst = Some(worst.map_or(found, |worst| worst.worse(found)));
            if let Some(honest) = &self.honest {
                let honest = error_summary(&expected, &honest.value(name)?);
                cost = cost.into_iter().chain(honest).reduce(ErrorSummary::worse);
            }
        }
        probe.cumulative = worst.map(|error_summary| error_summary.rel_l2);
        probe.disagreeing = worst.map_or(0, |error_summary| error_summary.disagreeing);
        probe.floor = self.honest.as_ref().map(|_| floor(self.task.storage(), cost));
        Ok(worst)
    }

    fn keep(&mut self, at: usize) -> Result<(), String> {
        for stream in std::iter::once(&mut self.exact).chain(&mut self.honest) {
            stream.go_to(at + 1)?;
            stream.keep();
        }
        Ok(())
    }

    fn blank(&self, at: usize, values: Vec<ValueName>) -> Probe {
        let node = self.labels.get(at).cloned().unwrap_or_default();
        Probe {
            at,
            node,
            values,
            answer: Answer::Unknown,
            reason: None,
            cumulative: None,
            disagreeing: 0,
            inexact: 0,
            floor: None,
            resumed: false,
        }
    }

    /// If the whole network agrees, it may have absorbed errors on the way. One run shows them.
    fn look_for_absorbed(&mut self) -> Result<Option<Found>, String> {
        let at = self.last();
        let found = self.in_place(at)?;
        Ok(found.map(|measured| (measured, at, Confirmation::InPlace)))
    }

    /// One run with every value up to a position as an output. `None` if the run shows no source.
    fn in_place(&mut self, at: usize) -> Result<Option<Vec<MeasuredOp>>, String> {
        self.runs += 1;
        let Ok(mut measured) = sweep(self.task, at)? else { return Ok(None) };
        let roles = assign_roles(&measured, self.task.storage());
        let first = roles.iter().position(|role| *role == Role::Source);
        let Some(first) = first else { return Ok(None) };
        let alone = self.alone(measured[first].index)?;
        measured[first].conversion = self.conversion_in_place(&alone);
        Ok(Some(measured))
    }

    /// Proves the finding in one run with every value on the way as an output, or else alone.
    fn confirm(&mut self, turn: &Turn) -> Result<Option<Found>, String> {
        if self.is_interrupted() {
            return Ok(None);
        }
        let at = turn.first_bad;
        if self.goal == Outcome::Completed
            && let Some(measured) = self.in_place(at)?
        {
            return Ok(Some((measured, at, Confirmation::InPlace)));
        }
        let (measured, confirmation) = self.confirm_alone(at)?;
        Ok(Some((measured, at, confirmation)))
    }

    /// The node at a position alone. The position may precede all positions that the streams keep.
    fn alone(&self, at: usize) -> Result<Alone, String> {
        let mut steps = self.task.steps()?;
        steps.start(self.task.feeds)?;
        for step in 0..at {
            steps.advance(step, &Tensor::clone)?;
        }
        let operator = operators(&steps).swap_remove(at);
        Alone::of(&steps, at, operator)
    }

    /// Runs the node alone. If the node agrees, runs the truncation again.
    fn confirm_alone(&mut self, at: usize) -> Result<(Vec<MeasuredOp>, Confirmation), String> {
        let alone = self.alone(at)?;
        (self.task.announce)(&format!("{} by itself", self.labels[at]));
        self.runs += 1;
        let executed = alone.run(self.task.session.as_mut(), self.task.deadline);
        let ended_alike = executed.as_ref().is_err_and(|reason| {
            self.goal != Outcome::Completed && reason.starts_with(self.goal.name())
        });
        let failed = executed.as_ref().err().cloned();
        let executed = executed.unwrap_or_else(|reason| alone.not_run(&reason));
        let mut reference = self.task.reference()?;
        let mut follow = Follow::new(&mut reference, StorageCensus::new(self.task.storage()));
        follow.observe(&executed);
        let (mut measured, _) = follow.finish();
        if let Some(first) = measured.first_mut() {
            first.conversion = self.conversion(&alone);
        }
        let is_source = assign_roles(&measured, self.task.storage()).contains(&Role::Source);
        let confirmation = match failed {
            _ if is_source || ended_alike => Confirmation::Alone,
            Some(reason) => Confirmation::NotRun { reason },
            None => self.confirm_in_context(at)?,
        };
        Ok((measured, confirmation))
    }

    /// The error of the engine's own CPU against the reference at the node, with the network truncated after it. A
    /// converter may replace several nodes by one operator that equals none of them.
    fn conversion_in_place(&mut self, alone: &Alone) -> Option<ErrorSummary> {
        let companion = self.task.companion.as_mut()?;
        let to = alone.writes().iter().map(|name| ValueName::from(name.as_str())).collect();
        let part = self.task.model.cut(&Cut { to, ..Cut::default() }).ok()?;
        let (model, feeds, deadline) = (&part, self.task.feeds, self.task.deadline);
        let execution = companion.execute(&Request { model, feeds, repeats: 1, deadline });
        let summaries = execution.outputs.iter().filter_map(|output| {
            let at = alone.writes().iter().position(|name| *name == output.name.as_str())?;
            error_summary(&alone.expected[at], &output.tensor)
        });
        summaries.reduce(ErrorSummary::worse)
    }

    /// The error of the engine's own CPU against the reference on the same node.
    fn conversion(&mut self, alone: &Alone) -> Option<ErrorSummary> {
        let companion = self.task.companion.as_mut()?;
        let executed = alone.run(companion.as_mut(), self.task.deadline).ok()?;
        let summaries = alone.expected.iter().zip(executed.outputs.iter().flatten());
        summaries
            .filter_map(|(expected, found)| error_summary(expected, found))
            .reduce(ErrorSummary::worse)
    }

    fn confirm_in_context(&mut self, at: usize) -> Result<Confirmation, String> {
        if at == self.last() {
            return Ok(Confirmation::LostWhenTruncated);
        }
        let found = self.probes.iter().find(|probe| probe.at == at).cloned();
        let Some(mut probe) = found else { return Ok(Confirmation::LostWhenTruncated) };
        self.run(&mut probe)?;
        Ok(match probe.answer {
            Answer::Diverges => Confirmation::OnlyInContext,
            Answer::Agrees | Answer::Unknown => Confirmation::LostOnRepetition,
        })
    }

    fn report(&mut self, found: Option<Found>, names: &BTreeMap<String, String>) -> WalkReport {
        let (measured, at, confirmation) = match found {
            Some((measured, at, confirmation)) => (measured, Some(at), Some(confirmation)),
            None => (Vec::new(), None, None),
        };
        let proven = !matches!(
            confirmation,
            Some(Confirmation::LostOnRepetition | Confirmation::LostWhenTruncated)
        );
        let trust = Trust {
            candidate_runs: self.runs,
            disturbed_by_taps: false,
            repeats: 1,
            identical: true,
            first_unstable: None,
            reproduced: (1 + usize::from(proven), 2),
        };
        let trace = Trace { measured, storage: self.task.storage(), final_half: None };
        let mut report = conclude(Strategy::Cut, &trace, &trust, names);
        report.ops_total = self.labels.len();
        report.final_floor = self.probes.first().and_then(|whole| whole.floor);
        if confirmation != Some(Confirmation::InPlace) {
            report.first_divergent = at.map(|at| self.labels[at].clone());
            let sources = report.first_divergent.iter().filter(|_| proven);
            report.sources = sources.cloned().collect();
        }
        report.confirmation = confirmation;
        report.probes = std::mem::take(&mut self.probes);
        report
    }
}

/// The measured steps, the position of the turn, and the confirmation.
type Found = (Vec<MeasuredOp>, usize, Confirmation);

/// Whether the storage allows an error, or the error is near an honest backend's with that storage.
pub fn is_honest(measured: &ErrorSummary, honest: Option<ErrorSummary>, storage: Format) -> bool {
    is_right(measured, Some(floor(storage, honest)), storage)
}

fn is_right(error_summary: &ErrorSummary, floor: Option<f64>, storage: Format) -> bool {
    // In f32 a norm hides single wrong elements, so the tolerance alone decides.
    let honest = storage != Format::F32
        && floor.is_some_and(|floor| error_summary.rel_l2 <= FLOOR_FACTOR * floor);
    error_summary.disagreeing == 0 && (error_summary.is_within(storage) || honest)
}

fn listed(values: &[ValueName]) -> String {
    values.iter().map(ValueName::as_str).collect::<Vec<_>>().join(" ")
}
