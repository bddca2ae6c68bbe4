//! MNN as an engine: convert, hand the work to a child process, and name what came of it.

use super::convert::{ConvertError, Converter, Weights};
use super::environment;
use super::fell_back;
use super::protocol::{Ask, ProbeReport, Reply, pack, unpack};
use super::supervise::{Ending, Worker, WorkerProgram};
use crate::engine::{Backend, Engine, Execution, MnnTarget, Outcome, Output, RanOn, Request};
use crate::walk::{Trace, Trust};
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

/// What came of a walk.
#[derive(Debug)]
pub struct Walked {
    /// The candidate's run, with the outputs of its first untapped run.
    pub execution: Execution,
    /// The outputs of the reference's clean stream.
    pub reference: Vec<Output>,
    /// What was measured, where the walk came to its end.
    pub found: Option<(Trace, Trust)>,
    /// The operator that was announced last: where a crash or a hang happened.
    pub last: Option<Announced>,
}

/// An operator about to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its place in the order of execution.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The engine's name of its type.
    pub op_type: String,
}

impl Engine for MnnEngine {
    fn execute(&self, request: &Request<'_>) -> Execution {
        let started = Instant::now();
        let model = match self.prepare(request, &[Weights::Full]) {
            Ok(models) => models.into_iter().next().unwrap_or_default(),
            Err(execution) => return execution,
        };
        let (feeds, body) = pack(request.feeds.iter().map(|feed| (&feed.name, &feed.tensor)));
        let (target, repeats) = (self.target.clone(), request.repeats);
        let ask = Ask::Run { model, target, feeds, repeats };
        let patience = request.deadline.saturating_sub(started.elapsed());
        let conversation = self.converse(&ask, body, patience, &mut |_| ());
        conversation.conclude(self.target.backend, request.deadline).0
    }
}

/// One exchange with a worker, from its start to its end.
struct Conversation {
    ran_on: Option<RanOn>,
    fell_back: bool,
    end: Result<(Reply, Vec<u8>), Ending>,
    evidence: Vec<String>,
}

impl MnnEngine {
    /// Walks the operators; `announced` is told of each before it runs.
    pub fn walk(&self, request: &Request<'_>, announced: &mut dyn FnMut(&Announced)) -> Walked {
        let started = Instant::now();
        let models = match self.prepare(request, &[Weights::Full, Weights::Half]) {
            Ok(models) => models,
            Err(execution) => {
                return Walked { execution, reference: Vec::new(), found: None, last: None };
            }
        };
        let [model, half_model] = <[PathBuf; 2]>::try_from(models).unwrap_or_default();
        let (feeds, body) = pack(request.feeds.iter().map(|feed| (&feed.name, &feed.tensor)));
        let (target, repeats) = (self.target.clone(), request.repeats);
        let ask = Ask::Walk { model, half_model, target, feeds, repeats };
        let patience = request.deadline.saturating_sub(started.elapsed());
        let mut last = None;
        let conversation = self.converse(&ask, body, patience, &mut |operator| {
            announced(&operator);
            last = Some(operator);
        });
        let (execution, walked) = conversation.conclude(self.target.backend, request.deadline);
        let (reference, found) =
            walked.map_or((Vec::new(), None), |(reference, found)| (reference, Some(found)));
        Walked { execution, reference, found, last }
    }

    /// What must be there before a worker is started: the backend in this build, and the models.
    fn prepare(
        &self,
        request: &Request<'_>,
        weights: &[Weights],
    ) -> Result<Vec<PathBuf>, Execution> {
        if let Some((reason, hint)) = missing_from_build(self.target.backend) {
            return Err(Execution::without_outputs(Outcome::Unavailable, reason).with_hint(hint));
        }
        let convert =
            |&weights: &Weights| self.converter.convert(request.model, weights, request.deadline);
        weights.iter().map(convert).collect::<Result<_, _>>().map_err(refused_conversion)
    }

    fn converse(
        &self,
        ask: &Ask,
        body: Vec<u8>,
        patience: Duration,
        announced: &mut dyn FnMut(Announced),
    ) -> Conversation {
        let environment = environment_for(self.target.backend);
        let mut conversation = Conversation {
            ran_on: None,
            fell_back: false,
            end: Err(Ending::TimedOut),
            evidence: environment::describe(&environment).into_iter().collect(),
        };
        match Worker::start(&self.worker, &environment, patience) {
            Err(ending) => conversation.end = Err(ending),
            Ok(mut worker) => {
                let first = worker.ask(ask, body);
                conversation.listen(&mut worker, first, announced);
                conversation.evidence.extend(worker.finish());
            }
        }
        conversation
    }
}

impl Conversation {
    /// Takes messages until one ends the exchange.
    fn listen(
        &mut self,
        worker: &mut Worker,
        first: Result<(Reply, Vec<u8>), Ending>,
        announced: &mut dyn FnMut(Announced),
    ) {
        let mut message = first;
        loop {
            match message {
                Ok((Reply::Opened { ran_on, as_asked }, _)) => {
                    self.ran_on = Some(ran_on);
                    self.fell_back = !as_asked;
                    if self.fell_back {
                        return;
                    }
                }
                Ok((Reply::Op { index, name, op_type }, _)) => {
                    announced(Announced { index, name, op_type })
                }
                end => {
                    self.end = end;
                    return;
                }
            }
            message = worker.receive();
        }
    }

    fn conclude(
        self,
        asked: Backend,
        deadline: Duration,
    ) -> (Execution, Option<(Vec<Output>, (Trace, Trust))>) {
        if self.fell_back {
            return (fell_back::explain(asked, self.ran_on, self.evidence), None);
        }
        let (mut execution, walked) = match self.end {
            Ok((reply, body)) => from_reply(reply, &body, deadline),
            Err(ending) => (ended(&ending, deadline), None),
        };
        execution.ran_on = execution.ran_on.or(self.ran_on);
        execution.evidence = self.evidence;
        (execution, walked)
    }
}

fn from_reply(
    reply: Reply,
    body: &[u8],
    deadline: Duration,
) -> (Execution, Option<(Vec<Output>, (Trace, Trust))>) {
    let garbage = |error: String| (ended(&Ending::Garbage(error), deadline), None);
    match reply {
        Reply::Ran { outputs, runs, ran_on } => match unpack(outputs, body) {
            Ok(outputs) => (Execution::completed(ran_on, outputs, runs), None),
            Err(error) => garbage(error.to_string()),
        },
        Reply::Walked { trace, trust, runs, ran_on, outputs, reference } => {
            let candidates = outputs.len();
            match unpack(outputs.into_iter().chain(reference).collect(), body) {
                Ok(mut outputs) => {
                    let reference = outputs.split_off(candidates);
                    (Execution::completed(ran_on, outputs, runs), Some((reference, (trace, trust))))
                }
                Err(error) => garbage(error.to_string()),
            }
        }
        Reply::Rejected { reason } => (Execution::without_outputs(Outcome::Rejected, reason), None),
        Reply::Unavailable { reason, hint } => {
            (Execution::without_outputs(Outcome::Unavailable, reason).with_hint(hint), None)
        }
        other => garbage(format!("an unexpected answer, {other:?}")),
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
