//! The contract every engine keeps, the targets that name them, and the tract reference.
//!
//! An engine takes a [`Request`] and gives an [`Execution`]: what happened, where it really ran,
//! and the outputs. What happens to an engine is an outcome, never an error of ours.

mod device;
mod outcome;
mod panics;
mod place;
mod target;
mod tract;
mod unary;

pub use device::{
    Accumulate, Before, Breakdown, Condition, Device, DeviceRun, During, Fault, Moment, NodeFacts,
    Overflow, Passed, Planted, Simulator, Stop, StorageRules, Subnormals,
};
pub use outcome::{Ended, Execution, Outcome, Output, Runs, same_bytes};
pub use place::{Place, Via, ViaError};
pub use target::{
    Backend, ExtTarget, Memory, MnnTarget, OrtTarget, PlacedTarget, Precision, Provider, SimTarget,
    Target, TargetError, Tune, Weights,
};
pub use tract::{ComputeNode, NodeSteps, Second, Tract, VERSION as TRACT_VERSION, Values};

use crate::graph::Model;
use crate::inputs::Feed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What really ran, as opposed to what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RanOn {
    /// The engine: `tract`, `mnn`.
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// The backend that really ran: `cpu`, `vulkan`, `opencl`.
    pub backend: String,
    /// The device's own name.
    pub device: String,
    /// The driver and its version; empty where none is involved.
    pub driver: String,
    /// Which of the engine's interfaces ran it, if it has several: MNN's `session` or `module`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// How many operators each backend executed. A backend that lacks an operator hands it to
    /// the CPU without a word; this is where that shows. Empty where the engine cannot tell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub operators: BTreeMap<String, usize>,
}

/// One network to run, and how.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The network; its input shapes are resolved.
    pub model: &'a Model,
    /// One tensor for each input.
    pub feeds: &'a [Feed],
    /// How often to run it, at least once.
    pub repeats: usize,
    /// The longest the whole may take.
    pub deadline: Duration,
}

/// Anything that runs a network.
pub trait Engine {
    /// Runs the network to its end, whatever that is.
    fn execute(&self, request: &Request<'_>) -> Execution;

    /// For many small networks, one after the other. What is costly to set up is kept between them
    /// where the engine can: a child process, a converter.
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(self)
    }
}

/// Runs one network after the other; none of them sees anything of the one before.
pub trait Session {
    /// Runs the network to its end, whatever that is.
    fn execute(&mut self, request: &Request<'_>) -> Execution;

    /// Runs the network of the last `execute` again, with the feeds it had then: of the request only
    /// repeats and deadline may be others. An engine that can has kept the network open.
    fn again(&mut self, request: &Request<'_>) -> Execution {
        self.execute(request)
    }

    /// Runs the network of the last `execute` on other feeds of the same shapes: all inputs of a data set,
    /// one after the other. Where the last run gave nothing, `execute` is to be called again.
    fn next(&mut self, request: &Request<'_>) -> Execution {
        self.execute(request)
    }
}

impl<E: Engine + ?Sized> Session for &E {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        Engine::execute(*self, request)
    }
}
