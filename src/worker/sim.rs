//! Simulated devices in the child: the reference's nodes, each passed through the device. What a walk
//! finds on them was planted; nothing found on them says anything of a real device.

use super::host::{Send, send_walked};
use super::open::{OpenNetwork, Stop};
use super::protocol::{ModelHead, Reply, TensorHead, unpack};
use crate::engine::{
    Breakdown, Device, DeviceRun, Output, RanOn, Simulator, Stop as NodeStop, TRACT_VERSION,
};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use crate::walk::{
    Announce, Candidate, Executed, NodeReference, Operand, Operator, Walked, conduct, operators,
};
use std::io::{self, Write as _};
use std::time::Duration;

/// One network to run or walk on one simulated device.
pub(super) struct SimJob {
    /// The ONNX file, whose bytes come first in the frame's body.
    pub(super) model: ModelHead,
    /// The device.
    pub(super) device: Device,
    /// The tensors behind the model in the frame's body.
    pub(super) feeds: Vec<TensorHead>,
}

/// Opens a device on a network, with its feeds.
pub(super) fn open(job: SimJob, body: &[u8], send: &mut Send<'_>) -> Result<OpenDevice, Stop> {
    let ((candidate, ran_on), _) = open_candidate(job, body, send)?;
    Ok(OpenDevice { candidate, ran_on })
}

/// A network on a device, to be run as often as one likes.
pub(super) struct OpenDevice {
    candidate: SimCandidate,
    ran_on: RanOn,
}

impl OpenNetwork for OpenDevice {
    fn run(&mut self) -> Result<Vec<Output>, String> {
        self.candidate.go(false, &mut |_, _| (), &mut |_| ())
    }

    fn ran_on(&mut self) -> Result<RanOn, String> {
        Ok(self.ran_on.clone())
    }
}

/// Walks, and answers.
pub(super) fn walk(
    job: SimJob,
    repeats: usize,
    body: &[u8],
    send: &mut Send<'_>,
) -> io::Result<()> {
    match try_walk(job, repeats, body, send) {
        Ok((walked, ran_on)) => send_walked(walked, ran_on, send),
        Err(stop) => stop.answer(send),
    }
}

fn try_walk(
    job: SimJob,
    repeats: usize,
    body: &[u8],
    send: &mut Send<'_>,
) -> Result<(Walked, RanOn), Stop> {
    let declared = job.device.storage.format;
    let ((mut candidate, ran_on), (model, feeds)) = open_candidate(job, body, send)?;
    let mut reference = NodeReference::new(&model, &feeds)?;
    let mut announce = |index: usize, operator: &Operator| {
        let (name, op_type) = (operator.name.clone(), operator.op_type.clone());
        // A parent that is gone is noticed when the walk is sent.
        let _ = send(&Reply::Op { index, name, op_type }, &[]);
    };
    let walked = conduct(&mut candidate, &mut reference, declared, repeats, &mut announce)?;
    Ok((walked, ran_on))
}

/// A device with a network on it, and where it runs.
type Opened = (SimCandidate, RanOn);

/// Reads the network and opens the device on it; gives the network and the feeds, too.
fn open_candidate(
    job: SimJob,
    body: &[u8],
    send: &mut Send<'_>,
) -> Result<(Opened, (Model, Vec<Feed>)), Stop> {
    let (model, body) = job.model.read(body)?;
    let feeds = unpack(job.feeds, body).map_err(|error| error.to_string())?;
    let feeds: Vec<Feed> = feeds.into_iter().map(Feed::from).collect();
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
        backend: "simulated".into(),
        device,
        driver: String::new(),
        operators: Default::default(),
    };
    let reply = Reply::Opened { ran_on: ran_on.clone(), as_asked: true };
    send(&reply, &[]).map_err(Stop::Pipe)?;
    Ok(((candidate, ran_on), (model, feeds)))
}

/// The device's words are evidence: whatever the child says on stderr is.
fn say(simulator: &mut Simulator) {
    for line in simulator.take_words() {
        // Evidence that cannot be given is no reason to end.
        let _ = writeln!(io::stderr(), "simulated driver: {line}");
    }
}

/// Ends the process as the device does; a refusal comes back as its reason.
fn come_to_an_end(breakdown: Breakdown) -> String {
    match breakdown {
        Breakdown::Refused(reason) => reason,
        Breakdown::Abort => std::process::abort(),
        Breakdown::Segfault => loop {
            // Rust's own handler returns from the first one, having made the next one deadly.
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
        observe: &mut dyn FnMut(&Executed),
    ) -> Result<Vec<Output>, String> {
        self.run.begin(watched)?;
        for (index, operator) in self.operators.iter().enumerate() {
            announce(index, operator);
            let passed = self.run.advance(index);
            say(self.run.simulator());
            let (inputs, outputs) = passed.map_err(|stop| match stop {
                NodeStop::Broke(breakdown) => come_to_an_end(breakdown),
                NodeStop::Reference(reason) => reason,
            })?;
            observe(&Executed {
                index,
                operator: operator.clone(),
                backend: "simulated".into(),
                inputs: inputs.into_iter().map(operand).collect(),
                outputs: outputs.into_iter().map(Ok).collect(),
                moves: None,
            });
        }
        self.run.outputs()
    }
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
        observe: &mut dyn FnMut(&Executed),
    ) -> Result<Vec<Output>, String> {
        self.go(true, announce, observe)
    }
}
