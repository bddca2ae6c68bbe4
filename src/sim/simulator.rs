//! Simulates a device: run after run, node after node.

use super::fault::{Before, During, Fault, Planted};
use super::inject::inject;
use super::operation::{CurrentRun, NodeFacts, Operation, each};
use super::{Accumulate, Device, sums};
use crate::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// Op types whose second input is a matrix or kernel of weights.
const WEIGHTED: &[&str] = &["Conv", "MatMul", "Gemm"];

/// The ways a device can fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breakdown {
    /// The engine refuses, with this reason.
    Refused(String),
    /// The process aborts.
    Abort,
    /// The process accesses invalid memory.
    Segfault,
    /// The process never ends.
    Hang,
}

/// A simulated device that runs one network.
#[derive(Debug)]
pub struct Simulator {
    device: Device,
    moment: CurrentRun,
    /// The outputs of stale nodes in the previous run, by fault and node.
    stale: BTreeMap<(usize, usize), Vec<Tensor>>,
    /// Whether no further node runs in this run.
    stopped: bool,
    lost: Option<String>,
    /// Faults whose messages were printed already, and messages that no caller has taken yet.
    spoken: BTreeSet<usize>,
    words: Vec<String>,
}

impl Simulator {
    /// A device that has not run yet.
    pub fn new(device: Device) -> Self {
        Simulator {
            device,
            moment: CurrentRun::default(),
            stale: BTreeMap::new(),
            stopped: false,
            lost: None,
            spoken: BTreeSet::new(),
            words: Vec::new(),
        }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Opens the device.
    ///
    /// # Errors
    /// Fails if a fault ends the device before any node runs.
    pub fn open(&mut self) -> Result<(), Breakdown> {
        for number in 0..self.device.faults.len() {
            let planted = &self.device.faults[number];
            if planted.during == Some(During::Opening) {
                let breakdown = process_end(planted.fault);
                self.speak(number);
                if let Some(breakdown) = breakdown {
                    return Err(breakdown);
                }
            }
        }
        Ok(())
    }

    /// Forgets all runs, like a reopened device. Earlier messages are not printed again.
    pub fn forget(&mut self) {
        let (spoken, words) = (std::mem::take(&mut self.spoken), std::mem::take(&mut self.words));
        *self = Simulator { spoken, words, ..Simulator::new(self.device.clone()) };
    }

    /// Begins the next run, watched or not.
    pub fn begin(&mut self, watched: bool) {
        self.moment = CurrentRun { run: self.moment.run + 1, watched };
        self.stopped = false;
    }

    /// An input or a value as the device stores it.
    pub fn keep(&self, tensor: &Tensor) -> Tensor {
        self.device.storage.keep_tensor(tensor)
    }

    /// A weight as the device stores it: a matrix or a kernel has the declared number of weight bits.
    pub fn keep_weight(&self, node: &NodeFacts, tensor: &Tensor) -> Tensor {
        match (self.device.weight_bits, tensor) {
            (Some(bits), Tensor::F32(array))
                if WEIGHTED.contains(&node.op_type.as_str()) && array.ndim() >= 2 =>
            {
                let largest = array.iter().fold(0.0f32, |max, v| max.max(v.abs()));
                let levels = ((1u32 << (bits - 1)) - 1) as f32;
                let step = largest / levels;
                let near =
                    |value: f32| if step > 0.0 { (value / step).round() * step } else { value };
                self.keep(&Tensor::F32(array.mapv(near)))
            }
            _ => self.keep(tensor),
        }
    }

    /// The device's outputs of a node, from the node's inputs and the right outputs on these inputs. The
    /// inputs include constants; `None` is an omitted input.
    ///
    /// # Errors
    /// Fails if a fault ends the device in this node.
    pub fn pass(
        &mut self,
        node: &NodeFacts,
        inputs: &[Option<Tensor>],
        right: Vec<Tensor>,
    ) -> Result<Vec<Tensor>, Breakdown> {
        if let Some(lost) = &self.lost {
            return Err(Breakdown::Refused(lost.clone()));
        }
        let operation = Operation { node, inputs };
        let mut outputs = match self.device.accumulate {
            Accumulate::F16 => sums::in_f16(&operation, &right).unwrap_or(right),
            Accumulate::F32 => right,
        };
        for number in 0..self.device.faults.len() {
            let planted = &self.device.faults[number];
            if planted.during == Some(During::Opening)
                || !touches(planted.fault, node)
                || !planted.at.holds(&operation, &outputs)
                || !planted.at.happens(self.moment.run)
            {
                continue;
            }
            if let Some(breakdown) = self.breakdown(number, node) {
                self.speak(number);
                return Err(breakdown);
            }
            if let Some(injected) = self.inject(number, &operation, &outputs) {
                self.speak(number);
                outputs = injected;
            }
        }
        if self.stopped {
            outputs = each(&outputs, |_, _| 0.0);
        }
        Ok(outputs.iter().map(|output| self.keep(output)).collect())
    }

    /// The driver's messages since the last call.
    pub fn take_words(&mut self) -> Vec<String> {
        std::mem::take(&mut self.words)
    }

    fn speak(&mut self, number: usize) {
        if self.spoken.insert(number) {
            self.words.extend(self.device.faults[number].says.iter().cloned());
        }
    }

    fn breakdown(&mut self, number: usize, node: &NodeFacts) -> Option<Breakdown> {
        let title = self.device.title();
        let which = format!("operator {}, {} `{}`", node.index, node.op_type, node.label);
        match self.device.faults[number].fault {
            Fault::Refuse => Some(Breakdown::Refused(format!("{title} does not support {which}"))),
            Fault::BuildError => Some(Breakdown::Refused(format!(
                "{title} cannot compile its kernel for {which}; its compiler's words are in the evidence"
            ))),
            Fault::DeviceLost => {
                let reason = format!("{title} was lost (VK_ERROR_DEVICE_LOST) in {which}");
                self.lost = Some(reason.clone());
                Some(Breakdown::Refused(reason))
            }
            other => process_end(other),
        }
    }

    fn inject(
        &mut self,
        number: usize,
        operation: &Operation<'_>,
        outputs: &[Tensor],
    ) -> Option<Vec<Tensor>> {
        let planted: &Planted = &self.device.faults[number];
        match planted.fault {
            Fault::Stale => {
                let empty = match planted.before.unwrap_or_default() {
                    Before::Zero => 0.0,
                    Before::Nan => f32::NAN,
                };
                let place = (number, operation.node.index);
                let before = self.stale.insert(place, outputs.to_vec());
                Some(before.unwrap_or_else(|| each(outputs, |_, _| empty)))
            }
            Fault::ZeroOutput => {
                self.stopped = true;
                Some(each(outputs, |_, _| 0.0))
            }
            _ => inject(planted, operation, outputs, &self.device.storage, self.moment),
        }
    }
}

/// Whether a fault can touch nodes of this type.
fn touches(fault: Fault, node: &NodeFacts) -> bool {
    let ops = fault.touches();
    ops.is_empty() || ops.contains(&node.op_type.as_str())
}

/// How a fault ends the process, if it ends the process.
fn process_end(fault: Fault) -> Option<Breakdown> {
    match fault {
        Fault::Abort => Some(Breakdown::Abort),
        Fault::Segfault => Some(Breakdown::Segfault),
        Fault::Hang => Some(Breakdown::Hang),
        _ => None,
    }
}
