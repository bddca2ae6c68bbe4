//! What happened to an engine. Every way a run can end has a name; none of them is an `Err`.

use super::RanOn;
use crate::graph::ValueName;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How an engine's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The engine ran where it was asked to and gave outputs.
    Completed,
    /// The engine ran, but on another backend than the one asked for.
    FellBack,
    /// The engine refused the model or the inputs in words of its own.
    Rejected,
    /// The engine's process died.
    Crashed,
    /// The deadline passed.
    TimedOut,
    /// The engine, backend or driver is not here.
    Unavailable,
    /// The user ended the command before it came to its end, or before it began.
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

/// How a worker came to an end without an answer: what the outcome rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// There was none: its command could not be started, or it is of another version.
    Absent,
    /// It left with a status.
    Exit,
    /// It died by a signal; an assertion that failed is one.
    Signal,
    /// It used more memory than it was given, and was killed.
    OutOfMemory,
    /// It was silent until the deadline, and was killed.
    Deadline,
    /// Its pipe carried something that is no frame.
    Garbage,
    /// Its pipe ended in the middle of a frame.
    HalfFrame,
    /// Its pipe ended, and it went on running.
    EarlyEof,
    /// The user ended the command.
    Interrupted,
}

/// One output of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The name of the value in the graph.
    pub name: ValueName,
    /// Its elements.
    pub tensor: Tensor,
}

impl From<Output> for Feed {
    /// The tensor as a feed, where it came over a pipe and its spec was left behind.
    fn from(output: Output) -> Self {
        Feed::new(output.name, "", output.tensor)
    }
}

/// Whether two runs gave the same outputs, byte for byte: NaN equals NaN here, and -0 is not 0.
pub fn same_bytes(a: &[Output], b: &[Output]) -> bool {
    let same = |(a, b): (&Output, &Output)| {
        a.tensor.dtype() == b.tensor.dtype()
            && a.tensor.shape() == b.tensor.shape()
            && a.tensor.to_bytes() == b.tensor.to_bytes()
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// Whether the same inputs gave the same bytes each time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    /// How often the network ran.
    pub repeats: usize,
    /// Whether all runs gave the same bytes.
    pub identical: bool,
    /// Seconds to open the model: weights, kernel compilation, tuning.
    #[serde(default)]
    pub open_seconds: f64,
    /// Seconds of each run, feeding and reading included.
    #[serde(default)]
    pub seconds: Vec<f64>,
}

/// All that came of running one network on one target.
#[derive(Debug, Clone)]
pub struct Execution {
    /// How it ended.
    pub outcome: Outcome,
    /// What really ran; absent where the engine never got that far.
    pub ran_on: Option<RanOn>,
    /// Why, in one sentence, where the outcome is not `Completed`.
    pub reason: Option<String>,
    /// How the worker ended, where it gave no answer.
    pub ended: Option<Ended>,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// What engine and driver said, line by line.
    pub evidence: Vec<String>,
    /// The outputs of the first run; empty unless `Completed`.
    pub outputs: Vec<Output>,
    /// Repetition.
    pub runs: Option<Runs>,
}

impl Execution {
    /// An execution that came to its end.
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

    /// An execution that gave no outputs, and why.
    pub fn without_outputs(outcome: Outcome, reason: impl Into<String>) -> Self {
        Execution {
            outcome,
            ran_on: None,
            reason: Some(reason.into()),
            ended: None,
            hint: None,
            evidence: Vec::new(),
            outputs: Vec::new(),
            runs: None,
        }
    }

    /// The same with a hint.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
