//! MNN inside the worker: the only place of the crate with `unsafe`.
#![allow(
    unsafe_code,
    reason = "MNN, Vulkan and OpenCL are C and C++; every block says why it is sound"
)]

mod beside;
mod bindings;
mod census;
mod device;
mod follow;
mod heal;
mod lockstep;
mod log;
mod session;
mod stepper;
mod walk;

use super::host::Send;
use super::open::{OpenNetwork, Stop, replace};
use super::protocol::{ProbeReport, Reply};
use crate::engine::{MnnTarget, Output, RanOn};
use crate::graph::ValueName;
use crate::tensor::{Dtype, Tensor, narrowed};
pub(super) use walk::{Models, WalkJob, walk};

use census::Census;
use session::{Api, Refusal, Session, backend_name};
use std::collections::BTreeMap;

/// One network to run on one backend.
pub(super) struct Job<'a> {
    /// The bytes of the `.mnn` file.
    pub(super) model: &'a [u8],
    /// Where to run it.
    pub(super) target: MnnTarget,
    /// One tensor for each input.
    pub(super) feeds: Vec<Output>,
}

/// What is known of a backend without a model.
pub(super) fn probe(target: &MnnTarget) -> Reply {
    log::listen();
    match device::of(target.backend) {
        Ok(device) => {
            Reply::Probed(ProbeReport { engine_version: session::version(), device: Some(device) })
        }
        Err(reason) => Reply::Rejected { reason },
    }
}

/// Opens a model where it is asked to run, with its feeds.
pub(super) fn open(job: Job<'_>, send: &mut Send<'_>) -> Result<OpenModel, Stop> {
    log::listen();
    let (session, ran_on) = open_as_asked(job.model, &job.target, &job.feeds, send)?;
    Ok(OpenModel { session, feeds: job.feeds, ran_on })
}

/// A session with its feeds, to be run as often as one likes.
pub(super) struct OpenModel {
    session: Session,
    feeds: Vec<Output>,
    /// Its operators are counted when they are first asked for.
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

/// Opens a model and tells the parent where it landed; elsewhere than asked is the end of it, for
/// numbers from another backend would only mislead.
fn open_as_asked(
    model: &[u8],
    target: &MnnTarget,
    feeds: &[Output],
    send: &mut Send<'_>,
) -> Result<(Session, RanOn), Stop> {
    let session = open_fitted(model, target, feeds)?;
    let as_asked = backend_name(session.forward_type()) == target.backend.name();
    let ran_on = ran_on(&session, target, as_asked);
    send(&Reply::Opened { ran_on: ran_on.clone(), as_asked }, &[]).map_err(Stop::Pipe)?;
    if as_asked { Ok((session, ran_on)) } else { Err(Stop::FellBack) }
}

/// A session that fits the feeds. A network whose shapes a session cannot compute is opened as a module.
fn open_fitted(model: &[u8], target: &MnnTarget, feeds: &[Output]) -> Result<Session, Refusal> {
    let open = |api: Api| {
        let mut session = Session::open(model, target, api)?;
        fit_shapes(&mut session, feeds)?;
        Ok(session)
    };
    match Api::for_model(model) {
        Api::Module => open(Api::Module),
        Api::Session => {
            open(Api::Session).or_else(|reason| open(Api::Module).map_err(|_: Refusal| reason))
        }
    }
}

fn ran_on(session: &Session, target: &MnnTarget, as_asked: bool) -> RanOn {
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

/// Resizes the session where the model's shapes are not those of the feeds, and seals it.
fn fit_shapes(session: &mut Session, feeds: &[Output]) -> Result<(), Refusal> {
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

fn write_feeds(session: &Session, feeds: &[Output]) -> Result<(), Refusal> {
    for (name, input) in session.inputs() {
        let wanted =
            input.dtype().ok_or_else(|| format!("input `{name}` has an unknown element type"))?;
        input.write(&narrow(find(feeds, &name)?, wanted, &name)?)?;
    }
    Ok(())
}

/// MNN's converter makes 32-bit numbers of 64-bit ones. A feed of `f64` is rounded to `f32` then; other feeds
/// follow if no value changes.
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

fn read_outputs(session: &Session) -> Result<Vec<Output>, Refusal> {
    let outputs = session.outputs();
    outputs
        .into_iter()
        .map(|(name, tensor)| Ok(Output { name: ValueName::from(name), tensor: tensor.read()? }))
        .collect()
}

/// A backend that lacks an operator hands it to the CPU in silence: count who ran what.
fn count_operators(session: &mut Session) -> Result<BTreeMap<String, usize>, Refusal> {
    let mut census = Census::default();
    session.run_tapped(&mut census)?;
    Ok(census.operators)
}
