//! MNN as an engine: convert, hand the work to a child process, and name what came of it.

use super::convert::{ConvertError, Converter};
use super::environment;
use super::protocol::{Ask, ProbeReport, Reply, pack, unpack};
use super::supervise::{Ending, Worker, WorkerProgram};
use crate::engine::{Backend, Engine, Execution, MnnTarget, Outcome, Request};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a probe of one backend may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(20);

/// MNN on one of its backends.
#[derive(Debug, Clone)]
pub struct MnnEngine {
    /// Where to run.
    pub target: MnnTarget,
    /// Where the `.mnn` model comes from.
    pub converter: Converter,
    /// The worker to start.
    pub worker: WorkerProgram,
}

impl Engine for MnnEngine {
    fn execute(&self, request: &Request<'_>) -> Execution {
        if let Some((reason, hint)) = missing_from_build(self.target.backend) {
            return Execution::without_outputs(Outcome::Unavailable, reason).with_hint(hint);
        }
        let started = Instant::now();
        let model = match self.converter.convert(request.model, request.deadline) {
            Ok(path) => path,
            Err(error) => return refused_conversion(error),
        };
        let patience = request.deadline.saturating_sub(started.elapsed());
        let environment = environment_for(self.target.backend);
        let (mut execution, said) = match Worker::start(&self.worker, &environment, patience) {
            Ok(mut worker) => {
                let execution = self.converse(&mut worker, &model, request);
                (execution, worker.finish())
            }
            Err(ending) => (ended(&ending, request.deadline), Vec::new()),
        };
        execution.evidence = environment::describe(&environment).into_iter().chain(said).collect();
        if execution.outcome == Outcome::FellBack {
            explain_fallback(&mut execution, self.target.backend);
        }
        execution
    }
}

impl MnnEngine {
    fn converse(&self, worker: &mut Worker, model: &Path, request: &Request<'_>) -> Execution {
        let (feeds, body) = pack(request.feeds.iter().map(|feed| (&feed.name, &feed.tensor)));
        let (model, target, repeats) = (PathBuf::from(model), self.target.clone(), request.repeats);
        let mut ran_on = None;
        let mut answer = worker.ask(&Ask::Run { model, target, feeds, repeats }, body);
        if let Ok((Reply::Opened { ran_on: really, as_asked }, _)) = answer {
            if !as_asked {
                return Execution {
                    ran_on: Some(really),
                    ..Execution::without_outputs(Outcome::FellBack, "")
                };
            }
            ran_on = Some(really);
            answer = worker.receive();
        }
        let mut execution = conclude(answer, request.deadline);
        execution.ran_on = execution.ran_on.or(ran_on);
        execution
    }
}

fn conclude(answer: Result<(Reply, Vec<u8>), Ending>, deadline: Duration) -> Execution {
    match answer {
        Ok((Reply::Ran { outputs, runs, ran_on }, body)) => match unpack(outputs, &body) {
            Ok(outputs) => Execution {
                outcome: Outcome::Completed,
                ran_on: Some(ran_on),
                reason: None,
                hint: None,
                evidence: Vec::new(),
                outputs,
                runs: Some(runs),
            },
            Err(error) => ended(&Ending::Garbage(error.to_string()), deadline),
        },
        Ok((Reply::Rejected { reason }, _)) => {
            Execution::without_outputs(Outcome::Rejected, reason)
        }
        Ok((Reply::Unavailable { reason, hint }, _)) => {
            Execution::without_outputs(Outcome::Unavailable, reason).with_hint(hint)
        }
        Ok((other, _)) => {
            ended(&Ending::Garbage(format!("an unexpected answer, {other:?}")), deadline)
        }
        Err(ending) => ended(&ending, deadline),
    }
}

fn ended(ending: &Ending, deadline: Duration) -> Execution {
    if *ending == Ending::TimedOut {
        let reason =
            format!("no answer within {} seconds; the worker was killed", deadline.as_secs());
        return Execution::without_outputs(Outcome::TimedOut, reason)
            .with_hint("give it longer with --timeout SECONDS");
    }
    Execution::without_outputs(Outcome::Crashed, ending.describe())
}

fn refused_conversion(error: ConvertError) -> Execution {
    let reason = error.to_string();
    match error {
        ConvertError::Missing => Execution::without_outputs(Outcome::Unavailable, reason).with_hint(
            "run `scripts/up demo` once, or name one with OFFBY_MNNCONVERT=/path/to/MNNConvert, or give a ready model with --mnn FILE",
        ),
        ConvertError::Refused { words, .. } => {
            Execution { evidence: words, ..Execution::without_outputs(Outcome::Rejected, reason) }
        }
        ConvertError::TimedOut => Execution::without_outputs(Outcome::TimedOut, reason),
        ConvertError::Io(_) => Execution::without_outputs(Outcome::Unavailable, reason)
            .with_hint("see that the cache folder can be written (XDG_CACHE_HOME moves it)"),
    }
}

fn environment_for(backend: Backend) -> Vec<(String, String)> {
    if backend == Backend::Opencl { environment::for_opencl() } else { Vec::new() }
}

/// What MNN logs when it gives a backend up, in words for the user, and what helps.
const FALLBACKS: &[(&str, &str, &str)] = &[
    (
        "Load vulkan library error",
        "the Vulkan loader libvulkan.so is missing",
        "apt-get install libvulkan-dev (MNN opens libvulkan.so, which only the -dev package has)",
    ),
    (
        "Invalide device for support vulkan",
        "the Vulkan loader finds no device",
        "install the GPU's Vulkan driver, or apt-get install mesa-vulkan-drivers for the software one; look at VK_DRIVER_FILES",
    ),
    (
        "OpenCL init error",
        "OpenCL could not be set up: no driver offers a device of type GPU",
        "install the GPU's OpenCL driver, or apt-get install ocl-icd-opencl-dev mesa-opencl-icd for the software one",
    ),
    (
        "Parsing OpenCL symbols error",
        "the OpenCL loader libOpenCL.so is missing",
        "apt-get install ocl-icd-opencl-dev",
    ),
    ("Can't Find type", "MNN found no usable driver for it", "see `offby doctor`"),
];

fn explain_fallback(execution: &mut Execution, asked: Backend) {
    let really =
        execution.ran_on.as_ref().map_or("another backend", |ran_on| ran_on.backend.as_str());
    let said = |pattern: &str| execution.evidence.iter().any(|line| line.contains(pattern));
    let known = FALLBACKS.iter().find(|(pattern, _, _)| said(pattern));
    let (why, hint) =
        known.map_or(("MNN does not say why", "see `offby doctor`"), |(_, why, hint)| (why, hint));
    execution.reason = Some(format!(
        "MNN was asked for {asked} and would have run on the {really} without an error: {why}; nothing was compared"
    ));
    execution.hint = Some(hint.to_owned());
}

fn missing_from_build(backend: Backend) -> Option<(String, String)> {
    let built = match backend {
        Backend::Cpu => cfg!(feature = "mnn"),
        Backend::Vulkan => cfg!(feature = "vulkan"),
        Backend::Opencl => cfg!(feature = "opencl"),
        Backend::Cuda => false,
    };
    if built {
        return None;
    }
    if !cfg!(feature = "mnn") {
        return Some(without_mnn());
    }
    let hint = match backend {
        Backend::Cuda => {
            "offby does not build MNN's CUDA backend; use mnn:vulkan or mnn:opencl on the same card"
                .into()
        }
        other => format!("build with `cargo build --release --features {other}`"),
    };
    Some((format!("this build of offby has no MNN on {backend}"), hint))
}

/// Why MNN is not there, and what to do.
pub(super) fn without_mnn() -> (String, String) {
    (
        "this build of offby has no MNN".into(),
        "build with the default features: `cargo build --release`".into(),
    )
}

/// Asks a worker what would run on a backend; `Err` says why nothing would.
///
/// # Errors
/// The reason, and a hint where there is one.
pub fn probe(
    worker: &WorkerProgram,
    target: &MnnTarget,
) -> Result<ProbeReport, (String, Option<String>)> {
    if let Some((reason, hint)) = missing_from_build(target.backend) {
        return Err((reason, Some(hint)));
    }
    let environment = environment_for(target.backend);
    let mut child = Worker::start(worker, &environment, PROBE_PATIENCE)
        .map_err(|ending| (ending.describe(), None))?;
    match child.ask(&Ask::Probe { target: target.clone() }, Vec::new()) {
        Ok((Reply::Probed(report), _)) => Ok(report),
        Ok((Reply::Rejected { reason } | Reply::Unavailable { reason, .. }, _)) => {
            Err((reason, None))
        }
        Ok((other, _)) => Err((format!("an unexpected answer, {other:?}"), None)),
        Err(ending) => Err((ending.describe(), None)),
    }
}
