//! Simulated devices in the child: the reference's nodes, each passed through the device. A walk finds only planted
//! errors on such a device, so no finding there says anything about a real device.

use super::device_run::{DeviceRun, NodeStop, Passed};
use super::onnx_file::OnnxFile;
use super::open::{OpenNetwork, Stop};
use super::reply::{Send, say_waiting, send_walked};
use crate::engine::{Output, RanOn, SIMULATED, TRACT_VERSION};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::sim::{Breakdown, Device, Simulator};
use crate::tensor::Tensor;
use crate::walk::{
    Announce, Candidate, Executed, Fallback, FallbackPlan, NodeReference, Operand, Operator,
    OperatorReference as _, Overridable, Overrides, Progress, ReferenceThread, StorageCensus,
    Trace, Walked, conduct, fallback, operators,
};
use crate::worker::wire::protocol::Reply;
use std::cell::RefCell;
use std::io::{self, Write as _};
use std::time::Duration;

/// One network to run or walk on one simulated device.
pub(in crate::worker) struct SimJob<'a> {
    /// The ONNX file.
    pub(in crate::worker) network: OnnxFile<'a>,
    /// The device.
    pub(in crate::worker) device: Device,
    /// One tensor for each input.
    pub(in crate::worker) feeds: Vec<Output>,
    /// The search after the walk, if any.
    pub(in crate::worker) plan: Option<FallbackPlan>,
}

/// Opens a device on a network, with its feeds.
pub(in crate::worker) fn open(job: SimJob<'_>, send: &mut Send<'_>) -> Result<OpenDevice, Stop> {
    let ((candidate, ran_on), _) = open_candidate(job, send)?;
    Ok(OpenDevice { candidate, ran_on })
}

/// A network open on a device, for any number of runs.
pub(in crate::worker) struct OpenDevice {
    candidate: SimCandidate,
    ran_on: RanOn,
}

impl OpenNetwork for OpenDevice {
    fn feed(&mut self, feeds: Vec<Output>) -> Result<(), String> {
        let feeds: Vec<Feed> = feeds.into_iter().map(Feed::from).collect();
        self.candidate.run.feed(&feeds)
    }

    fn run(&mut self) -> Result<Vec<Output>, String> {
        self.candidate.go(false, &mut |_, _| (), &mut |_| ())
    }

    fn ran_on(&mut self) -> Result<RanOn, String> {
        Ok(self.ran_on.clone())
    }
}

/// Walks the network and answers.
pub(in crate::worker) fn walk(
    job: SimJob<'_>,
    repeats: usize,
    send: &mut Send<'_>,
) -> io::Result<()> {
    match try_walk(job, repeats, send) {
        Ok((walked, fallback, ran_on)) => send_walked(walked, fallback, ran_on, send),
        Err(stop) => stop.answer(send),
    }
}

/// The results of a walk and of the search after it, and the device they ran on.
type Found = (Walked, Option<Fallback>, RanOn);

fn try_walk(job: SimJob<'_>, repeats: usize, send: &mut Send<'_>) -> Result<Found, Stop> {
    let arithmetic = job.device.arithmetic();
    let declared = StorageCensus::of_simulated(job.device.storage.format);
    let ((mut candidate, ran_on), FedNetwork { model, feeds, plan }) = open_candidate(job, send)?;
    let send = RefCell::new(send);
    let mut announce = |index: usize, operator: &Operator| {
        let (name, op_type) = (operator.name.clone(), operator.op_type.clone());
        // If the parent is gone, sending the finished walk fails.
        let _ = send.borrow_mut()(&Reply::Op { index, name, op_type }, &[]);
    };
    let mut traced = |trace: &Trace| {
        let _ = send.borrow_mut()(&Reply::Traced { trace: trace.clone() }, &[]);
    };
    let open = || NodeReference::new(&model, &feeds, arithmetic);
    let walked = std::thread::scope(|scope| {
        let reference = ReferenceThread::start(scope, open, say_waiting);
        conduct(&mut candidate, &reference, declared, repeats, &mut announce, &mut traced)
    })?;
    let Some(plan) = plan else { return Ok((walked, None, ran_on)) };
    let mut reference = open()?;
    let mut compute =
        |operator: &Operator, inputs: &[Operand]| reference.recompute(operator, inputs);
    let mut begun = |number: usize| {
        let _ = send.borrow_mut()(&Reply::Trial { number }, &[]);
    };
    let mut progress = Progress { operator: &mut announce, trial: &mut begun };
    let found = fallback(&mut candidate, &mut compute, &walked, &plan, &mut progress)?;
    Ok((walked, Some(found), ran_on))
}

/// The network of a job, with its feeds and its plan.
struct FedNetwork {
    model: Model,
    feeds: Vec<Feed>,
    plan: Option<FallbackPlan>,
}

/// A network on a device, and the description of that device.
type Opened = (SimCandidate, RanOn);

/// Reads the network and opens the device on it. Also returns the network with its feeds and its plan.
fn open_candidate(job: SimJob<'_>, send: &mut Send<'_>) -> Result<(Opened, FedNetwork), Stop> {
    let model = job.network.model().map_err(|error| error.to_string())?;
    let feeds: Vec<Feed> = job.feeds.into_iter().map(Feed::from).collect();
    let plan = job.plan;
    let mut simulator = Simulator::new(job.device);
    let opened = simulator.open();
    say(&mut simulator);
    opened.map_err(come_to_an_end)?;
    let device = simulator.device().title();
    let run = DeviceRun::new(&model, &feeds, simulator)?;
    let candidate = SimCandidate { operators: operators(run.steps()), run };
    let ran_on = RanOn {
        engine: "sim".into(),
        engine_version: TRACT_VERSION.into(),
        backend: SIMULATED.into(),
        device,
        driver: String::new(),
        api: None,
        operators: Default::default(),
    };
    let reply = Reply::Opened { ran_on: ran_on.clone(), as_asked: true };
    send(&reply, &[]).map_err(Stop::Pipe)?;
    Ok(((candidate, ran_on), FedNetwork { model, feeds, plan }))
}

/// Prints the device's words to stderr, because the child's stderr is evidence.
fn say(simulator: &mut Simulator) {
    for line in simulator.take_words() {
        // A failed write of evidence is no reason to exit.
        let _ = writeln!(io::stderr(), "simulated driver: {line}");
    }
}

/// Ends the process in the way of the device. A refusal returns its reason instead.
fn come_to_an_end(breakdown: Breakdown) -> String {
    match breakdown {
        Breakdown::Refused(reason) => reason,
        Breakdown::Abort => std::process::abort(),
        Breakdown::Segfault => loop {
            // Rust's own handler returns from the first signal, and makes the next signal deadly.
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::SEGV);
            std::thread::sleep(Duration::from_millis(1));
        },
        Breakdown::Hang => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
    }
}

/// A network on a device, as a candidate to walk.
struct SimCandidate {
    operators: Vec<Operator>,
    run: DeviceRun,
}

impl SimCandidate {
    fn go(
        &mut self,
        watched: bool,
        announce: &mut Announce<'_>,
        observe: &mut dyn FnMut(Executed),
    ) -> Result<Vec<Output>, String> {
        self.run.begin(watched)?;
        for (index, operator) in self.operators.iter().enumerate() {
            announce(index, operator);
            let (inputs, outputs) = passed(self.run.advance(index), &mut self.run)?;
            observe(Executed {
                index,
                operator: operator.clone(),
                backend: SIMULATED.into(),
                inputs: inputs.into_iter().map(operand).collect(),
                outputs: outputs.into_iter().map(Ok).collect(),
                moves: None,
            });
        }
        self.run.outputs()
    }
}

impl Overridable for SimCandidate {
    fn run_overridden(
        &mut self,
        announce: &mut Announce<'_>,
        overrides: &mut Overrides<'_>,
    ) -> Result<Vec<Output>, String> {
        self.run.begin(false)?;
        for (index, operator) in self.operators.iter().enumerate() {
            announce(index, operator);
            let overridden = if overrides.wants(index) {
                override_outputs(&mut self.run, index, operator, overrides)?
            } else {
                None
            };
            match overridden {
                Some(outputs) => self.run.replace(index, &outputs),
                None => drop(passed(self.run.advance(index), &mut self.run)?),
            }
        }
        self.run.outputs()
    }
}

/// A node's overridden outputs. Counts the tensors that travel for them.
fn override_outputs(
    run: &mut DeviceRun,
    index: usize,
    operator: &Operator,
    overrides: &mut Overrides<'_>,
) -> Result<Option<Vec<Tensor>>, String> {
    let inputs = run.steps().inputs(index)?;
    let operands: Vec<Operand> = inputs.iter().cloned().map(operand).collect();
    let Some(outputs) = overrides.outputs(operator, &operands) else { return Ok(None) };
    let steps = run.steps();
    let reads = steps.reads(index).iter().zip(&inputs);
    let reads = reads.filter_map(|(name, input)| Some((name.clone(), input.as_ref()?)));
    overrides.count(reads, steps.writes(index).iter().cloned().zip(&outputs));
    Ok(Some(outputs))
}

/// A node's result. A breakdown of the device ends the process or returns a reason.
fn passed(passed: Result<Passed, NodeStop>, run: &mut DeviceRun) -> Result<Passed, String> {
    say(run.simulator());
    passed.map_err(|stop| match stop {
        NodeStop::Broke(breakdown) => come_to_an_end(breakdown),
        NodeStop::Reference(reason) => reason,
    })
}

fn operand(input: Option<Tensor>) -> Operand {
    input.map_or(Operand::Constant, Operand::Value)
}

impl Candidate for SimCandidate {
    fn reopen(&mut self) -> Result<(), String> {
        self.run.simulator().forget();
        Ok(())
    }

    fn run(&mut self, announce: &mut Announce<'_>) -> Result<Vec<Output>, String> {
        self.go(false, announce, &mut |_| ())
    }

    fn run_tapped(
        &mut self,
        announce: &mut Announce<'_>,
        observe: &mut dyn FnMut(Executed),
    ) -> Result<Vec<Output>, String> {
        self.go(true, announce, observe)
    }
}
