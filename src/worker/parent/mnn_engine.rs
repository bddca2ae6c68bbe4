//! MNN as an engine: converts the model, gives the work to a child process, and names the result.

use super::conversation::{Announced, Conversation, KeptWorker, Walker, WorkerWalk};
use super::ending::Ending;
use super::program::WorkerProgram;
use super::supervise::Worker;
use crate::engine::{
    Ended, Engine, EngineSession, Execution, MnnTarget, Outcome, Request, Weights,
};
use crate::walk::FallbackPlan;
use crate::worker::convert::converter::{Conversions, Converter, weights_file};
use crate::worker::convert::error::ConvertError;
use crate::worker::wire::contents::{Contents, Message};
use crate::worker::wire::protocol::{Ask, ProbeReport, Reply, SecondFiles};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long a probe of one backend may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(20);

/// MNN on one of its backends.
#[derive(Debug, Clone)]
pub struct MnnEngine {
    /// The target to run on.
    pub target: MnnTarget,
    /// The source of the `.mnn` model.
    pub converter: Converter,
    /// The worker to start.
    pub worker: WorkerProgram,
}

impl Engine for MnnEngine {
    fn execute(&self, request: &Request<'_>) -> Execution {
        let request = self.worker.within(request);
        let started = Instant::now();
        let message = self
            .convert(&request, self.weights())
            .and_then(|model| self.run_message(&model, &request));
        match message {
            Ok(message) => {
                let patience = request.deadline.saturating_sub(started.elapsed());
                let held = Conversation::hold(&self.worker, message, patience, &mut |_| ());
                held.conclude(Some(self.target.backend), request.deadline).0
            }
            Err(execution) => *execution,
        }
    }

    fn session(&self) -> Box<dyn EngineSession + '_> {
        Box::new(MnnSession {
            engine: self,
            conversions: Conversions::new(&self.converter),
            worker: KeptWorker::new(&self.worker),
            has_run: false,
        })
    }
}

/// One worker and one converter for many small networks.
struct MnnSession<'e> {
    engine: &'e MnnEngine,
    conversions: Conversions<'e>,
    worker: KeptWorker,
    /// Whether the worker's last network ran on the backend that was asked for.
    has_run: bool,
}

impl MnnSession<'_> {
    /// Opens the network in the kept worker, and runs it.
    fn open(&mut self, request: &Request<'_>) -> Execution {
        let message = self
            .conversions
            .convert(
                request.model,
                self.engine.weights(),
                request.deadline,
                self.engine.worker.interrupt(),
            )
            .map_err(refused_conversion)
            .and_then(|model| self.engine.run_message(&model, request));
        self.worker.execute(message, Some(self.engine.target.backend), request.deadline)
    }

    /// Asks about the open network.
    fn ask(&mut self, message: Message, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        self.worker.execute(Ok(message), Some(self.engine.target.backend), request.deadline)
    }
}

impl EngineSession for MnnSession<'_> {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        let request = self.engine.worker.within(request);
        let mut execution = self.open(&request);
        if execution.outcome == Outcome::FellBack && self.has_run {
            // MNN makes a Vulkan instance for each network and keeps it. NVIDIA's driver shows such a process no
            // device after the ninth.
            self.worker = KeptWorker::new(&self.engine.worker);
            execution = self.open(&request);
        }
        self.has_run = execution.outcome == Outcome::Completed;
        execution
    }

    fn again(&mut self, request: &Request<'_>) -> Execution {
        self.ask(Message::bare(Ask::Again { repeats: request.repeats }), request)
    }

    fn next(&mut self, request: &Request<'_>) -> Execution {
        self.ask(Message::next(request), request)
    }
}

impl Walker for MnnEngine {
    fn walk(
        &self,
        request: &Request<'_>,
        plan: Option<&FallbackPlan>,
        announced: &mut dyn FnMut(&Announced),
    ) -> WorkerWalk {
        let request = self.worker.within(request);
        let started = Instant::now();
        match self.walk_message(&request, plan) {
            Ok(message) => {
                let patience = request.deadline.saturating_sub(started.elapsed());
                let held = Conversation::hold(&self.worker, message, patience, announced);
                held.walked(Some(self.target.backend), request.deadline)
            }
            Err(execution) => WorkerWalk::without(*execution),
        }
    }
}

impl MnnEngine {
    fn run_message(&self, model: &Path, request: &Request<'_>) -> Result<Message, Box<Execution>> {
        let mut contents = Contents::default();
        let weights = self.second_file(model)?;
        let model = contents.add(read(model)?);
        let feeds = contents.add_feeds(request);
        let (target, repeats) = (self.target.clone(), request.repeats);
        Ok(Message { ask: Ask::Run { model, weights, target, feeds, repeats }, contents })
    }

    fn walk_message(
        &self,
        request: &Request<'_>,
        plan: Option<&FallbackPlan>,
    ) -> Result<Message, Box<Execution>> {
        let weights = self.weights();
        // Weights that are already stored in 8 bits gain no accuracy in 16.
        let half_weights = if weights == Weights::Fp32 { Weights::Fp16 } else { weights };
        let (model, half_model) = thread::scope(|scope| {
            let half = scope.spawn(|| self.convert(request, half_weights));
            let model = self.convert(request, weights);
            (model, half.join().expect("a conversion does not panic"))
        });
        let (model, half_model) = (model?, half_model?);
        let full_model = match weights {
            Weights::Fp32 => None,
            _ => Some(self.convert(request, Weights::Fp32)?),
        };
        let mut contents = Contents::default();
        // If the model is too large for one piece, the walk runs without tract.
        let onnx = request.model.to_whole_bytes().ok().map(|onnx| contents.add(onnx));
        let full = full_model.as_ref().map(|full| self.second_file(full)).transpose()?;
        let weights = SecondFiles {
            model: self.second_file(&model)?,
            half: self.second_file(&half_model)?,
            full: full.flatten(),
        };
        let model = contents.add(read(&model)?);
        let half_model = contents.add(read(&half_model)?);
        let full_model =
            full_model.map(|model| read(&model).map(|bytes| contents.add(bytes))).transpose()?;
        let feeds = contents.add_feeds(request);
        let (target, repeats) = (self.target.clone(), request.repeats);
        let plan = plan.map(|plan| contents.add_plan(plan));
        let ask = Ask::Walk {
            onnx,
            model,
            half_model,
            full_model,
            weights,
            target,
            feeds,
            repeats,
            plan,
        };
        Ok(Message { ask, contents })
    }

    /// The second file of a model, with its weights, if there is one. Only a worker on this machine can open it; another
    /// worker refuses a model that needs it.
    fn second_file(&self, model: &Path) -> Result<Option<PathBuf>, Box<Execution>> {
        let path = weights_file(model);
        if !self.worker.is_here() || !path.exists() {
            return Ok(None);
        }
        let found = fs::canonicalize(path);
        found.map(Some).map_err(|error| refused_conversion(ConvertError::Io(error)))
    }

    /// How the model under test stores its weights.
    fn weights(&self) -> Weights {
        self.target.weights.unwrap_or(Weights::Fp32)
    }

    fn convert(&self, request: &Request<'_>, weights: Weights) -> Result<PathBuf, Box<Execution>> {
        let made = self.converter.convert(
            request.model,
            weights,
            request.deadline,
            self.worker.interrupt(),
        );
        made.map_err(refused_conversion)
    }
}

fn read(model: &Path) -> Result<Vec<u8>, Box<Execution>> {
    fs::read(model).map_err(|error| refused_conversion(ConvertError::Io(error)))
}

fn refused_conversion(error: ConvertError) -> Box<Execution> {
    let reason = error.to_string();
    Box::new(match error {
        ConvertError::Missing => Execution::without_outputs(Outcome::Unavailable, reason).with_hint(
            "run `scripts/up demo` once, or name one with OFFBY_MNNCONVERT=/path/to/MNNConvert, or give a ready model with --mnn FILE",
        ),
        ConvertError::Refused { words, .. } => {
            Execution { evidence: words, ..Execution::without_outputs(Outcome::Rejected, reason) }
        }
        ConvertError::Interrupted => Execution {
            ended: Some(Ended::Interrupted),
            ..Execution::without_outputs(Outcome::Interrupted, reason)
        },
        ConvertError::TimedOut => Execution::without_outputs(Outcome::TimedOut, reason),
        ConvertError::Io(_) => Execution::without_outputs(Outcome::Unavailable, reason)
            .with_hint("see that the cache folder can be written (XDG_CACHE_HOME moves it)"),
    })
}

/// Asks a worker which device a backend would run on.
///
/// # Errors
/// The reason why no device would run, and a hint if there is one.
pub fn probe(
    worker: &WorkerProgram,
    target: &MnnTarget,
) -> Result<ProbeReport, (String, Option<String>)> {
    let mut child = Worker::start(worker, PROBE_PATIENCE).map_err(|(ending, _)| {
        let hint = match &ending {
            Ending::Absent { hint, .. } => Some((*hint).to_owned()),
            _ => None,
        };
        (ending.describe(), hint)
    })?;
    match child.ask(&Ask::Probe { target: target.clone() }, Vec::new()) {
        Ok((Reply::Probed(report), _)) => Ok(report),
        Ok((Reply::Unavailable { reason, hint }, _)) => Err((reason, Some(hint))),
        Ok((Reply::Rejected { reason }, _)) => Err((reason, None)),
        Ok((other, _)) => Err((format!("an unexpected answer, {other:?}"), None)),
        Err(ending) => Err((ending.describe(), None)),
    }
}
