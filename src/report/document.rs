//! The report as it is saved: `schema: "offby.report/1"`. Fields may come, names stay.

use super::judging::{JudgedAgain, JudgedBy};
use crate::bench::Bench;
use crate::choice::Choice;
use crate::compare::{Agreement, Comparison, Explanation, Judgement};
use crate::engine::{Ended, Outcome, RanOn, Runs};
use crate::graph::ValueName;
use crate::tensor::{Digest, Dtype};
use crate::verdict::{
    Finding, INCONCLUSIVE, Origin, Ruling, StrategyAgreement, Verdict, exit_code,
};
use crate::walk::{Blind, Fallback, Gauge, NonfiniteOutput, WalkReport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The schema this version writes.
pub const SCHEMA: &str = "offby.report/1";

/// One command's findings, complete: it can be rendered again without running anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Who wrote it.
    pub tool: ToolReport,
    /// The command: `run`.
    pub command: String,
    /// The network.
    pub model: ModelReport,
    /// What it was fed; every engine got these bytes.
    pub inputs: Vec<InputReport>,
    /// The reference target.
    pub reference: String,
    /// What the reference really ran on.
    pub reference_ran_on: Option<RanOn>,
    /// The engine of another code that gives the reference's outputs, too, if one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_confirmed_by: Option<String>,
    /// Why the reference is another target than the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_note: Option<String>,
    /// The candidates, in the order given.
    pub targets: Vec<TargetReport>,
    /// The reference's outputs that are not finite everywhere, and where that begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nonfinite: Vec<NonfiniteOutput>,
    /// Feeds and outputs that cannot show whether elements are in the right places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blind: Vec<Blind>,
    /// Where several strategies walked one target: what each names, and how that fits together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategies: Option<StrategyAgreement>,
    /// The machine and the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentReport>,
    /// Whether the user ended the command: what it had not done by then is not in here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The tolerance by which it was judged again after it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_again: Option<JudgedAgain>,
}

/// Where a report was made. It names neither host nor user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentReport {
    /// The operating system and its kernel.
    pub os: String,
    /// The processor's own name.
    pub cpu: String,
    /// How many threads it runs at once.
    pub cores: usize,
    /// What turned the network into the engine's own format.
    pub converter: Option<String>,
    /// Variables that choose drivers or converters, where they were set.
    pub variables: BTreeMap<String, String>,
    /// The command's arguments, without those that only say where to write.
    pub command: Vec<String>,
}

/// The program that wrote a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolReport {
    /// `offby`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl ToolReport {
    /// This program.
    pub fn this() -> Self {
        ToolReport {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReport {
    /// The file as the user named it; of an absolute path only the file's name.
    pub path: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many nodes its graph has.
    pub nodes: usize,
}

/// One input's tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputReport {
    /// The input's name.
    pub name: ValueName,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its element type.
    pub dtype: Dtype,
    /// How it was made: `normal:0`, or a file.
    pub spec: String,
    /// Why it was made so, if it was guessed; what it was converted from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// The target as `--on` names it.
    pub target: String,
    /// How the engine's run ended.
    pub outcome: Outcome,
    /// How its worker ended, where that gave no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// What really ran.
    pub ran_on: Option<RanOn>,
    /// What engine and driver said.
    pub evidence: Vec<String>,
    /// Each output against the reference's.
    pub outputs: Vec<OutputReport>,
    /// Repetition.
    pub runs: Option<Runs>,
    /// How long it takes; `bench` alone measures it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench: Option<Bench>,
    /// The operators that began, of a walk that came to no end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<BegunReport>,
    /// The walk over the operators; `run` does none.
    pub walk: Option<WalkReport>,
    /// Where the engine's own CPU parts from the reference, if the target's difference comes from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The nodes where referees differ from the reference, if the verdict rests on that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rulings: Vec<Ruling>,
    /// What must run elsewhere for the output to be right, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// What is said of it.
    pub verdict: Verdict,
}

/// An operator that began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunReport {
    /// Its place in the order of execution.
    pub index: usize,
    /// The engine's name of its type.
    pub op_type: String,
    /// Its name.
    pub name: String,
}

/// One output of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputReport {
    /// The output's name.
    pub name: ValueName,
    /// The reference's shape.
    pub shape: Vec<usize>,
    /// What was measured; absent where nothing could be compared, and the judgement says why.
    pub comparison: Option<Comparison>,
    /// The storage format whose rounding explains every difference, if one does.
    pub explained_by: Option<Explanation>,
    /// Where the output is a choice (indices of the highest values, boxes that were kept) and another one
    /// than the reference's: how near it was. It is judged by that, not by how far apart indices are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// What follows.
    pub agreement: Agreement,
    /// The grounds: which rule fired, and what tolerance would have been needed.
    pub judgement: Judgement,
    /// By what it was judged; with the comparison's numbers enough to judge it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<JudgedBy>,
    /// Elements beyond the tolerance, where the output diverges.
    pub beyond_tolerance: Option<u64>,
    /// How far the walk's reference is from tract, before any backend is looked at: what the
    /// conversion changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<Gauge>,
}

/// What a report says of a command that the user ended.
pub(super) const INTERRUPTED: &str =
    "interrupted: this is what was known by then; what was not run was not compared";

impl Report {
    /// The exit code of the command that says what the report says.
    pub fn exit_code(&self) -> u8 {
        let fallbacks: Vec<&Fallback> =
            self.targets.iter().filter_map(|target| target.fallback.as_ref()).collect();
        if !fallbacks.is_empty() {
            // The answer of `offby fallback` is the set of operators.
            return u8::from(fallbacks.iter().any(|fallback| fallback.members.is_none()));
        }
        match exit_code(self.targets.iter().map(|target| target.verdict.kind)) {
            0 if self.interrupted => INCONCLUSIVE,
            code => code,
        }
    }
}

impl OutputReport {
    /// What the verdict rests on.
    pub fn finding(&self) -> Finding<'_> {
        Finding {
            name: self.name.as_str(),
            comparison: self.comparison.as_ref(),
            judgement: &self.judgement,
            beyond: self.beyond_tolerance,
        }
    }
}
