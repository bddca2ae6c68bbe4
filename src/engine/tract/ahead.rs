//! The stream of a network on a thread of its own, a few steps ahead of its reader.

use super::steps::NodeSteps;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// How many steps may wait for the reader. Each holds its outputs.
const AHEAD: usize = 4;

/// The outputs of each step on these feeds, in the order of the steps.
pub struct StepsAhead(Receiver<Vec<Tensor>>);

impl StepsAhead {
    /// Starts the stream. The thread ends after the last step, after a step that fails, or when this is dropped.
    pub fn start(steps: &NodeSteps, feeds: &[Feed]) -> Self {
        let (twin, feeds) = (steps.twin(), feeds.to_vec());
        let (write, read) = sync_channel(AHEAD);
        thread::spawn(move || run(twin.into_steps(), &feeds, &write));
        StepsAhead(read)
    }

    /// The outputs of the next step; `None` if there is none, or if it failed.
    pub fn next_step(&mut self) -> Option<Vec<Tensor>> {
        self.0.recv().ok()
    }
}

fn run(mut steps: NodeSteps, feeds: &[Feed], write: &SyncSender<Vec<Tensor>>) {
    if steps.start(feeds).is_err() {
        return;
    }
    for step in 0..steps.len() {
        if steps.advance(step, &Tensor::clone).is_err() {
            return;
        }
        let outputs = steps.writes(step).iter().filter_map(|name| steps.value(name).cloned());
        if write.send(outputs.collect()).is_err() {
            return;
        }
    }
}
