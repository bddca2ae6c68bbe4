//! One walk on one MNN backend.

use super::beside::Beside;
use super::follow::{MnnCandidate, MnnReference, reference_target};
use super::session::{Refusal, Session};
use super::{Stop, fit_shapes, open_as_asked, write_feeds};
use crate::engine::{MnnTarget, Output, RanOn};
use crate::walk::{Operator, Walked, conduct};
use crate::worker::host::{Send, send_walked};
use crate::worker::protocol::Reply;
use std::io;
use std::time::Instant;

/// One network to walk on one backend.
pub(in crate::worker) struct WalkJob<'a> {
    /// The bytes of the `.mnn` file.
    pub(in crate::worker) model: &'a [u8],
    /// Those of the ONNX file it was made from, where they fit into one piece.
    pub(in crate::worker) onnx: Option<&'a [u8]>,
    /// Those of the same with 16-bit weights.
    pub(in crate::worker) half_model: &'a [u8],
    /// Where to run it.
    pub(in crate::worker) target: MnnTarget,
    /// One tensor for each input.
    pub(in crate::worker) feeds: Vec<Output>,
    /// How often to run it untapped.
    pub(in crate::worker) repeats: usize,
}

/// Walks and answers.
pub(in crate::worker) fn walk(job: &WalkJob<'_>, send: &mut Send<'_>) -> io::Result<()> {
    super::log::listen();
    match try_walk(job, send) {
        Ok((walked, ran_on)) => send_walked(walked, ran_on, send),
        Err(stop) => stop.answer(send),
    }
}

fn try_walk(job: &WalkJob<'_>, send: &mut Send<'_>) -> Result<(Walked, RanOn), Stop> {
    let feeds = &job.feeds;
    let started = Instant::now();
    let (mut session, ran_on) = open_as_asked(job.model, &job.target, send)?;
    fit_shapes(&mut session, feeds)?;
    let open_seconds = started.elapsed().as_secs_f64();
    let open = |model: &[u8]| open_reference(model, feeds);
    let (follow, half, clean) = (open(job.model)?, open(job.half_model)?, open(job.model)?);
    let mut reference =
        MnnReference::new(follow, half, clean, feeds, Beside::new(job.onnx, feeds))?;
    let reopen = || {
        let mut session = Session::open(job.model, &job.target)?;
        fit_shapes(&mut session, feeds)?;
        Ok(session)
    };
    let mut candidate = MnnCandidate::new(session, feeds, &reopen);

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

fn open_reference(model: &[u8], feeds: &[Output]) -> Result<Session, Refusal> {
    let mut session = Session::open(model, &reference_target())?;
    fit_shapes(&mut session, feeds)?;
    write_feeds(&session, feeds)?;
    Ok(session)
}
