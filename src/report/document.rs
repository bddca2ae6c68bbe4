//! The report as it is saved: `schema: "offby.report/1"`. Fields may be added; names do not change.

use crate::bench::Bench;
use crate::choice::Choice;
use crate::compare::{Agreement, Comparison, Explanation, Judgement, Tolerance};
use crate::engine::{Ended, Outcome, RanOn, Runs};
use crate::graph::{Model, ValueName};
use crate::tensor::{Digest, Dtype};
use crate::verdict::{
    INCONCLUSIVE, Kind, News, Origin, OutputFinding, Ruling, StrategyAgreement, Verdict, exit_code,
};

use crate::walk::{
    Answer, Blind, ErrorSummary, Fallback, NonfiniteOutput, OpReport, Role, WalkReport,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The schema this version writes.
pub const SCHEMA: &str = "offby.report/1";

/// All findings of one command: enough to render the report again without a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The program that wrote the report.
    pub tool: ToolReport,
    /// The command: `run`.
    pub command: String,
    /// The network.
    pub model: ModelReport,
    /// The tensors that the network was fed; every engine got these bytes.
    pub inputs: Vec<InputReport>,
    /// The reference target.
    pub reference: String,
    /// The engine, backend and device that really ran the reference.
    pub reference_ran_on: Option<RanOn>,
    /// The engine with different code that agrees with the reference, if the user asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_confirmed_by: Option<String>,
    /// Why the reference is a different target than the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_note: Option<String>,
    /// The candidates, in the order given.
    pub targets: Vec<TargetReport>,
    /// The reference's outputs with non-finite elements, and the nodes that first make those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nonfinite: Vec<NonfiniteOutput>,
    /// Feeds and outputs that cannot show whether elements are in the right places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blind: Vec<Blind>,
    /// The nodes that each strategy names, and how they fit together, if several strategies walked one target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategies: Option<StrategyAgreement>,
    /// The versions of the engine that were asked, if the command looked for the first wrong one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<VersionsReport>,
    /// The machine and the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentReport>,
    /// Whether the user stopped the command. Work that was not done by then is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The new tolerance, if the saved report was judged again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_again: Option<JudgedAgain>,
}

/// The versions of an engine that were asked, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionsReport {
    /// The package, as pip knows it.
    pub package: String,
    /// The versions that ran.
    pub asked: Vec<VersionReport>,
    /// The last version that is right, if the next one that answers is wrong.
    pub last_right: Option<String>,
    /// The first version that is wrong.
    pub first_wrong: Option<String>,
}

/// What one version answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionReport {
    /// The version.
    pub version: String,
    /// Right, wrong, or unknown because the version cannot be installed or refuses the network.
    pub answer: Answer,
    /// The verdict's sentence, or why there is none.
    pub sentence: String,
}

/// The machine and the command of a report. Neither host nor user is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentReport {
    /// The operating system and its kernel.
    pub os: String,
    /// The processor's own name.
    pub cpu: String,
    /// How many threads the processor runs at once.
    pub cores: usize,
    /// The converter that turned the network into the engine's own format.
    pub converter: Option<String>,
    /// Variables that choose drivers or converters, if they were set.
    pub variables: BTreeMap<String, String>,
    /// The command's arguments, except those that only name an output path.
    pub command: Vec<String>,
}

/// The program that wrote a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelReport {
    /// The file as the user named it; an absolute path is cut to the file's name.
    pub path: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many nodes its graph has.
    pub nodes: usize,
    /// Its operators that are not ONNX's own, with their numbers. Engines other than ONNX Runtime run ONNX's own in
    /// their place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<String, usize>,
}

impl ModelReport {
    /// The facts of a network that was read from a file.
    pub fn of(path: &Path, model: &Model) -> Self {
        ModelReport {
            path: path.display().to_string(),
            digest: model.digest().clone(),
            nodes: model.as_written().node_count(),
            replaced: model.replaced(),
        }
    }
}

/// One input's tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputReport {
    /// The input's name.
    pub name: ValueName,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its element type.
    pub dtype: Dtype,
    /// How the tensor was made: `normal:0`, or a file.
    pub spec: String,
    /// Why offby guessed the spec, or the element type that the tensor was converted from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct TargetReport {
    /// The target as `--on` names it.
    pub target: String,
    /// How the engine's run ended.
    pub outcome: Outcome,
    /// How the worker process ended, if it returned no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// The engine, backend and device that really ran.
    pub ran_on: Option<RanOn>,
    /// The messages of the engine and the driver.
    pub evidence: Vec<String>,
    /// Each output, compared with the reference's.
    pub outputs: Vec<OutputReport>,
    /// The repeated runs.
    pub runs: Option<Runs>,
    /// The target's times; only `bench` measures them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench: Option<Bench>,
    /// The operators that began, if the walk did not finish.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<BegunReport>,
    /// The walk over the operators; absent for `run`.
    pub walk: Option<WalkReport>,
    /// The node at which the engine's own CPU parts from the reference, if the target's difference comes from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The nodes at which referees differ from the reference, if the verdict rests on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rulings: Vec<Ruling>,
    /// The operators that must run elsewhere for a right output, if the user asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// The verdict on the target.
    pub verdict: Verdict,
}

impl TargetReport {
    /// The operators that introduce error, in the order in which the target ran them. Empty without a walk.
    pub fn sources(&self) -> impl Iterator<Item = &OpReport> {
        let ops = self.walk.iter().flat_map(|walk| &walk.ops);
        ops.filter(|op| op.role == Role::Source)
    }

    /// What the verdict says of an output. Rounding may excuse an output that a tolerance does not, and may be too small
    /// to excuse an output that a tolerance does.
    pub fn agreement(&self, output: &OutputReport) -> Agreement {
        let is_good = |output: &OutputReport| {
            matches!(output.agreement, Agreement::Agrees | Agreement::Explained)
        };
        let by_size = matches!(self.verdict.kind, Kind::Divergent | Kind::Precision);
        match self.verdict.kind.news() {
            News::Good if output.agreement == Agreement::Diverges => Agreement::Explained,
            News::Bad if by_size && self.outputs.iter().all(is_good) => Agreement::Diverges,
            _ => output.agreement,
        }
    }
}

/// An operator that began to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BegunReport {
    /// Its place in the order of execution.
    pub index: usize,
    /// The engine's name of its type.
    pub op_type: String,
    /// Its name.
    pub name: String,
}

/// One output of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct OutputReport {
    /// The output's name.
    pub name: ValueName,
    /// The reference's shape.
    pub shape: Vec<usize>,
    /// The measurements; absent if no comparison was possible. The judgement then gives the reason.
    pub comparison: Option<Comparison>,
    /// The storage format whose rounding explains every difference, if one does.
    pub explained_by: Option<Explanation>,
    /// How near a choice was to the reference's, if the output is a choice and differs. A choice is indices of the
    /// highest values, or boxes that were kept. The output is judged by this, not by how far apart indices are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// The result of the judgement.
    pub agreement: Agreement,
    /// The grounds: the rule that fired, and the tolerance that would have been needed.
    pub judgement: Judgement,
    /// The tolerances of the judgement: with the comparison's numbers, enough to judge the output again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<JudgedBy>,
    /// The number of elements beyond the tolerance, if the output diverges.
    pub beyond_tolerance: Option<u64>,
    /// How far the walk's reference is from tract, before any backend runs: the effect of the conversion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<ErrorSummary>,
}

/// The note in the report of a command that the user stopped.
pub(super) const INTERRUPTED: &str =
    "interrupted: this is what was known by then; what was not run was not compared";

impl Report {
    /// The exit code of a command with these findings.
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
    /// The measurements that the verdict rests on.
    pub fn finding(&self) -> OutputFinding<'_> {
        OutputFinding {
            name: self.name.as_str(),
            comparison: self.comparison.as_ref(),
            judgement: &self.judgement,
            beyond: self.beyond_tolerance,
        }
    }
}

/// The tolerances that an output was judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedBy {
    /// The row of the table of tolerances for an honest backend: the reference's element type.
    pub strict: String,
    /// The row for the storage format that the target declares; absent if the target declares none.
    pub declared: Option<String>,
    /// The tolerance that the user allowed in place of both.
    pub user: Option<Tolerance>,
}

/// The tolerance that a saved report was judged again by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedAgain {
    /// Absolute.
    pub atol: f64,
    /// Relative to the reference element.
    pub rtol: f64,
}

impl JudgedAgain {
    /// The sentence that every rendering contains.
    pub fn words(&self) -> String {
        format!(
            "judged again from the saved numbers, with --atol {:e} --rtol {:e}",
            self.atol, self.rtol
        )
    }
}
