//! The worker's side: read an ask, do it, answer.

use super::contents::Store;
use super::environment;
use super::frame::{FrameError, read_frame, write_frame};
use super::kin::remove_own_folder;
use super::mnn_engine::missing_from_build;
use super::open::{Kept, open_and_run, run_again, run_next};
use super::protocol::{Ask, PROTOCOL, Reply, VERSION, pack};
use super::sim::{self, SimJob};
use crate::engine::{Backend, Output, RanOn};
#[cfg(feature = "mnn")]
use crate::tensor::Digest;
use crate::walk::{Fallback, Plan, Walked};
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Serves the parent until it hangs up.
///
/// Frames go to what was stdout; from then on file descriptor 1 is stderr, so that whatever an
/// engine or a driver prints there is evidence and never a broken frame.
///
/// # Errors
/// When the pipes cannot be set up or break.
pub fn serve() -> io::Result<()> {
    environment::choose_drivers()?;
    let frames = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    let mut frames = File::from(frames);
    if environment::was_restarted() {
        write_frame(&mut frames, &Reply::Restarted, &[])?;
    }
    let asks = listen();
    let mut memory = Memory::default();
    while let Ok(heard) = asks.recv() {
        let mut send = |reply: &Reply, body: &[u8]| write_frame(&mut frames, reply, body);
        match heard {
            Ok((Ask::Environment { variables }, _)) => {
                rustix::stdio::dup2_stdout(&frames)?;
                return Err(environment::start_again(&variables));
            }
            Ok((ask, body)) => answer(ask, body, &mut memory, &mut send)?,
            Err(FrameError::Ended) => break,
            Err(FrameError::Unknown(what)) => {
                let reason = format!("this worker does not understand the ask: {what}");
                send(&Reply::Rejected { reason }, &[])?;
            }
            Err(error) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
            }
        }
    }
    Ok(())
}

/// How long a worker may go on when its parent has hung up.
const GRACE: Duration = Duration::from_millis(500);

type Heard = Result<(Ask, Vec<u8>), FrameError>;

/// Reads on a thread of its own, so that a worker whose driver hangs notices, too, that nobody waits
/// for it any more: its stdin ends with the parent, and over a network with the connection.
fn listen() -> Receiver<Heard> {
    let (sender, asks) = channel();
    thread::spawn(move || {
        let mut stdin = BufReader::new(io::stdin().lock());
        loop {
            let heard = read_frame::<Ask>(&mut stdin);
            // What follows is for the process that takes this one's place.
            let last = matches!(&heard, Ok((Ask::Environment { .. }, _)));
            let ended = !matches!(&heard, Ok(_) | Err(FrameError::Unknown(_)));
            if ended {
                remove_own_folder();
            }
            if sender.send(heard).is_err() || last {
                return;
            }
            if ended {
                break;
            }
        }
        thread::sleep(GRACE);
        end_everything();
    });
    asks
}

/// Ends this process, and all that it started where it has a process group of its own.
fn end_everything() {
    remove_own_folder();
    let own = rustix::process::getpid();
    if rustix::process::getpgrp() == own {
        let _ = rustix::process::kill_current_process_group(rustix::process::Signal::KILL);
    }
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
}

/// Sends one reply to the parent.
pub(super) type Send<'a> = dyn FnMut(&Reply, &[u8]) -> io::Result<()> + 'a;

/// What a worker keeps from one ask to the next.
#[derive(Default)]
struct Memory {
    store: Store,
    kept: Kept,
}

fn answer(ask: Ask, body: Vec<u8>, memory: &mut Memory, send: &mut Send<'_>) -> io::Result<()> {
    // Two networks are never open at once; what is kept may be for the one that is.
    if !matches!(ask, Ask::Again { .. } | Ask::Next { .. } | Ask::Keep { .. }) {
        memory.kept = None;
    }
    match ask {
        Ask::Hello { .. } => {
            send(&Reply::Hello { protocol: PROTOCOL, version: VERSION.into() }, &[])
        }
        Ask::Keep { contents } => match memory.store.keep(contents, body) {
            Ok(()) => send(&Reply::Kept, &[]),
            Err(reason) => send(&Reply::Rejected { reason }, &[]),
        },
        ask => work(ask, memory, send),
    }
}

/// Answers an ask about an engine, once everything is here that it takes.
fn work(ask: Ask, memory: &mut Memory, send: &mut Send<'_>) -> io::Result<()> {
    let Memory { store, kept } = memory;
    if let Some(lacking) = lacking(&ask) {
        return send(&lacking, &[]);
    }
    let missing = store.missing(&ask);
    if !missing.is_empty() {
        return send(&Reply::Wanted { digests: missing }, &[]);
    }
    let (feeds, plan) = match tensors(&ask, store) {
        Ok(tensors) => tensors,
        Err(reason) => return send(&Reply::Rejected { reason }, &[]),
    };
    say_what_was_chosen(&ask);
    match ask {
        Ask::RunOnnx { model, repeats, .. } => {
            super::onnx::run(store.bytes(&model), feeds, repeats, send)
        }
        Ask::RunOrt { model, target, repeats, .. } => {
            let open = |_: &mut Send<'_>| {
                Ok(Box::new(super::ort::open(store.bytes(&model), &target, feeds)?) as _)
            };
            open_and_run(kept, repeats, send, open)
        }
        Ask::RunSimulated { model, device, repeats, .. } => {
            let job = SimJob { model: store.bytes(&model), device, feeds, plan };
            let open = |send: &mut Send<'_>| Ok(Box::new(sim::open(job, send)?) as _);
            open_and_run(kept, repeats, send, open)
        }
        Ask::WalkSimulated { model, device, repeats, .. } => {
            sim::walk(SimJob { model: store.bytes(&model), device, feeds, plan }, repeats, send)
        }
        Ask::Again { repeats } => run_again(kept, repeats, send),
        Ask::Next { feeds: sent, repeats } => {
            // Of many inputs each comes once.
            sent.iter().for_each(|tensor| store.forget(&tensor.digest));
            run_next(kept, feeds, repeats, send)
        }
        #[cfg(feature = "mnn")]
        Ask::Run { model, target, repeats, .. } => {
            let job = super::mnn::Job { model: store.bytes(&model), target, feeds };
            let open = |send: &mut Send<'_>| Ok(Box::new(super::mnn::open(job, send)?) as _);
            open_and_run(kept, repeats, send, open)
        }
        #[cfg(feature = "mnn")]
        Ask::Walk { onnx, model, half_model, full_model, target, repeats, .. } => {
            let models = models(store, onnx, &model, &half_model, full_model);
            let model = store.bytes(&model);
            let job = super::mnn::WalkJob { models, model, target, feeds, repeats, plan };
            super::mnn::walk(job, send)
        }
        #[cfg(feature = "mnn")]
        Ask::Probe { target } => send(&super::mnn::probe(&target), &[]),
        // Told to be lacking.
        #[cfg(not(feature = "mnn"))]
        Ask::Run { .. } | Ask::Walk { .. } | Ask::Probe { .. } => Ok(()),
        // Not about an engine: answered before it comes here.
        Ask::Hello { .. } | Ask::Environment { .. } | Ask::Keep { .. } => Ok(()),
    }
}

/// What a walk needs beside its model.
#[cfg(feature = "mnn")]
fn models(
    store: &mut Store,
    onnx: Option<Digest>,
    model: &Digest,
    half: &Digest,
    full: Option<Digest>,
) -> super::mnn::Models {
    // With weights of 8 bits the half one is the model itself, which stays.
    let half = if half == model { store.bytes(half).to_vec() } else { store.take(half) };
    let [onnx, full] = [onnx, full].map(|model| model.map(|model| store.take(&model)));
    super::mnn::Models { onnx, half, full }
}

/// What an ask feeds, and what it searches for after a walk.
fn tensors(ask: &Ask, store: &Store) -> Result<(Vec<Output>, Option<Plan>), String> {
    let plan = ask.plan().map(|plan| store.plan(plan)).transpose()?;
    Ok((store.tensors(ask.feeds())?, plan))
}

/// What this build of the worker lacks for an ask.
fn lacking(ask: &Ask) -> Option<Reply> {
    let (reason, hint) = missing_from_build(ask.mnn_target()?.backend)?;
    Some(Reply::Unavailable { reason, hint })
}

/// What was set for a driver's sake is evidence: whatever the worker says on stderr is.
fn say_what_was_chosen(ask: &Ask) {
    let opencl = ask.mnn_target().is_some_and(|target| target.backend == Backend::Opencl);
    if let Some(line) = environment::chosen_for_opencl().filter(|_| opencl) {
        // Evidence that cannot be given is no reason to end.
        let _ = writeln!(io::stderr(), "{line}");
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
    let fallback = fallback.map(Box::new);
    send(&Reply::Walked { trace, trust, runs, ran_on, fallback, outputs, reference }, &body)
}
