//! One walk from its first run to the proof: the tapped run, untapped runs, and the tapped run again.

use super::contract::{Candidate, Executed, Operator, Reference};
use super::floor::{Storage, StorageCensus};
use super::follow::Follow;
use super::gauge::{Gauge, gauge};
use super::role::{Role, assign_roles, is_accused};
use super::trace::{Measured, Trace, Trust};
use crate::engine::{Output, Runs, same_bytes};
use crate::tensor::Digest;
use std::time::Instant;

/// All that a walk found.
#[derive(Debug)]
pub struct Walked {
    /// Every operator's measurements.
    pub trace: Trace,
    /// What speaks for and against them.
    pub trust: Trust,
    /// The untapped runs.
    pub runs: Runs,
    /// The candidate's outputs, from its first run; from its first untapped one where taps disturb it.
    pub candidate: Vec<Output>,
    /// The outputs of the reference's clean stream.
    pub clean: Vec<Output>,
}

/// Told of each operator before it runs.
pub type Announce<'a> = dyn FnMut(usize, &Operator) + 'a;

/// Told what the first tapped run measured as soon as it is over: it stands whatever happens in the runs that
/// are to prove it.
pub type Traced<'a> = dyn FnMut(&Trace) + 'a;

/// Walks a candidate, which declares the format it stores, beside a reference.
///
/// # Errors
/// Why the candidate or the reference refused to run.
pub fn conduct(
    candidate: &mut dyn Candidate,
    reference: &mut dyn Reference,
    declared: StorageCensus,
    repeats: usize,
    announce: &mut Announce<'_>,
    traced: &mut Traced<'_>,
) -> Result<Walked, String> {
    let half = reference.half_outputs()?;
    // Before the untapped runs, as some faults show in the first run only.
    let (measured, mut storage, tapped) = tapped_run(candidate, reference, declared, announce)?;
    let trace = Trace { measured, storage, final_half: None };
    traced(&trace);
    let mut measured = trace.measured;
    let mut untapped = Vec::new();
    let mut seconds = Vec::new();
    for _ in 0..repeats.max(1) {
        let started = Instant::now();
        untapped.push(candidate.run(announce)?);
        seconds.push(started.elapsed().as_secs_f64());
    }
    let mut identical = untapped.windows(2).all(|pair| same_bytes(&pair[0], &pair[1]));
    let clean = reference.complete()?;

    let mut trust = Trust {
        candidate_runs: untapped.len() + 1,
        disturbed_by_taps: false,
        repeats: untapped.len(),
        identical,
        first_unstable: None,
        reproduced: (1, 1),
    };
    if identical && !same_bytes(&tapped, &untapped[0]) {
        // Either the taps change the result, or the first run, or any, has another one.
        candidate.reopen()?;
        trust.candidate_runs += 1;
        identical = same_bytes(&candidate.run(announce)?, &untapped[0]);
        (trust.disturbed_by_taps, trust.identical) = (identical, identical);
    }
    let found = sources(&measured, storage);
    if !found.is_empty() && identical && repeats > 1 {
        // A finding is proven again before it is reported, unless one run is all that was asked for.
        let (again, _, _) = tapped_run(candidate, reference, declared, announce)?;
        trust.candidate_runs += 1;
        trust.reproduced = (1 + usize::from(sources(&again, storage) == found), 2);
    }
    if !identical {
        (measured, storage, trust.first_unstable) =
            unstable(candidate, reference, declared, announce)?;
        trust.candidate_runs += 2;
    }
    let runs = Runs { repeats: untapped.len(), identical, open_seconds: 0.0, seconds };
    let trace = Trace { measured, storage, final_half: worst(&clean, &half) };
    let candidate = if trust.disturbed_by_taps { untapped.swap_remove(0) } else { tapped };
    Ok(Walked { trace, trust, runs, candidate, clean })
}

/// What a tapped run measured, the format its values show, and its outputs.
type Tapped = (Vec<Measured>, Storage, Vec<Output>);

fn tapped_run(
    candidate: &mut dyn Candidate,
    reference: &mut dyn Reference,
    declared: StorageCensus,
    announce: &mut Announce<'_>,
) -> Result<Tapped, String> {
    watched_run(candidate, reference, declared, announce, &mut |_| ())
}

/// The same, each operator shown to somebody else as well.
fn watched_run(
    candidate: &mut dyn Candidate,
    reference: &mut dyn Reference,
    declared: StorageCensus,
    announce: &mut Announce<'_>,
    watch: &mut dyn FnMut(&Executed),
) -> Result<Tapped, String> {
    reference.restart()?;
    let mut follow = Follow::new(reference, declared);
    let outputs = candidate.run_tapped(announce, &mut |executed| {
        follow.observe(executed);
        watch(executed);
    })?;
    let (measured, storage) = follow.finish();
    Ok((measured, storage.storage(), outputs))
}

fn sources(measured: &[Measured], storage: Storage) -> Vec<String> {
    let roles = assign_roles(measured, storage);
    let sources = measured.iter().zip(roles).filter(|(_, role)| *role == Role::Source);
    sources.map(|(measured, _)| measured.name.clone()).collect()
}

fn worst(reference: &[Output], candidate: &[Output]) -> Option<Gauge> {
    let pairs =
        reference.iter().filter_map(|r| Some((r, candidate.iter().find(|c| c.name == r.name)?)));
    pairs.filter_map(|(r, c)| gauge(&r.tensor, &c.tensor)).reduce(Gauge::worse)
}

/// Two tapped runs of a candidate opened anew, for some faults show in the first run only, and some never in it:
/// what they measure, and the first operator whose bytes differ between them.
fn unstable(
    candidate: &mut dyn Candidate,
    reference: &mut dyn Reference,
    declared: StorageCensus,
    announce: &mut Announce<'_>,
) -> Result<(Vec<Measured>, Storage, Option<String>), String> {
    candidate.reopen()?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let (measured, storage, _) =
        watched_run(candidate, reference, declared, announce, &mut |executed| {
            first.push((executed.operator.name.clone(), digest(executed)));
        })?;
    let (again, _, _) = watched_run(candidate, reference, declared, announce, &mut |executed| {
        second.push(digest(executed));
    })?;
    let differing = first.into_iter().zip(second).find(|((_, a), b)| a != b);
    let measured = worse_of(measured, again, storage);
    Ok((measured, storage, differing.map(|((name, _), _)| name)))
}

/// Of two runs the measurement of each operator that accuses it: some faults show in one of them only.
fn worse_of(first: Vec<Measured>, second: Vec<Measured>, storage: Storage) -> Vec<Measured> {
    if first.len() != second.len() {
        return first;
    }
    let worse = |(first, second): (Measured, Measured)| match (
        is_accused(&first, storage),
        is_accused(&second, storage),
    ) {
        (false, true) => second,
        _ => first,
    };
    first.into_iter().zip(second).map(worse).collect()
}

fn digest(executed: &Executed) -> Digest {
    let bytes: Vec<Vec<u8>> =
        executed.outputs.iter().flatten().map(|output| output.to_bytes()).collect();
    Digest::of(bytes.iter().map(Vec::as_slice))
}
