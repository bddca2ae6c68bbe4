//! Simulated devices in the child: the reference's nodes, each passed through the device. What a walk
//! finds on them was planted; nothing found on them says anything of a real device.

use super::contents::NETWORK;
use super::host::{Send, send_walked};
use super::protocol::{Reply, pack};
use crate::engine::{
    Breakdown, Device, DeviceRun, Output, RanOn, Runs, Simulator, Stop, TRACT_VERSION, same_bytes,
};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use crate::walk::{
    Announce, Candidate, Executed, NodeReference, Operand, Operator, Walked, conduct, operators,
};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// One network to run or walk on one simulated device.
pub(super) struct SimJob<'a> {
    /// The bytes of the ONNX file.
    pub(super) model: &'a [u8],
    /// The device.
    pub(super) device: Device,
    /// One tensor for each input.
    pub(super) feeds: Vec<Output>,
    /// How often to run it untapped.
    pub(super) repeats: usize,
}

/// Runs, and answers.
pub(super) fn run(job: SimJob<'_>, send: &mut Send<'_>) -> io::Result<()> {
    match try_run(job, send) {
        Ok((outputs, runs, ran_on)) => {
            let (outputs, body) = pack(outputs.iter().map(|o| (&o.name, &o.tensor)));
            send(&Reply::Ran { outputs, runs, ran_on }, &body)
        }
        Err(reason) => send(&Reply::Rejected { reason }, &[]),
    }
}

/// Walks, and answers.
pub(super) fn walk(job: SimJob<'_>, send: &mut Send<'_>) -> io::Result<()> {
    match try_walk(job, send) {
        Ok((walked, ran_on)) => send_walked(walked, ran_on, send),
        Err(reason) => send(&Reply::Rejected { reason }, &[]),
    }
}

fn try_run(job: SimJob<'_>, send: &mut Send<'_>) -> Result<(Vec<Output>, Runs, RanOn), String> {
    let started = Instant::now();
    let repeats = job.repeats.max(1);
    let (mut candidate, ran_on) = open(job, send)?.0;
    let open_seconds = started.elapsed().as_secs_f64();
    let (mut first, mut identical, mut seconds) = (None, true, Vec::new());
    for _ in 0..repeats {
        let started = Instant::now();
        let outputs = candidate.go(false, &mut |_, _| (), &mut |_| ())?;
        seconds.push(started.elapsed().as_secs_f64());
        identical &= same_bytes(first.get_or_insert_with(|| outputs.clone()), &outputs);
    }
    let runs = Runs { repeats, identical, open_seconds, seconds };
    Ok((first.unwrap_or_default(), runs, ran_on))
}

fn try_walk(job: SimJob<'_>, send: &mut Send<'_>) -> Result<(Walked, RanOn), String> {
    let (repeats, declared) = (job.repeats, job.device.storage.format);
    let ((mut candidate, ran_on), (model, feeds)) = open(job, send)?;
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
fn open(job: SimJob<'_>, send: &mut Send<'_>) -> Result<(Opened, (Model, Vec<Feed>)), String> {
    let model =
        Model::from_bytes(job.model, Path::new(NETWORK)).map_err(|error| error.to_string())?;
    let feeds: Vec<Feed> = job.feeds.into_iter().map(Feed::from).collect();
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
    send(&reply, &[]).map_err(|error| error.to_string())?;
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
                Stop::Broke(breakdown) => come_to_an_end(breakdown),
                Stop::Reference(reason) => reason,
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
