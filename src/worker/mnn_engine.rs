//! MNN as an engine: convert, hand the work to a child process, and name what came of it.

use super::conversation::{Announced, Conversation, KeptWorker, Walked, Walker};
use super::convert::{Conversions, ConvertError, Converter, Weights};
use super::environment;
use super::protocol::{Ask, ProbeReport, Reply, pack, pack_plan};
use super::supervise::{Worker, WorkerProgram};
use crate::engine::{Backend, Engine, Execution, MnnTarget, Outcome, Request, Session};
use crate::walk::Plan;
use std::path::PathBuf;
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
        let started = Instant::now();
        let model = match self.prepare(request, &[Weights::Full]) {
            Ok(models) => models.into_iter().next().unwrap_or_default(),
            Err(execution) => return *execution,
        };
        let message = self.run_message(model, request);
        let conversation = self.converse(message, started, request, &mut |_| ());
        conversation.conclude(self.target.backend, request.deadline).0
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(MnnSession {
            engine: self,
            conversions: Conversions::new(&self.converter),
            worker: KeptWorker::new(&self.worker, environment_for(self.target.backend)),
        })
    }
}

/// One worker and one converter for many small networks.
struct MnnSession<'e> {
    engine: &'e MnnEngine,
    conversions: Conversions<'e>,
    worker: KeptWorker,
}

impl Session for MnnSession<'_> {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        let target = &self.engine.target;
        if let Err(execution) = in_this_build(target.backend) {
            return *execution;
        }
        let model = match self.conversions.convert(request.model, request.deadline) {
            Ok(model) => model,
            Err(error) => return refused_conversion(error),
        };
        let (ask, body) = self.engine.run_message(model, request);
        let conversation = self.worker.converse((ask, body), request.deadline, &mut |_| ());
        conversation.conclude(target.backend, request.deadline).0
    }

    fn again(&mut self, request: &Request<'_>) -> Execution {
        let message = (Ask::Again { repeats: request.repeats }, Vec::new());
        let conversation = self.worker.converse(message, request.deadline, &mut |_| ());
        conversation.conclude(self.engine.target.backend, request.deadline).0
    }
}

impl Walker for MnnEngine {
    fn walk(
        &self,
        request: &Request<'_>,
        plan: Option<&Plan>,
        announced: &mut dyn FnMut(&Announced),
    ) -> Walked {
        let started = Instant::now();
        let models = match self.prepare(request, &[Weights::Full, Weights::Half]) {
            Ok(models) => models,
            Err(execution) => return Walked::without(*execution),
        };
        let onnx = request.model.path().to_owned();
        let [model, half_model] = <[PathBuf; 2]>::try_from(models).unwrap_or_default();
        let (feeds, mut body) = pack(request.feeds.iter().map(|feed| (&feed.name, &feed.tensor)));
        let plan = pack_plan(plan, &mut body);
        let (target, repeats) = (self.target.clone(), request.repeats);
        let message = (Ask::Walk { onnx, model, half_model, target, feeds, repeats, plan }, body);
        let conversation = self.converse(message, started, request, announced);
        conversation.walked(self.target.backend, request.deadline)
    }
}

impl MnnEngine {
    fn run_message(&self, model: PathBuf, request: &Request<'_>) -> (Ask, Vec<u8>) {
        let (feeds, body) = pack(request.feeds.iter().map(|feed| (&feed.name, &feed.tensor)));
        let (target, repeats) = (self.target.clone(), request.repeats);
        (Ask::Run { model, target, feeds, repeats }, body)
    }

    fn converse(
        &self,
        message: (Ask, Vec<u8>),
        started: Instant,
        request: &Request<'_>,
        announced: &mut dyn FnMut(&Announced),
    ) -> Conversation {
        let patience = request.deadline.saturating_sub(started.elapsed());
        let environment = environment_for(self.target.backend);
        Conversation::hold(&self.worker, &environment, message, patience, announced)
    }

    /// What must be there before a worker is started: the backend in this build, and the models.
    fn prepare(
        &self,
        request: &Request<'_>,
        weights: &[Weights],
    ) -> Result<Vec<PathBuf>, Box<Execution>> {
        in_this_build(self.target.backend)?;
        let convert =
            |&weights: &Weights| self.converter.convert(request.model, weights, request.deadline);
        weights
            .iter()
            .map(convert)
            .collect::<Result<_, _>>()
            .map_err(|error| Box::new(refused_conversion(error)))
    }
}

fn in_this_build(backend: Backend) -> Result<(), Box<Execution>> {
    match missing_from_build(backend) {
        None => Ok(()),
        Some((reason, hint)) => {
            let execution = Execution::without_outputs(Outcome::Unavailable, reason);
            Err(Box::new(execution.with_hint(hint)))
        }
    }
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
