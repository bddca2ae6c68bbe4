//! One walk on one MNN backend.

use super::beside::Beside;
use super::file::{MnnFile, OwnedMnnFile};
use super::follow::{Full, MnnCandidate, MnnReference, reference_target};
use super::overrides::Elsewhere;
use super::reference_death;
use super::session::{MnnSession, Refusal};
use super::{is_there, open_as_asked, open_fitted, write_feeds};
use crate::bounds::Arithmetic;
use crate::engine::{MnnTarget, Output, Precision, RanOn};
use crate::walk::{
    Fallback, FallbackPlan, Operand, Operator, Progress, ReferenceThread, StorageCensus, Trace,
    Walked, conduct, fallback,
};
use crate::worker::child::open::Stop;
use crate::worker::child::reply::{Send, say_waiting, send_walked};
use crate::worker::wire::protocol::Reply;
use std::cell::RefCell;
use std::io;
use std::time::Instant;

/// One network to walk on one backend.
pub(in crate::worker) struct WalkJob<'a> {
    /// The model.
    pub(in crate::worker) model: MnnFile<'a>,
    /// Other forms of the same network.
    pub(in crate::worker) models: Models,
    /// The target to run on.
    pub(in crate::worker) target: MnnTarget,
    /// One tensor for each input.
    pub(in crate::worker) feeds: Vec<Output>,
    /// The number of untapped runs.
    pub(in crate::worker) repeats: usize,
    /// The search after the walk, if any.
    pub(in crate::worker) plan: Option<FallbackPlan>,
}

/// The same network in other forms. Each form is dropped after it is read.
pub(in crate::worker) struct Models {
    /// The ONNX file of the network, if the file fits into one piece.
    pub(in crate::worker) onnx: Option<Vec<u8>>,
    /// The network with 16-bit weights.
    pub(in crate::worker) half: OwnedMnnFile,
    /// The network with the weights of the ONNX file, if the network under test has different weights.
    pub(in crate::worker) full: Option<OwnedMnnFile>,
}

/// Walks the network and answers.
pub(in crate::worker) fn walk(job: WalkJob<'_>, send: &mut Send<'_>) -> io::Result<()> {
    super::log::listen();
    match try_walk(job, send) {
        Ok((walked, fallback, ran_on)) => send_walked(walked, fallback, ran_on, send),
        Err(stop) => stop.answer(send),
    }
}

/// The results of a walk and of the search after it, and the device they ran on.
type Found = (Walked, Option<Fallback>, RanOn);

fn try_walk(job: WalkJob<'_>, send: &mut Send<'_>) -> Result<Found, Stop> {
    let WalkJob { model, models, target, ref feeds, repeats, plan } = job;
    // This chooses the MNN that the whole process calls, before there is a second thread.
    is_there(target.backend)?;
    let declared = target.declared_storage().unwrap_or_default();
    let reopen = || open_session(model, &target, feeds);
    let (send, broken) = (RefCell::new(send), RefCell::new(Ok(())));
    let tell = |reply: &Reply| {
        if broken.borrow().is_ok() {
            *broken.borrow_mut() = send.borrow_mut()(reply, &[]);
        }
    };
    let mut announce = |index: usize, operator: &Operator| {
        let (name, op_type) = (operator.name.clone(), operator.op_type.clone());
        tell(&Reply::Op { index, name, op_type });
    };
    let mut traced = |trace: &Trace| tell(&Reply::Traced { trace: trace.clone() });
    let (mut candidate, walked, ran_on) = std::thread::scope(|scope| {
        let open = || open_reference(model, models, feeds, Arithmetic::storing(declared));
        let reference = ReferenceThread::start(scope, open, say_waiting);
        let started = Instant::now();
        let (session, ran_on) = open_as_asked(model, &target, feeds, &mut **send.borrow_mut())?;
        let open_seconds = started.elapsed().as_secs_f64();
        let mut candidate = MnnCandidate::new(session, feeds, &reopen);
        let declared = StorageCensus::new(declared);
        let mut walked =
            conduct(&mut candidate, &reference, declared, repeats, &mut announce, &mut traced)?;
        walked.runs.open_seconds = open_seconds;
        Ok::<_, Stop>((candidate, walked, ran_on))
    })?;
    let mut found = None;
    if let Some(plan) = &plan {
        let place = elsewhere(&target, plan);
        let mut session = Elsewhere::new(open_session(model, &place, feeds)?)?;
        let mut compute =
            |operator: &Operator, inputs: &[Operand]| session.compute(operator, inputs);
        let mut begun = |number: usize| tell(&Reply::Trial { number });
        let mut progress = Progress { operator: &mut announce, trial: &mut begun };
        found = Some(fallback(&mut candidate, &mut compute, &walked, plan, &mut progress)?);
    }
    broken.into_inner().map_err(Stop::Pipe)?;
    Ok((walked, found, ran_on))
}

/// MNN's CPU with its witness, on the thread that will ask it.
fn open_reference<'f>(
    model: MnnFile<'_>,
    models: Models,
    feeds: &'f [Output],
    arithmetic: Arithmetic,
) -> Result<MnnReference<'f>, Refusal> {
    reference_death::mark_thread();
    let open = |model: MnnFile<'_>| open_session(model, &reference_target(), feeds);
    let (follow, half, clean) = (open(model)?, open(models.half.file())?, open(model)?);
    drop(models.half);
    let full = models.full.map(|full| Full::new(open(full.file())?, open(full.file())?));
    let full = full.transpose()?;
    let beside = Beside::new(models.onnx, feeds);
    MnnReference::new(follow, half, clean, full, feeds, beside, arithmetic)
}

/// The target for the members: the CPU, or the same device in high precision.
fn elsewhere(target: &MnnTarget, plan: &FallbackPlan) -> MnnTarget {
    match plan.raise {
        true => MnnTarget { precision: Precision::High, ..target.clone() },
        false => reference_target(),
    }
}

fn open_session(
    model: MnnFile<'_>,
    target: &MnnTarget,
    feeds: &[Output],
) -> Result<MnnSession, Refusal> {
    let session = open_fitted(model, target, feeds)?;
    write_feeds(&session, feeds)?;
    Ok(session)
}
