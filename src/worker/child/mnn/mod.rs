//! MNN inside the worker: the only place in the crate with `unsafe`.
#![allow(
    unsafe_code,
    reason = "MNN, Vulkan and OpenCL are C and C++; every block says why it is sound"
)]

mod beside;
mod bindings;
mod census;
mod device;
mod file;
mod follow;
mod library;
mod lockstep;
mod log;
mod overrides;
mod reference_death;
mod session;
mod stepper;
mod taps;
mod walk;

use crate::engine::{Backend, MnnTarget, Output, RanOn};
use crate::graph::ValueName;
use crate::tensor::{Dtype, Tensor, narrowed};
use crate::worker::child::open::{OpenNetwork, Stop, replace};
use crate::worker::child::reply::Send;
use crate::worker::features::missing_driver;
use crate::worker::wire::protocol::{ProbeReport, Reply};
pub(in crate::worker) use file::{MnnFile, OwnedMnnFile};
pub(in crate::worker) use walk::{Models, WalkJob, walk};

use census::OperatorCensus;
use session::{Api, MnnSession, Refusal, backend_name};
use std::collections::BTreeMap;

/// One network to run on one backend.
pub(in crate::worker) struct Job<'a> {
    /// The model.
    pub(in crate::worker) model: MnnFile<'a>,
    /// The target to run on.
    pub(in crate::worker) target: MnnTarget,
    /// One tensor for each input.
    pub(in crate::worker) feeds: Vec<Output>,
}

/// Reports on a backend without a model.
pub(in crate::worker) fn probe(target: &MnnTarget) -> Reply {
    log::listen();
    match library::choose(target.backend).and_then(|()| device::of(target.backend)) {
        Ok(device) => {
            Reply::Probed(ProbeReport { engine_version: session::version(), device: Some(device) })
        }
        Err(reason) => Reply::Rejected { reason },
    }
}

/// Opens a model with its feeds on the requested target.
pub(in crate::worker) fn open(job: Job<'_>, send: &mut Send<'_>) -> Result<OpenModel, Stop> {
    log::listen();
    is_there(job.target.backend)?;
    let (session, ran_on) = open_as_asked(job.model, &job.target, &job.feeds, send)?;
    Ok(OpenModel { session, feeds: job.feeds, ran_on })
}

/// A session with its feeds, for any number of runs.
pub(in crate::worker) struct OpenModel {
    session: MnnSession,
    feeds: Vec<Output>,
    /// The operators are counted at the first request.
    ran_on: RanOn,
}

impl OpenNetwork for OpenModel {
    fn feed(&mut self, feeds: Vec<Output>) -> Result<(), Refusal> {
        replace(&mut self.feeds, feeds)
    }

    fn run(&mut self) -> Result<Vec<Output>, Refusal> {
        write_feeds(&self.session, &self.feeds)?;
        self.session.run()?;
        read_outputs(&self.session)
    }

    fn ran_on(&mut self) -> Result<RanOn, Refusal> {
        if self.ran_on.operators.is_empty() {
            write_feeds(&self.session, &self.feeds)?;
            self.ran_on.operators = count_operators(&mut self.session)?;
        }
        Ok(self.ran_on.clone())
    }
}

/// Opens a model and reports its backend to the parent. Stops if this is not the requested backend: numbers from a
/// different backend would only mislead.
fn open_as_asked(
    model: MnnFile<'_>,
    target: &MnnTarget,
    feeds: &[Output],
    send: &mut Send<'_>,
) -> Result<(MnnSession, RanOn), Stop> {
    let session = open_fitted(model, target, feeds)?;
    let as_asked = backend_name(session.forward_type()) == target.backend.name();
    let ran_on = ran_on(&session, target, as_asked);
    send(&Reply::Opened { ran_on: ran_on.clone(), as_asked }, &[]).map_err(Stop::Pipe)?;
    if as_asked { Ok((session, ran_on)) } else { Err(Stop::FellBack) }
}

/// Stops if MNN must not be asked for a backend. Without a driver, MNN's OpenGL backend aborts the process, and its CUDA
/// backend returns the input as the output.
fn is_there(backend: Backend) -> Result<(), Stop> {
    let unavailable = |reason| {
        let hint = missing_driver(backend).unwrap_or("see `offby doctor`").to_owned();
        Stop::Unavailable { reason, hint }
    };
    library::choose(backend).map_err(unavailable)?;
    match backend {
        Backend::Opengl | Backend::Cuda => device::of(backend).map(drop).map_err(unavailable),
        Backend::Cpu | Backend::Vulkan | Backend::Opencl => Ok(()),
    }
}

/// A session that fits the feeds. If a session cannot compute the network's shapes, opens a module instead.
fn open_fitted(
    model: MnnFile<'_>,
    target: &MnnTarget,
    feeds: &[Output],
) -> Result<MnnSession, Refusal> {
    let open = |api: Api| {
        let mut session = MnnSession::open(model, target, api)?;
        fit_shapes(&mut session, feeds)?;
        Ok(session)
    };
    match Api::for_model(model.bytes) {
        Api::Module => open(Api::Module),
        Api::Session => {
            open(Api::Session).or_else(|reason| open(Api::Module).map_err(|_: Refusal| reason))
        }
    }
}

fn ran_on(session: &MnnSession, target: &MnnTarget, as_asked: bool) -> RanOn {
    let backend = backend_name(session.forward_type());
    let device =
        if as_asked { device::of(target.backend) } else { device::of(crate::engine::Backend::Cpu) };
    let (device, driver) = match device {
        Ok(device) => (device.name, device.driver),
        Err(why) => (format!("unknown ({why})"), String::new()),
    };
    RanOn {
        engine: "mnn".into(),
        engine_version: session::version(),
        backend: backend.into(),
        device,
        driver,
        api: Some(session.api().name().into()),
        operators: BTreeMap::new(),
    }
}

/// Resizes the session if the model's shapes differ from the feeds, and seals the session.
fn fit_shapes(session: &mut MnnSession, feeds: &[Output]) -> Result<(), Refusal> {
    let mut shapes = Vec::new();
    let mut differs = false;
    for (name, input) in session.inputs() {
        let feed = find(feeds, &name)?;
        differs |= input.shape() != feed.shape();
        shapes.push(feed.shape().to_vec());
    }
    if differs {
        session.resize(&shapes)?;
    }
    session.ready()?;
    session.seal()
}

fn find<'a>(feeds: &'a [Output], name: &str) -> Result<&'a Tensor, Refusal> {
    let feed = feeds.iter().find(|feed| feed.name.as_str() == name);
    feed.map(|feed| &feed.tensor)
        .ok_or_else(|| format!("the MNN model has an input `{name}` that is not fed"))
}

fn write_feeds(session: &MnnSession, feeds: &[Output]) -> Result<(), Refusal> {
    for (name, input) in session.inputs() {
        let wanted =
            input.dtype().ok_or_else(|| format!("input `{name}` has an unknown element type"))?;
        input.write(&narrow(find(feeds, &name)?, wanted, &name)?)?;
    }
    Ok(())
}

/// MNN's converter turns 64-bit numbers into 32-bit numbers. A feed of `f64` is then rounded to `f32`. Other feeds
/// are converted only if no value changes.
fn narrow(feed: &Tensor, wanted: Dtype, name: &str) -> Result<Tensor, Refusal> {
    let refuse = |value: f64| {
        format!(
            "input `{name}` is {wanted} in the MNN model, the feed is {}, and {value} is no {wanted}",
            feed.dtype()
        )
    };
    if feed.dtype() == Dtype::F64 && wanted == Dtype::F32 {
        let rounded = narrowed(feed.clone(), wanted);
        let pairs = feed.numbers(1).into_iter().zip(rounded.numbers(1));
        let lost = pairs.into_iter().find(|(value, kept)| value.is_finite() && !kept.is_finite());
        return lost.map_or(Ok(rounded), |(value, _)| Err(refuse(value)));
    }
    feed.exactly(wanted).map_err(refuse)
}

fn read_outputs(session: &MnnSession) -> Result<Vec<Output>, Refusal> {
    let outputs = session.outputs();
    outputs
        .into_iter()
        .map(|(name, tensor)| Ok(Output { name: ValueName::from(name), tensor: tensor.read()? }))
        .collect()
}

/// Counts the operators by backend, because a backend that lacks an operator silently hands it to the CPU.
fn count_operators(session: &mut MnnSession) -> Result<BTreeMap<String, usize>, Refusal> {
    let mut census = OperatorCensus::default();
    session.run_tapped(&mut census)?;
    Ok(census.operators)
}
