//! Simulated devices: tract, node by node, with a declared fault. What a walk finds on them was
//! planted; nothing found on them says anything of a real device.

use super::host::{Send, send_walked};
use super::protocol::{Reply, TensorHead, unpack};
use crate::engine::{NodeSteps, Output, RanOn, SimFault, SimTarget, TRACT_VERSION};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use crate::walk::{
    Announce, Candidate, Executed, NodeReference, Operand, Operator, Walked, conduct, operators,
    round_to_f16,
};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// One network to walk on one simulated device.
pub(super) struct SimJob {
    /// The ONNX file.
    pub(super) model: PathBuf,
    /// The device.
    pub(super) target: SimTarget,
    /// The tensors in the frame's body.
    pub(super) feeds: Vec<TensorHead>,
    /// How often to run it untapped.
    pub(super) repeats: usize,
}

/// Walks and answers.
pub(super) fn walk(job: &SimJob, body: &[u8], send: &mut Send<'_>) -> io::Result<()> {
    match try_walk(job, body, send) {
        Ok((walked, ran_on)) => send_walked(walked, ran_on, send),
        Err(reason) => send(&Reply::Rejected { reason }, &[]),
    }
}

fn try_walk(job: &SimJob, body: &[u8], send: &mut Send<'_>) -> Result<(Walked, RanOn), String> {
    let model = Model::load(&job.model).map_err(|error| error.to_string())?;
    let feeds = unpack(job.feeds.clone(), body).map_err(|error| error.to_string())?;
    let feeds: Vec<Feed> = feeds.into_iter().map(Feed::from).collect();
    let steps = NodeSteps::new(&model)?;
    let mut candidate = SimCandidate {
        operators: operators(&steps),
        steps,
        feeds: &feeds,
        target: job.target.clone(),
        runs: 0,
    };
    let mut reference = NodeReference::new(&model, &feeds)?;
    let ran_on = RanOn {
        engine: "sim".into(),
        engine_version: TRACT_VERSION.into(),
        backend: "simulated".into(),
        device: format!("simulated {}", job.target.fault),
        driver: String::new(),
        operators: BTreeMap::new(),
    };
    let opened = Reply::Opened { ran_on: ran_on.clone(), as_asked: true };
    send(&opened, &[]).map_err(|error| error.to_string())?;
    let mut announce = |index: usize, operator: &Operator| {
        let (name, op_type) = (operator.name.clone(), operator.op_type.clone());
        // A parent that is gone is noticed when the walk is sent.
        let _ = send(&Reply::Op { index, name, op_type }, &[]);
    };
    let walked = conduct(&mut candidate, &mut reference, job.repeats, &mut announce)?;
    Ok((walked, ran_on))
}

/// tract with a fault.
struct SimCandidate<'f> {
    operators: Vec<Operator>,
    steps: NodeSteps,
    feeds: &'f [Feed],
    target: SimTarget,
    runs: usize,
}

impl SimCandidate<'_> {
    fn go(
        &mut self,
        watched: bool,
        announce: &mut Announce<'_>,
        observe: &mut dyn FnMut(&Executed),
    ) -> Result<Vec<Output>, String> {
        self.runs += 1;
        self.steps.start(self.feeds)?;
        for index in 0..self.steps.len() {
            let operator = self.operators[index].clone();
            announce(index, &operator);
            let inputs = self.steps.inputs(index)?;
            let right = self.steps.compute(index, &inputs, &Tensor::clone)?;
            let outputs = self.spoil(index, watched, right);
            self.steps.store(index, &outputs);
            self.steps.forget(index);
            observe(&Executed {
                index,
                operator,
                backend: "simulated".into(),
                inputs: inputs.into_iter().map(operand).collect(),
                outputs: outputs.into_iter().map(Ok).collect(),
                moves: None,
            });
        }
        self.steps.outputs()
    }

    fn spoil(&self, index: usize, watched: bool, right: Vec<Tensor>) -> Vec<Tensor> {
        if self.target.fault == SimFault::F16 {
            return right.iter().map(round_to_f16).collect();
        }
        if index != self.target.at {
            return right;
        }
        let runs = self.runs as f32;
        match self.target.fault {
            SimFault::Honest | SimFault::F16 => right,
            SimFault::Nan => change(right, |at, value| if at == 0 { f32::NAN } else { value }),
            SimFault::Scale => change(right, |_, value| 2.0 * value),
            SimFault::Zero => change(right, |_, _| 0.0),
            SimFault::Random => change(right, |_, value| value + runs),
            SimFault::Liar if watched => right,
            SimFault::Liar => change(right, |_, value| value + 1.0),
            SimFault::Crash => std::process::abort(),
            SimFault::Hang => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
        }
    }
}

fn change(tensors: Vec<Tensor>, with: impl Fn(usize, f32) -> f32) -> Vec<Tensor> {
    let changed = |tensor| match tensor {
        Tensor::F32(mut array) => {
            array.iter_mut().enumerate().for_each(|(at, value)| *value = with(at, *value));
            Tensor::F32(array)
        }
        other => other,
    };
    tensors.into_iter().map(changed).collect()
}

fn operand(input: Option<Tensor>) -> Operand {
    input.map_or(Operand::Constant, Operand::Value)
}

impl Candidate for SimCandidate<'_> {
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
