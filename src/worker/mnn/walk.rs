//! One walk on one MNN backend.

use super::beside::Beside;
use super::follow::{MnnCandidate, MnnReference, reference_target};
use super::session::{Refusal, Session};
use super::{fit_shapes, open_as_asked, write_feeds};
use crate::engine::{MnnTarget, Output, RanOn};
use crate::walk::{Operator, Walked, conduct};
use crate::worker::host::{Send, send_walked};
use crate::worker::open::Stop;
use crate::worker::protocol::{Reply, TensorHead, unpack};
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
}

/// Walks and answers.
pub(in crate::worker) fn walk(job: &WalkJob, body: &[u8], send: &mut Send<'_>) -> io::Result<()> {
    super::log::listen();
    match try_walk(job, body, send) {
        Ok((walked, ran_on)) => send_walked(walked, ran_on, send),
        Err(stop) => stop.answer(send),
    }
}

fn try_walk(job: &WalkJob, body: &[u8], send: &mut Send<'_>) -> Result<(Walked, RanOn), Stop> {
    let feeds = unpack(job.feeds.clone(), body).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let (mut session, ran_on) = open_as_asked(&job.model, &job.target, send)?;
    fit_shapes(&mut session, &feeds)?;
    let open_seconds = started.elapsed().as_secs_f64();
    let open = |model: &Path| open_reference(model, &feeds);
    let (follow, half, clean) = (open(&job.model)?, open(&job.half_model)?, open(&job.model)?);
    let mut reference =
        MnnReference::new(follow, half, clean, &feeds, Beside::new(&job.onnx, &feeds))?;
    let reopen = || {
        let mut session = Session::open(&read(&job.model)?, &job.target)?;
        fit_shapes(&mut session, &feeds)?;
        Ok(session)
    };
    let mut candidate = MnnCandidate::new(session, &feeds, &reopen);

    let mut broken = Ok(());
    let mut announce = |index: usize, operator: &Operator| {
        if broken.is_ok() {
            let (name, op_type) = (operator.name.clone(), operator.op_type.clone());
            broken = send(&Reply::Op { index, name, op_type }, &[]);
        }
    };
    let declared = job.target.declared_storage().unwrap_or_default();
    let mut walked = conduct(&mut candidate, &mut reference, declared, job.repeats, &mut announce)?;
    broken.map_err(Stop::Pipe)?;
    walked.runs.open_seconds = open_seconds;
    Ok((walked, ran_on))
}

fn open_reference(model: &Path, feeds: &[Output]) -> Result<Session, Refusal> {
    let mut session = Session::open(&read(model)?, &reference_target())?;
    fit_shapes(&mut session, feeds)?;
    write_feeds(&session, feeds)?;
    Ok(session)
}

fn read(model: &Path) -> Result<Vec<u8>, Refusal> {
    std::fs::read(model).map_err(|error| format!("{}: {error}", model.display()))
}
