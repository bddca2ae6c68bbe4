//! The worker's side: reads an ask, does the work, and answers.

use super::environment;
#[cfg(feature = "mnn")]
use super::mnn::{Job, MnnFile, OwnedMnnFile};
use super::onnx_file::OnnxFile;
use super::open::{KeptNetwork, open_and_run, run_again, run_next};
use super::ort::open as open_ort;
use super::reply::Send;
use super::sim::{self, SimJob};
use crate::engine::{Backend, Output};
#[cfg(feature = "mnn")]
use crate::tensor::Digest;
use crate::walk::FallbackPlan;
use crate::worker::features::{missing_from_build, missing_tract_cuda};
use crate::worker::parent::descendants::remove_own_folder;
use crate::worker::wire::contents::Store;
use crate::worker::wire::frame::{FrameError, read_frame, write_frame};
#[cfg(feature = "mnn")]
use crate::worker::wire::protocol::SecondFiles;
use crate::worker::wire::protocol::{Ask, PROTOCOL, Reply, SentNetwork, VERSION};
use std::fs::File;
use std::io::{self, BufReader, Write as _};
#[cfg(feature = "mnn")]
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Serves the parent until the parent hangs up.
///
/// Frames go to the original stdout. From then on, file descriptor 1 is stderr. Output that an engine or a driver
/// prints there becomes evidence and never breaks a frame.
///
/// # Errors
/// If the pipes cannot be set up or break.
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

/// How long a worker may continue after its parent hung up.
const GRACE: Duration = Duration::from_millis(500);

type Heard = Result<(Ask, Vec<u8>), FrameError>;

/// Reads on a separate thread. So a worker whose driver hangs also notices that the parent is gone: its stdin ends
/// with the parent, or with the network connection.
fn listen() -> Receiver<Heard> {
    let (sender, asks) = channel();
    thread::spawn(move || {
        let mut stdin = BufReader::new(io::stdin().lock());
        loop {
            let heard = read_frame::<Ask>(&mut stdin);
            // Later frames belong to the process that replaces this one.
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

/// Ends this process. If the process has its own process group, ends the whole group.
fn end_everything() {
    remove_own_folder();
    let own = rustix::process::getpid();
    if rustix::process::getpgrp() == own {
        let _ = rustix::process::kill_current_process_group(rustix::process::Signal::KILL);
    }
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
}

/// State that a worker keeps between asks.
#[derive(Default)]
struct Memory {
    store: Store,
    kept: KeptNetwork,
}

fn answer(ask: Ask, body: Vec<u8>, memory: &mut Memory, send: &mut Send<'_>) -> io::Result<()> {
    // Two networks are never open at once. A `Keep` may bring contents for the open network.
    if !matches!(ask, Ask::Again { .. } | Ask::Next { .. } | Ask::Keep { .. }) {
        memory.kept = None;
    }
    match ask {
        Ask::Hello { .. } => {
            let (protocol, version) = (PROTOCOL, VERSION.into());
            send(&Reply::Hello { protocol, version, stays_open: false }, &[])
        }
        Ask::Keep { contents } => match memory.store.keep(contents, body) {
            Ok(()) => send(&Reply::Kept, &[]),
            Err(reason) => send(&Reply::Rejected { reason }, &[]),
        },
        ask => work(ask, memory, send),
    }
}

/// Answers an ask about an engine, once all its contents have arrived.
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
        Ask::RunOnnx { network, repeats, cuda, .. } => {
            super::onnx::run(file(store, &network), feeds, repeats, cuda, send)
        }
        Ask::RunOrt { network, target, repeats, .. } => {
            let file = file(store, &network);
            let open = |_: &mut Send<'_>| Ok(Box::new(open_ort(file, &target, feeds)?) as _);
            open_and_run(kept, repeats, send, open)
        }
        Ask::RunSimulated { network, device, repeats, .. } => {
            let job = SimJob { network: file(store, &network), device, feeds, plan };
            let open = |send: &mut Send<'_>| Ok(Box::new(sim::open(job, send)?) as _);
            open_and_run(kept, repeats, send, open)
        }
        Ask::WalkSimulated { network, device, repeats, .. } => {
            let job = SimJob { network: file(store, &network), device, feeds, plan };
            sim::walk(job, repeats, send)
        }
        Ask::Again { repeats } => run_again(kept, repeats, send),
        Ask::Next { feeds: sent, repeats } => {
            // In a row of many inputs, each input comes only once.
            sent.iter().for_each(|tensor| store.forget(&tensor.digest));
            run_next(kept, feeds, repeats, send)
        }
        #[cfg(feature = "mnn")]
        Ask::Run { model, weights, target, repeats, .. } => {
            let job = Job { model: mnn_file(store, &model, &weights), target, feeds };
            let open = |send: &mut Send<'_>| Ok(Box::new(super::mnn::open(job, send)?) as _);
            open_and_run(kept, repeats, send, open)
        }
        #[cfg(feature = "mnn")]
        Ask::Walk { onnx, model, half_model, full_model, weights, target, repeats, .. } => {
            let models = models(store, onnx, &model, &half_model, full_model, &weights);
            let model = mnn_file(store, &model, &weights.model);
            let job = super::mnn::WalkJob { models, model, target, feeds, repeats, plan };
            super::mnn::walk(job, send)
        }
        #[cfg(feature = "mnn")]
        Ask::Probe { target } => send(&super::mnn::probe(&target), &[]),
        // `lacking` has already answered these asks.
        #[cfg(not(feature = "mnn"))]
        Ask::Run { .. } | Ask::Walk { .. } | Ask::Probe { .. } => Ok(()),
        // These asks are not about an engine. The callers have already answered them.
        Ask::Hello { .. } | Ask::Environment { .. } | Ask::Keep { .. } => Ok(()),
    }
}

/// The file of a network.
fn file<'a>(store: &'a Store, network: &'a SentNetwork) -> OnnxFile<'a> {
    OnnxFile { bytes: store.bytes(&network.model), folder: network.folder.as_deref() }
}

/// The other forms of the model that a walk needs.
#[cfg(feature = "mnn")]
fn models(
    store: &mut Store,
    onnx: Option<Digest>,
    model: &Digest,
    half: &Digest,
    full: Option<Digest>,
    weights: &SecondFiles,
) -> super::mnn::Models {
    // With 8-bit weights, the half model is the model itself, which stays in the store.
    let half = if half == model { store.bytes(half).to_vec() } else { store.take(half) };
    let [onnx, full] = [onnx, full].map(|model| model.map(|model| store.take(&model)));
    let owned = |bytes, weights: &Option<PathBuf>| OwnedMnnFile { bytes, weights: weights.clone() };
    super::mnn::Models {
        onnx,
        half: owned(half, &weights.half),
        full: full.map(|full| owned(full, &weights.full)),
    }
}

/// The files of an MNN model.
#[cfg(feature = "mnn")]
fn mnn_file<'a>(store: &'a Store, model: &Digest, weights: &'a Option<PathBuf>) -> MnnFile<'a> {
    MnnFile { bytes: store.bytes(model), weights: weights.as_deref() }
}

/// The feeds of an ask, and the plan of its search after a walk.
fn tensors(ask: &Ask, store: &Store) -> Result<(Vec<Output>, Option<FallbackPlan>), String> {
    let plan = ask.plan().map(|plan| store.plan(plan)).transpose()?;
    Ok((store.tensors(ask.feeds())?, plan))
}

/// The reply if this build of the worker lacks the backend of an ask.
fn lacking(ask: &Ask) -> Option<Reply> {
    let (reason, hint) = match ask {
        Ask::RunOnnx { cuda: true, .. } => missing_tract_cuda()?,
        ask => missing_from_build(ask.mnn_target()?.backend)?,
    };
    Some(Reply::Unavailable { reason, hint })
}

/// Prints the variables that offby set for a driver. The worker's stderr is evidence.
fn say_what_was_chosen(ask: &Ask) {
    let opencl = ask.mnn_target().is_some_and(|target| target.backend == Backend::Opencl);
    if let Some(line) = environment::chosen_for_opencl().filter(|_| opencl) {
        // A failed write of evidence is no reason to exit.
        let _ = writeln!(io::stderr(), "{line}");
    }
}
