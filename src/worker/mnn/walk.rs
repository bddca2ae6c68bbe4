//! One walk on one MNN backend.

use super::beside::Beside;
use super::follow::{MnnCandidate, MnnReference, reference_target};
use super::heal::Elsewhere;
use super::session::{Refusal, Session};
use super::{fit_shapes, open_as_asked, write_feeds};
use crate::engine::{MnnTarget, Output, Precision, RanOn};
use crate::walk::{Fallback, Operand, Operator, Plan, Progress, Walked, conduct, fallback};
use crate::worker::host::{Send, send_walked};
use crate::worker::open::Stop;
use crate::worker::protocol::{PlanHead, Reply, TensorHead, unpack_walk};
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One network to walk on one backend.
pub(in crate::worker) struct WalkJob {
    /// The `.mnn` file.
    pub(in crate::worker) model: PathBuf,
    /// The ONNX file it was made from.
    pub(in crate::worker) onnx: PathBuf,
    /// The same with 16-bit weights.
    pub(in crate::worker) half_model: PathBuf,
    /// Where to run it.
    pub(in crate::worker) target: MnnTarget,
    /// The tensors in the frame's body.
    pub(in crate::worker) feeds: Vec<TensorHead>,
    /// How often to run it untapped.
    pub(in crate::worker) repeats: usize,
    /// What to search for once it is walked.
    pub(in crate::worker) plan: Option<PlanHead>,
}

/// Walks and answers.
pub(in crate::worker) fn walk(job: &WalkJob, body: &[u8], send: &mut Send<'_>) -> io::Result<()> {
    super::log::listen();
    match try_walk(job, body, send) {
        Ok((walked, fallback, ran_on)) => send_walked(walked, fallback, ran_on, send),
        Err(stop) => stop.answer(send),
    }
}

/// What a walk found, and a search after it, and where.
type Found = (Walked, Option<Fallback>, RanOn);

fn try_walk(job: &WalkJob, body: &[u8], send: &mut Send<'_>) -> Result<Found, Stop> {
    let (feeds, plan) = unpack_walk(job.feeds.clone(), job.plan.clone(), body)
        .map_err(|error| error.to_string())?;
    let started = Instant::now();
    let (mut session, ran_on) = open_as_asked(&job.model, &job.target, send)?;
    fit_shapes(&mut session, &feeds)?;
    let open_seconds = started.elapsed().as_secs_f64();
    let open = |model: &Path| open_session(model, &reference_target(), &feeds);
    let (follow, half, clean) = (open(&job.model)?, open(&job.half_model)?, open(&job.model)?);
    let mut reference =
        MnnReference::new(follow, half, clean, &feeds, Beside::new(&job.onnx, &feeds))?;
    let reopen = || open_session(&job.model, &job.target, &feeds);
    let mut candidate = MnnCandidate::new(session, &feeds, &reopen);

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
    let declared = job.target.declared_storage().unwrap_or_default();
    let mut walked = conduct(&mut candidate, &mut reference, declared, job.repeats, &mut announce)?;
    walked.runs.open_seconds = open_seconds;
    let mut found = None;
    if let Some(plan) = plan {
        // The reference's sessions have served; the members get one of their own.
        drop(reference);
        let target = elsewhere(job, &plan);
        let mut session = Elsewhere::new(open_session(&job.model, &target, &feeds)?)?;
        let mut compute =
            |operator: &Operator, inputs: &[Operand]| session.compute(operator, inputs);
        let mut begun = |number: usize| tell(&Reply::Trial { number });
        let mut progress = Progress { operator: &mut announce, trial: &mut begun };
        found = Some(fallback(&mut candidate, &mut compute, &walked, &plan, &mut progress)?);
    }
    broken.into_inner().map_err(Stop::Pipe)?;
    Ok((walked, found, ran_on))
}

/// Where the members are computed: on the CPU, or on the same device in high precision.
fn elsewhere(job: &WalkJob, plan: &Plan) -> MnnTarget {
    match plan.raise {
        true => MnnTarget { precision: Precision::High, ..job.target.clone() },
        false => reference_target(),
    }
}

fn open_session(model: &Path, target: &MnnTarget, feeds: &[Output]) -> Result<Session, Refusal> {
    let mut session = Session::open(&read(model)?, target)?;
    fit_shapes(&mut session, feeds)?;
    write_feeds(&session, feeds)?;
    Ok(session)
}

fn read(model: &Path) -> Result<Vec<u8>, Refusal> {
    std::fs::read(model).map_err(|error| format!("{}: {error}", model.display()))
}
