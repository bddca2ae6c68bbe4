//! How an engine's run ended. Every ending has a name, and no ending is an `Err`.

use super::RanOn;
use crate::graph::ValueName;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How an engine's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The engine ran on the requested backend and returned outputs.
    Completed,
    /// The engine ran, but on a different backend than requested.
    FellBack,
    /// The engine refused the model or the inputs with a message of its own.
    Rejected,
    /// The engine's process died.
    Crashed,
    /// The deadline passed.
    TimedOut,
    /// The engine, backend or driver is missing.
    Unavailable,
    /// The user interrupted the command during the run or before it.
    Interrupted,
}

impl Outcome {
    /// The name used in reports: `fell_back`, `timed_out`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::FellBack => "fell_back",
            Outcome::Rejected => "rejected",
            Outcome::Crashed => "crashed",
            Outcome::TimedOut => "timed_out",
            Outcome::Unavailable => "unavailable",
            Outcome::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a worker process ended without an answer: the evidence for the outcome.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// No usable worker: its command could not be started, or its version is a different one.
    Absent,
    /// The worker exited with a status.
    Exit,
    /// A signal ended the worker, for example after a failed assertion.
    Signal,
    /// The worker exceeded its memory limit and was killed.
    OutOfMemory,
    /// The worker was silent until the deadline and was killed.
    Deadline,
    /// The worker's pipe carried bytes that are not a frame.
    Garbage,
    /// The worker's pipe ended in the middle of a frame.
    HalfFrame,
    /// The worker's pipe ended, and the worker kept running.
    EarlyEof,
    /// The user interrupted the command.
    Interrupted,
}

/// One output of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The name of the value in the graph.
    pub name: ValueName,
    /// The value's elements.
    pub tensor: Tensor,
}

impl From<Output> for Feed {
    /// The output as a feed. The spec is empty: a tensor that came over a pipe has lost its spec.
    fn from(output: Output) -> Self {
        Feed::new(output.name, "", output.tensor)
    }
}

/// Whether two runs returned the same outputs, byte for byte: NaN equals NaN here, and -0 is not 0.
pub fn same_bytes(a: &[Output], b: &[Output]) -> bool {
    let same = |(a, b): (&Output, &Output)| {
        a.tensor.dtype() == b.tensor.dtype()
            && a.tensor.shape() == b.tensor.shape()
            && a.tensor.bytes() == b.tensor.bytes()
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// Repeated runs on the same inputs: whether their bytes agree, and their times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Runs {
    /// How often the network ran.
    pub repeats: usize,
    /// Whether all runs returned the same bytes.
    pub identical: bool,
    /// Seconds to open the model: weights, kernel compilation, tuning.
    #[serde(default)]
    pub open_seconds: f64,
    /// Seconds of each run, feeding and reading included.
    #[serde(default)]
    pub seconds: Vec<f64>,
}

/// The result of running one network on one target.
#[derive(Debug, Clone)]
pub struct Execution {
    /// How the execution ended.
    pub outcome: Outcome,
    /// The engine and backend that really ran; absent if the engine failed before that was known.
    pub ran_on: Option<RanOn>,
    /// The reason in one sentence, if the outcome is not `Completed`.
    pub reason: Option<String>,
    /// How the worker ended, if it sent no answer.
    pub ended: Option<Ended>,
    /// Advice for the user.
    pub hint: Option<String>,
    /// Messages of the engine and the driver, line by line.
    pub evidence: Vec<String>,
    /// The outputs of the first run; empty unless `Completed`.
    pub outputs: Vec<Output>,
    /// The repeated runs and their times.
    pub runs: Option<Runs>,
}

impl Execution {
    /// A completed execution.
    pub fn completed(ran_on: RanOn, outputs: Vec<Output>, runs: Runs) -> Self {
        Execution {
            outcome: Outcome::Completed,
            ran_on: Some(ran_on),
            reason: None,
            ended: None,
            hint: None,
            evidence: Vec::new(),
            outputs,
            runs: Some(runs),
        }
    }

    /// An execution without outputs, and the reason.
    pub fn without_outputs(outcome: Outcome, reason: impl Into<String>) -> Self {
        Execution {
            outcome,
            ran_on: None,
            reason: Some(on_one_line(&reason.into())),
            ended: None,
            hint: None,
            evidence: Vec::new(),
            outputs: Vec::new(),
            runs: None,
        }
    }

    /// The same execution with a hint.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
/// An engine's words on one line: sentences contain them.
fn on_one_line(words: &str) -> String {
    let lines = words.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}
