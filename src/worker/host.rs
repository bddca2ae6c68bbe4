//! The child's side: read an ask, do it, answer.

use super::frame::{FrameError, read_frame, write_frame};
use super::open::{Kept, open_and_run, run_again};
use super::protocol::{Ask, PROTOCOL, Reply, pack};
use super::sim::{self, SimJob};
use crate::engine::RanOn;
use crate::walk::{Fallback, Walked};
use std::fs::File;
use std::io::{self, BufReader};
use std::time::Duration;

/// Serves the parent until it hangs up.
///
/// Frames go to what was stdout; from then on file descriptor 1 is stderr, so that whatever an
/// engine or a driver prints there is evidence and never a broken frame.
///
/// # Errors
/// When the pipes cannot be set up or break.
pub fn serve() -> io::Result<()> {
    end_with_parent();
    let frames = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    let mut frames = File::from(frames);
    let mut asks = BufReader::new(io::stdin().lock());
    let mut kept = Kept::None;
    loop {
        let (ask, body) = match read_frame::<Ask>(&mut asks) {
            Ok(message) => message,
            Err(FrameError::Ended) => return Ok(()),
            Err(error) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
            }
        };
        let mut send = |reply: &Reply, body: &[u8]| write_frame(&mut frames, reply, body);
        answer(ask, &body, &mut kept, &mut send)?;
    }
}

/// How often to look whether the parent is still there.
const WATCH: Duration = Duration::from_millis(500);

/// A worker whose driver hangs reads no more, and would never notice that nobody waits for it.
fn end_with_parent() {
    let parent = std::os::unix::process::parent_id();
    std::thread::spawn(move || {
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(WATCH);
        }
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    });
}

/// Sends one reply to the parent.
pub(super) type Send<'a> = dyn FnMut(&Reply, &[u8]) -> io::Result<()> + 'a;

fn answer(ask: Ask, body: &[u8], kept: &mut Kept, send: &mut Send<'_>) -> io::Result<()> {
    // Two networks are never open at once.
    if !matches!(ask, Ask::Again { .. }) {
        *kept = None;
    }
    match ask {
        Ask::Hello { .. } => send(
            &Reply::Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").into() },
            &[],
        ),
        Ask::RunSimulated { model, device, feeds, repeats } => {
            let job = SimJob { model, device, feeds, plan: None };
            let open = |send: &mut Send<'_>| Ok(Box::new(sim::open(job, body, send)?) as _);
            open_and_run(kept, repeats, send, open)
        }
        Ask::WalkSimulated { model, device, feeds, repeats, plan } => {
            sim::walk(SimJob { model, device, feeds, plan }, repeats, body, send)
        }
        Ask::Again { repeats } => run_again(kept, repeats, send),
        #[cfg(feature = "mnn")]
        Ask::Run { model, target, feeds, repeats } => {
            let job = super::mnn::Job { model, target, feeds };
            let open = |send: &mut Send<'_>| Ok(Box::new(super::mnn::open(&job, body, send)?) as _);
            open_and_run(kept, repeats, send, open)
        }
        #[cfg(feature = "mnn")]
        Ask::Walk { onnx, model, half_model, target, feeds, repeats, plan } => {
            let job = super::mnn::WalkJob { onnx, model, half_model, target, feeds, repeats, plan };
            super::mnn::walk(&job, body, send)
        }
        #[cfg(feature = "mnn")]
        Ask::Probe { target } => send(&super::mnn::probe(&target), &[]),
        #[cfg(not(feature = "mnn"))]
        Ask::Run { .. } | Ask::Walk { .. } | Ask::Probe { .. } => {
            let _ = body;
            let (reason, hint) = super::mnn_engine::without_mnn();
            send(&Reply::Unavailable { reason, hint }, &[])
        }
    }
}

/// Sends what a walk found: measurements in the head, final outputs in the body.
pub(super) fn send_walked(
    walked: Walked,
    fallback: Option<Fallback>,
    mut ran_on: RanOn,
    send: &mut Send<'_>,
) -> io::Result<()> {
    let Walked { trace, trust, runs, candidate, clean } = walked;
    for op in &trace.measured {
        *ran_on.operators.entry(op.backend.clone()).or_default() += 1;
    }
    let (outputs, mut body) = pack(candidate.iter().map(|output| (&output.name, &output.tensor)));
    let (reference, rest) = pack(clean.iter().map(|output| (&output.name, &output.tensor)));
    body.extend(rest);
    send(
        &Reply::Walked {
            trace,
            trust,
            runs,
            ran_on,
            fallback: fallback.map(Box::new),
            outputs,
            reference,
        },
        &body,
    )
}
