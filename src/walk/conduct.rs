//! One complete walk: a tapped run, a second tapped run, and untapped runs as proof.

use super::contract::{Announce, Candidate, Executed, Operand, OperatorReference};
use super::error_summary::{ErrorSummary, error_summary};
use super::fingerprint::Fingerprint;
use super::follow::Follow;
use super::measured::MeasuredOp;
use super::reference_thread::ReferenceThread;
use super::role::{Role, assign_roles, is_accused};
use super::rounding_floor::StorageCensus;
use super::trace::{Trace, Trust};
use crate::engine::{Output, Runs, same_bytes};
use crate::tensor::Format;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

/// How many operators may wait for the reference while the candidate runs on. Each holds its tensors.
const AHEAD: usize = 1;

/// The results of one walk.
#[derive(Debug)]
pub struct Walked {
    /// Every operator's measurements.
    pub trace: Trace,
    /// The evidence for and against the measurements.
    pub trust: Trust,
    /// The untapped runs.
    pub runs: Runs,
    /// The candidate's outputs from its first run. If taps disturb them, the outputs of the first untapped run.
    pub candidate: Vec<Output>,
    /// The outputs of the reference's clean stream.
    pub clean: Vec<Output>,
}

/// Receives the first tapped run's measurements as soon as that run is over. They stay valid even if the runs that
/// should prove them fail.
pub type Traced<'a> = dyn FnMut(&Trace) + 'a;

/// Walks a candidate together with a reference. `declared` holds the candidate's declared storage format.
///
/// # Errors
/// Returns the reason if the candidate or the reference refused to run.
pub fn conduct(
    candidate: &mut dyn Candidate,
    reference: &ReferenceThread,
    declared: StorageCensus,
    repeats: usize,
    announce: &mut Announce<'_>,
    traced: &mut Traced<'_>,
) -> Result<Walked, String> {
    let mut first = Vec::new();
    let (measured, mut storage, tapped) =
        watched_run(candidate, reference, declared, announce, &mut |executed| {
            first.push(fingerprints(executed));
        })?;
    let trace = Trace { measured, storage, final_half: None };
    traced(&trace);
    let mut measured = trace.measured;
    let found = sources(&measured, storage);
    let (mut first_unstable, again) =
        second_run(candidate, reference, declared, announce, &first, &mut measured)?;
    let mut untapped = Vec::new();
    let mut seconds = Vec::new();
    for _ in 0..repeats.max(1) {
        let started = Instant::now();
        untapped.push(candidate.run(announce)?);
        seconds.push(started.elapsed().as_secs_f64());
    }
    let repeated = untapped.windows(2).all(|pair| same_bytes(&pair[0], &pair[1]));
    let is_stable = first_unstable.is_none() && same_bytes(&tapped, &again);
    let clean = reference.ask(|reference| reference.complete()).wait()?;

    let mut trust = Trust {
        candidate_runs: untapped.len() + 2,
        disturbed_by_taps: false,
        repeats: untapped.len(),
        identical: repeated && is_stable,
        first_unstable: None,
        reproduced: (1 + usize::from(sources(&measured, storage) == found), 2),
    };
    if trust.identical && !same_bytes(&tapped, &untapped[0]) {
        // Either the taps change the result, or one of the runs has a different result.
        candidate.reopen()?;
        trust.candidate_runs += 1;
        trust.identical = same_bytes(&candidate.run(announce)?, &untapped[0]);
        trust.disturbed_by_taps = trust.identical;
    }
    if !trust.identical && first_unstable.is_none() {
        (measured, storage, first_unstable) = unstable(candidate, reference, declared, announce)?;
        trust.candidate_runs += 2;
    }
    trust.first_unstable = first_unstable;
    let runs =
        Runs { repeats: untapped.len(), identical: trust.identical, open_seconds: 0.0, seconds };
    let trace = Trace { measured, storage, final_half: worst(&clean, &reference.half_outputs()?) };
    let candidate = if trust.disturbed_by_taps { untapped.swap_remove(0) } else { tapped };
    Ok(Walked { trace, trust, runs, candidate, clean })
}

/// Runs the candidate a second time with taps. Operators that repeat their bytes need no second measurement. Operators
/// with different bytes are measured again, because some faults show in one run only. Returns the first operator with
/// different bytes, and the outputs.
fn second_run(
    candidate: &mut dyn Candidate,
    reference: &ReferenceThread,
    declared: StorageCensus,
    announce: &mut Announce<'_>,
    first: &[Vec<Fingerprint>],
    measured: &mut [MeasuredOp],
) -> Result<(Option<String>, Vec<Output>), String> {
    let (show, shown) = sync_channel(AHEAD);
    let checked = reference.ask(move |reference| {
        let mut follow = Follow::new(reference, declared);
        shown.iter().for_each(|executed| follow.observe_again(&executed));
        Ok(follow.finish())
    });
    let mut changed = Vec::new();
    let mut at = 0;
    let outputs = candidate.run_tapped(announce, &mut |executed| {
        if first.get(at).is_none_or(|first| *first != fingerprints(&executed)) {
            reference.show(&show, executed);
            changed.push(at);
        }
        at += 1;
    })?;
    drop(show);
    let (again, storage) = checked.wait()?;
    let name = again.first().map(|measured| measured.name.clone());
    for (at, again) in changed.into_iter().zip(again) {
        if let Some(first) = measured.get_mut(at) {
            keep_worse(first, again, storage.storage());
        }
    }
    Ok((name, outputs))
}

/// A tapped run's measurements, the storage format that its values show, and its outputs.
type Tapped = (Vec<MeasuredOp>, Format, Vec<Output>);

/// Measures a tapped run, and passes each operator to `watch`.
fn watched_run(
    candidate: &mut dyn Candidate,
    reference: &ReferenceThread,
    declared: StorageCensus,
    announce: &mut Announce<'_>,
    watch: &mut dyn FnMut(&Executed),
) -> Result<Tapped, String> {
    let (show, shown) = sync_channel(AHEAD);
    let checked = reference.ask(move |reference| check(reference, declared, &shown));
    let outputs = candidate.run_tapped(announce, &mut |executed| {
        watch(&executed);
        reference.show(&show, executed);
    })?;
    drop(show);
    let (measured, storage) = checked.wait()?;
    Ok((measured, storage.storage(), outputs))
}

/// Checks the operators of one whole run as the candidate shows them.
fn check(
    reference: &mut dyn OperatorReference,
    declared: StorageCensus,
    shown: &Receiver<Executed>,
) -> Result<(Vec<MeasuredOp>, StorageCensus), String> {
    reference.restart()?;
    let mut follow = Follow::whole(reference, declared);
    shown.iter().for_each(|executed| follow.observe(&executed));
    Ok(follow.finish())
}

fn sources(measured: &[MeasuredOp], storage: Format) -> Vec<String> {
    let roles = assign_roles(measured, storage);
    let sources = measured.iter().zip(roles).filter(|(_, role)| *role == Role::Source);
    sources.map(|(measured, _)| measured.name.clone()).collect()
}

fn worst(reference: &[Output], candidate: &[Output]) -> Option<ErrorSummary> {
    let pairs =
        reference.iter().filter_map(|r| Some((r, candidate.iter().find(|c| c.name == r.name)?)));
    pairs.filter_map(|(r, c)| error_summary(&r.tensor, &c.tensor)).reduce(ErrorSummary::worse)
}

/// Opens the candidate anew and runs it twice with taps. Some faults show only in the first run, and some never in it.
/// Returns the measurements, the storage format, and the first operator whose bytes differ between the two runs.
fn unstable(
    candidate: &mut dyn Candidate,
    reference: &ReferenceThread,
    declared: StorageCensus,
    announce: &mut Announce<'_>,
) -> Result<(Vec<MeasuredOp>, Format, Option<String>), String> {
    candidate.reopen()?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let (mut measured, storage, _) =
        watched_run(candidate, reference, declared, announce, &mut |executed| {
            first.push((executed.operator.name.clone(), fingerprints(executed)));
        })?;
    let (again, _, _) = watched_run(candidate, reference, declared, announce, &mut |executed| {
        second.push(fingerprints(executed));
    })?;
    let differing = first.into_iter().zip(second).find(|((_, a), b)| a != b);
    measured.iter_mut().zip(again).for_each(|(first, again)| keep_worse(first, again, storage));
    Ok((measured, storage, differing.map(|((name, _), _)| name)))
}

/// Keeps the measurement that accuses the operator, because some faults show in only one of two runs.
fn keep_worse(first: &mut MeasuredOp, again: MeasuredOp, storage: Format) {
    if !is_accused(first, storage) && is_accused(&again, storage) {
        // The errors of earlier operators are known only from the first run.
        let known = (first.cumulative, first.inherited, first.conversion, first.kernel);
        *first = again;
        (first.cumulative, first.inherited, first.conversion, first.kernel) = known;
    }
}

/// The fingerprints of an operator's inputs and outputs: an output that is right on one input may be wrong on others.
fn fingerprints(executed: &Executed) -> Vec<Fingerprint> {
    let read = executed.inputs.iter().filter_map(|input| match input {
        Operand::Value(tensor) => Some(tensor),
        Operand::Constant | Operand::Unreadable(_) => None,
    });
    read.chain(executed.outputs.iter().flatten()).map(Fingerprint::of).collect()
}
