//! What an audit found, as saved.

use super::spot::Spot;
use crate::engine::{Outcome, RanOn};
use crate::graph::ValueName;
use crate::tensor::Digest;
use crate::verdict::{Kind, exit_code};
use serde::{Deserialize, Serialize};

/// The schema that this version writes.
pub const AUDIT_SCHEMA: &str = "offby.audit/1";

/// Whether a target always computes the same, and where it does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditDocument {
    /// [`AUDIT_SCHEMA`].
    pub schema: String,
    /// The version of offby that wrote the file.
    pub made_by: String,
    /// The network's file.
    pub model: String,
    /// The digest of the network's bytes.
    pub digest: Digest,
    /// The target as `--on` names it.
    pub target: String,
    /// Whether the target is a simulated device with planted faults.
    pub simulated: bool,
    /// What really ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_on: Option<RanOn>,
    /// The groups of runs.
    pub lanes: Vec<RunGroup>,
    /// Where two results of the same inputs differ.
    pub spots: Vec<OutputSpot>,
    /// The first operator whose result differs, if one was looked for and found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstUnsteady>,
    /// Why no operator is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_first: Option<String>,
    /// Whether the user ended the audit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The kind of the verdict.
    pub kind: Kind,
    /// The verdict in a sentence.
    pub sentence: String,
}

/// A group of runs that should have one result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunGroup {
    /// How the runs were made.
    pub way: Way,
    /// The number of runs.
    pub runs: usize,
    /// The distinct results.
    pub distinct: Vec<DistinctResult>,
    /// Which of the distinct results each run had, by its place among them. Left out if all runs had one result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<usize>,
    /// What the order of the results says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The largest relative L2 error against the first group's usual result; only for groups that may round
    /// differently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_l2: Option<f64>,
    /// How the last run ended.
    pub outcome: Outcome,
    /// The reason, if it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds for all runs, opening included.
    pub seconds: f64,
}

/// How a group of runs was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// In one process, with the network open.
    OneProcess,
    /// Each in a process of its own.
    NewProcesses,
    /// As the first element of a batch whose other elements are the same.
    BatchOfSame(usize),
    /// As the first element of a batch whose other elements are different.
    BatchOfOthers(usize),
    /// Padded with zeros to this length, without what belongs to the padding.
    Padded(usize),
    /// With this many threads.
    Threads(usize),
}

impl Way {
    /// The way in words.
    pub fn words(self) -> String {
        match self {
            Way::OneProcess => "one process".into(),
            Way::NewProcesses => "new processes".into(),
            Way::BatchOfSame(batch) => format!("first of {batch} equal inputs"),
            Way::BatchOfOthers(batch) => format!("first of {batch} unlike inputs"),
            Way::Padded(length) => format!("padded to {length}"),
            Way::Threads(1) => "1 thread".into(),
            Way::Threads(threads) => format!("{threads} threads"),
        }
    }

    /// Whether the group must have the same bytes as every other such group: only these runs compute the same.
    pub fn is_strict(self) -> bool {
        matches!(self, Way::OneProcess | Way::NewProcesses)
    }
}

/// A result, and how many runs had it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistinctResult {
    /// The digest of all outputs.
    pub digest: Digest,
    /// How many runs had it.
    pub runs: usize,
    /// The first run that had it, counted from 1.
    pub first: usize,
}

/// Where an output differs between two results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputSpot {
    /// The output.
    pub output: ValueName,
    /// The elements that differ.
    #[serde(flatten)]
    pub spot: Spot,
}

/// The first operator whose result differs from run to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirstUnsteady {
    /// The node's name.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// The value that it writes.
    pub value: ValueName,
    /// How many results the value had.
    pub distinct: usize,
    /// In how many runs.
    pub runs: usize,
    /// Where its results differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<Spot>,
}

impl AuditDocument {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match exit_code([self.kind]) {
            0 if self.interrupted => crate::verdict::INCONCLUSIVE,
            code => code,
        }
    }
}
