//! The contract of every engine, the targets that name engines, and the tract reference.
//!
//! An engine takes a [`Request`] and returns an [`Execution`]: the outcome, the backend that really
//! ran, and the outputs. A failure of an engine is an outcome, never an error of offby.

mod nvidia;
mod open_session;
mod outcome;
mod panics;
mod place;
mod target;
mod tract;
mod unary;

pub use nvidia::nvidia_driver;
pub use open_session::OpenSession;
pub use outcome::{Ended, Execution, Outcome, Output, Runs, same_bytes};
pub use place::{Place, Via, ViaError};
pub use target::{
    Backend, DumpTarget, ExtTarget, Memory, MnnTarget, OrtTarget, PlacedTarget, Precision,
    Provider, SimTarget, Target, TargetError, Tune, Weights,
};
pub use tract::{
    ComputeNode, NodeSteps, Second, StepsAhead, Tract, VERSION as TRACT_VERSION, Values,
};
#[cfg(feature = "tract-cuda")]
pub use tract::{TractCuda, missing_cuda};

use crate::graph::Model;
use crate::inputs::Feed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The backend of operators that a processor runs.
pub const CPU: &str = "cpu";
/// The backend of simulated devices.
pub const SIMULATED: &str = "simulated";
/// The backend of values that another tool dumped.
pub const DUMP: &str = "dump";

/// The engine, backend and device that really ran, as opposed to the requested ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RanOn {
    /// The engine: `tract`, `mnn`.
    pub engine: String,
    /// The engine's version.
    pub engine_version: String,
    /// The backend that really ran: `cpu`, `vulkan`, `opencl`.
    pub backend: String,
    /// The device's own name.
    pub device: String,
    /// The driver and its version; empty if no driver is involved.
    pub driver: String,
    /// The interface that ran the network, if the engine has several: MNN's `session` or `module`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// How many operators each backend executed. A backend that lacks an operator hands it to
    /// the CPU silently; these counts show that. Empty if the engine does not report them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub operators: BTreeMap<String, usize>,
}

/// One network to run, with its inputs and limits.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The network; its input shapes are resolved.
    pub model: &'a Model,
    /// One tensor for each input.
    pub feeds: &'a [Feed],
    /// The number of runs, at least 1.
    pub repeats: usize,
    /// The longest the whole request may take.
    pub deadline: Duration,
}

/// An engine that runs networks.
pub trait Engine {
    /// Runs the network. The outcome says how the run ended.
    fn execute(&self, request: &Request<'_>) -> Execution;

    /// A session for many small networks, one after the other. If the engine can, the session keeps
    /// costly parts between networks: a child process, a converter.
    fn session(&self) -> Box<dyn EngineSession + '_> {
        Box::new(self)
    }
}

/// Runs one network after the other; no network sees data of an earlier network.
pub trait EngineSession {
    /// Runs the network. The outcome says how the run ended.
    fn execute(&mut self, request: &Request<'_>) -> Execution;

    /// Runs the network of the last `execute` again, on the same feeds. Only repeats and deadline of the
    /// request may differ. If the engine can, the session has kept the network open.
    fn again(&mut self, request: &Request<'_>) -> Execution {
        self.execute(request)
    }

    /// Runs the network of the last `execute` on other feeds of the same shapes: all inputs of a data set,
    /// one after the other. If the last run returned no outputs, the caller must call `execute` again.
    fn next(&mut self, request: &Request<'_>) -> Execution {
        self.execute(request)
    }

    /// Whether `next` also takes feeds of other shapes, as the tokens of a decoder have.
    fn takes_other_shapes(&self) -> bool {
        false
    }
}

impl<E: Engine + ?Sized> EngineSession for &E {
    fn execute(&mut self, request: &Request<'_>) -> Execution {
        Engine::execute(*self, request)
    }
}
