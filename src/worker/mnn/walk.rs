//! One walk from opening to trust: untapped runs, the tapped run, and the same again.

use super::follow::{
    CandidateTap, DigestTap, HalfTap, MnnReference, reference_target, same_outputs,
};
use super::session::{Refusal, Session};
use super::{Stop, fit_shapes, open_as_asked, read_outputs, write_feeds};
use crate::engine::{MnnTarget, Output, RanOn, Runs};
use crate::walk::{
    Follow, Gauge, Measured, Operator, Role, Storage, StorageCensus, Trace, Trust, assign_roles,
    gauge,
};
use crate::worker::host::Send;
use crate::worker::protocol::{Reply, TensorHead, pack, unpack};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One network to walk on one backend.
pub(in crate::worker) struct WalkJob {
    /// The `.mnn` file.
    pub(in crate::worker) model: PathBuf,
    /// The same with 16-bit weights.
    pub(in crate::worker) half_model: PathBuf,
    /// Where to run it.
    pub(in crate::worker) target: MnnTarget,
    /// The tensors in the frame's body.
    pub(in crate::worker) feeds: Vec<TensorHead>,
    /// How often to run it untapped.
    pub(in crate::worker) repeats: usize,
}

/// All that a walk found.
struct Walked {
    trace: Trace,
    trust: Trust,
    runs: Runs,
    ran_on: RanOn,
    candidate: Vec<Output>,
    clean: Vec<Output>,
}

/// Walks and answers.
pub(in crate::worker) fn walk(job: &WalkJob, body: &[u8], send: &mut Send<'_>) -> io::Result<()> {
    super::log::listen();
    match try_walk(job, body, send) {
        Ok(walked) => {
            let named = |outputs: &[Output]| {
                outputs
                    .iter()
                    .map(|output| (output.name.clone(), output.tensor.clone()))
                    .collect::<Vec<_>>()
            };
            let (candidate, clean) = (named(&walked.candidate), named(&walked.clean));
            let (outputs, mut body) = pack(candidate.iter().map(|(name, tensor)| (name, tensor)));
            let (reference, more) = pack(clean.iter().map(|(name, tensor)| (name, tensor)));
            body.extend(more);
            let Walked { trace, trust, runs, ran_on, .. } = walked;
            send(&Reply::Walked { trace, trust, runs, ran_on, outputs, reference }, &body)
        }
        Err(stop) => stop.answer(send),
    }
}

fn try_walk(job: &WalkJob, body: &[u8], send: &mut Send<'_>) -> Result<Walked, Stop> {
    let feeds = unpack(job.feeds.clone(), body).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let (mut candidate, mut ran_on) = open_as_asked(&job.model, &job.target, send)?;
    fit_shapes(&mut candidate, &feeds)?;
    let open_seconds = started.elapsed().as_secs_f64();

    let mut untapped: Vec<Vec<Output>> = Vec::new();
    let mut seconds = Vec::new();
    for _ in 0..job.repeats.max(1) {
        let started = Instant::now();
        write_feeds(&candidate, &feeds)?;
        candidate.run()?;
        untapped.push(read_outputs(&candidate)?);
        seconds.push(started.elapsed().as_secs_f64());
    }
    let identical = untapped.windows(2).all(|pair| same_outputs(&pair[0], &pair[1]));
    let runs = Runs { repeats: untapped.len(), identical, open_seconds, seconds };

    let mut half = open_reference(&job.half_model, &feeds)?;
    let half_outputs = run_half(&mut half)?;
    let follow = open_reference(&job.model, &feeds)?;
    let clean = open_reference(&job.model, &feeds)?;
    let mut reference = MnnReference::new(follow, half, clean)?;

    let (measured, storage) = tapped_run(&mut candidate, &mut reference, &feeds, send)?;
    let storage = storage.storage();
    let tapped = read_outputs(&candidate)?;
    let clean_outputs = read_outputs(reference.clean())?;
    ran_on.operators = count(&measured);
    let mut trust = Trust {
        candidate_runs: untapped.len() + 1,
        disturbed_by_taps: identical && !same_outputs(&tapped, &untapped[0]),
        repeats: untapped.len(),
        identical,
        first_unstable: None,
        reproduced: (1, 1),
    };
    let sources = sources(&measured, storage);
    if !sources.is_empty() {
        // A finding is proven again before it is reported.
        let (again, _) = tapped_run(&mut candidate, &mut reference, &feeds, send)?;
        trust.candidate_runs += 1;
        trust.reproduced = (1 + usize::from(self::sources(&again, storage) == sources), 2);
    }
    if !identical {
        trust.first_unstable = first_unstable(&mut candidate, &feeds)?;
        trust.candidate_runs += 2;
    }
    let final_half = worst(&clean_outputs, &half_outputs);
    let candidate_outputs = untapped.swap_remove(0);
    let trace = Trace { measured, storage, final_half };
    Ok(Walked { trace, trust, runs, ran_on, candidate: candidate_outputs, clean: clean_outputs })
}

fn open_reference(model: &Path, feeds: &[Output]) -> Result<Session, Refusal> {
    let bytes = std::fs::read(model).map_err(|error| format!("{}: {error}", model.display()))?;
    let mut session = Session::open(&bytes, &reference_target())?;
    fit_shapes(&mut session, feeds)?;
    write_feeds(&session, feeds)?;
    Ok(session)
}

/// The floor of the final outputs: 16-bit weights, and every value rounded as it comes.
fn run_half(session: &mut Session) -> Result<Vec<Output>, Refusal> {
    session.run_tapped(&mut HalfTap)?;
    read_outputs(session)
}

fn tapped_run(
    candidate: &mut Session,
    reference: &mut MnnReference,
    feeds: &[Output],
    send: &mut Send<'_>,
) -> Result<(Vec<Measured>, StorageCensus), Stop> {
    write_feeds(candidate, feeds)?;
    write_feeds(reference.clean(), feeds)?;
    reference.restart();
    let mut broken = Ok(());
    let mut announce = |index: usize, operator: &Operator| {
        if broken.is_ok() {
            let (name, op_type) = (operator.name.clone(), operator.op_type.clone());
            broken = send(&Reply::Op { index, name, op_type }, &[]);
        }
    };
    let mut tap = CandidateTap::new(Follow::new(reference), &mut announce);
    candidate.run_tapped(&mut tap)?;
    let found = tap.follow.finish();
    broken.map_err(Stop::Pipe)?;
    reference.complete()?;
    Ok(found)
}

fn sources(measured: &[Measured], storage: Storage) -> Vec<String> {
    let roles = assign_roles(measured, storage);
    let sources = measured.iter().zip(roles).filter(|(_, role)| *role == Role::Source);
    sources.map(|(measured, _)| measured.name.clone()).collect()
}

fn count(measured: &[Measured]) -> BTreeMap<String, usize> {
    let mut operators = BTreeMap::new();
    for op in measured {
        *operators.entry(op.backend.clone()).or_default() += 1;
    }
    operators
}

fn worst(reference: &[Output], candidate: &[Output]) -> Option<Gauge> {
    let pairs =
        reference.iter().filter_map(|r| Some((r, candidate.iter().find(|c| c.name == r.name)?)));
    pairs.filter_map(|(r, c)| gauge(&r.tensor, &c.tensor)).reduce(Gauge::worse)
}

fn first_unstable(candidate: &mut Session, feeds: &[Output]) -> Result<Option<String>, Refusal> {
    let mut run = || {
        let mut tap = DigestTap::default();
        write_feeds(candidate, feeds)?;
        candidate.run_tapped(&mut tap)?;
        Ok::<_, Refusal>(tap.digests)
    };
    let (first, second) = (run()?, run()?);
    let differing = first.iter().zip(&second).find(|(a, b)| a.1 != b.1);
    Ok(differing.map(|((operator, _), _)| operator.name.clone()))
}
