//! Simulated devices: tract, node by node, with a declared fault. What a walk finds on them was
//! planted; nothing found on them says anything of a real device.

use super::host::{Send, send_walked};
use super::protocol::{Reply, TensorHead, unpack};
use crate::engine::{NodeSteps, Output, RanOn, SimFault, SimTarget, TRACT_VERSION};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use crate::walk::{
    Announce, Candidate, Clean, Executed, Operand, Operator, Reference, Unchecked, Walked, conduct,
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
    let mut candidate = SimCandidate {
        steps: NodeSteps::new(&model)?,
        feeds: &feeds,
        target: job.target.clone(),
        runs: 0,
    };
    let mut reference = TractReference {
        steps: NodeSteps::new(&model)?,
        feeds: &feeds,
        numbers: BTreeMap::new(),
        cursor: 0,
    };
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
            let (name, op_type) = self.steps.node(index);
            let operator = Operator { name, occurrence: 0, op_type };
            announce(index, &operator);
            let inputs = self.steps.inputs(index)?;
            let right = self.steps.compute(index, &inputs, &Tensor::clone)?;
            let outputs = self.spoil(index, watched, right);
            self.steps.store(index, &outputs);
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

/// tract as the walk's reference, at the level of ONNX nodes.
struct TractReference<'f> {
    steps: NodeSteps,
    feeds: &'f [Feed],
    numbers: BTreeMap<String, usize>,
    cursor: usize,
}

impl TractReference<'_> {
    fn number(&mut self, operator: &Operator) -> Result<usize, Unchecked> {
        if self.numbers.is_empty() {
            self.numbers =
                (0..self.steps.len()).map(|step| (self.steps.node(step).0, step)).collect();
        }
        self.numbers
            .get(&operator.name)
            .copied()
            .ok_or_else(|| "the reference has no such node".into())
    }

    fn on(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
        weights: &dyn Fn(&Tensor) -> Tensor,
    ) -> Result<Vec<Tensor>, Unchecked> {
        let number = self.number(operator)?;
        let value = |input: &Operand| match input {
            Operand::Value(tensor) => Ok(Some(tensor.clone())),
            Operand::Constant => Ok(None),
            Operand::Unreadable(reason) => Err(reason.clone()),
        };
        let inputs = inputs.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        self.steps.compute(number, &inputs, weights)
    }

    /// Computes the stream up to a step, each value changed as it comes.
    fn run_to(&mut self, end: usize, change: &dyn Fn(&Tensor) -> Tensor) -> Result<(), String> {
        for step in self.cursor..end {
            let inputs = self.steps.inputs(step)?;
            let outputs = self.steps.compute(step, &inputs, change)?;
            let outputs: Vec<Tensor> = outputs.iter().map(change).collect();
            self.steps.store(step, &outputs);
        }
        self.cursor = self.cursor.max(end);
        Ok(())
    }
}

impl Reference for TractReference<'_> {
    fn restart(&mut self) -> Result<(), String> {
        self.cursor = 0;
        self.steps.start(self.feeds)
    }

    fn complete(&mut self) -> Result<Vec<Output>, String> {
        self.run_to(self.steps.len(), &Tensor::clone)?;
        self.steps.outputs()
    }

    fn half_outputs(&mut self) -> Result<Vec<Output>, String> {
        self.restart()?;
        self.run_to(self.steps.len(), &round_to_f16)?;
        self.steps.outputs()
    }

    fn recompute(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked> {
        self.on(operator, inputs, &Tensor::clone)
    }

    fn recompute_half(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked> {
        self.on(operator, inputs, &round_to_f16)
    }

    fn advance(&mut self, operator: &Operator) -> Result<Clean, Unchecked> {
        let number = self.number(operator)?;
        self.run_to(number, &Tensor::clone)?;
        let inputs = self.steps.inputs(number)?;
        let outputs = self.steps.compute(number, &inputs, &Tensor::clone)?;
        self.steps.store(number, &outputs);
        self.cursor = number + 1;
        Ok(Clean { inputs, outputs, conversion: None })
    }
}
