//! What a walk leaves behind: measurements of every operator, and what follows from them.

use super::contract::KernelError;
use super::floor::Storage;
use super::freedom::Freedom;
use super::gauge::Gauge;
use super::handover::Handover;
use super::nonfinite::{Lost, NonfiniteFinding};
use super::role::Role;
use super::search::Answer;
use crate::bounds::Excess;
use crate::compare::{Explanation, Pattern, Portrait};
use crate::graph::ValueName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was measured of one operator, in the order of execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its place in the order of execution.
    pub index: usize,
    /// Its name, made unique by `#2`, `#3`... where the engine repeats it.
    pub name: String,
    /// The engine's name of its type.
    pub op_type: String,
    /// The backend that ran it.
    pub backend: String,
    /// Error of the candidate's value against the clean stream's; absent where the stream lacks it.
    pub cumulative: Option<Gauge>,
    /// The same of its inputs, the worst of them.
    pub inherited: Option<Gauge>,
    /// Error of the clean stream itself against tract, where the value exists in the ONNX file.
    pub conversion: Option<Gauge>,
    /// Error against the reference computing this operator on the candidate's own inputs.
    pub introduced: Option<Gauge>,
    /// Its elements held to their bounds on the candidate's own inputs, if bounds are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<Excess>,
    /// What the stored weights cost, where they are not those of the original network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightCost>,
    /// Error the reference itself makes with 16-bit inputs, weights and outputs.
    pub half: Option<Gauge>,
    /// What the witness itself does wrong here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelError>,
    /// How far the witness is from the candidate, if the witness alone is: the reference of the session, on
    /// the same inputs, agrees with the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Gauge>,
    /// The largest magnitude in its outputs.
    pub absmax: f64,
    /// Non-finite elements the operator itself brought about, and why.
    pub nonfinite: Option<NonfiniteFinding>,
    /// Elements that are not finite in the reference, on the same inputs, and are something else here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// Non-finite elements that the operator rightly makes of its finite inputs, where the clean stream has
    /// numbers or is what is walked: what those inputs are is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<NonfiniteFinding>,
    /// Zeros of the other sign than the reference's, on the same inputs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub zero_signs: u64,
    /// An input that is not what another operator wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// What the difference looks like, where the operator introduces one.
    pub patterns: Vec<Pattern>,
    /// The introduced error as it is drawn, where it seemed to be more than rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portrait: Option<Box<Portrait>>,
    /// Why it was not compared.
    pub unchecked: Option<String>,
    /// Whether it would move elements, and leaves these in the order in which they lie: they cannot show that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blind: bool,
    /// Whether it holds any floating-point output.
    pub float: bool,
    /// How far honest implementations of it may differ.
    pub freedom: Freedom,
}

/// What other weights than the original network's cost, beside what the backend costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WeightCost {
    /// Error of the operator by its own weights: the reference with the stored ones against the reference with the
    /// original ones, both on the candidate's inputs.
    pub introduced: Option<Gauge>,
    /// Error of all weights up to here: the clean stream against that of the original network.
    pub cumulative: Option<Gauge>,
    /// Error of the candidate's value against that of the original network: of weights and backend together.
    pub together: Option<Gauge>,
}

/// One tapped run: every operator, and the storage format its values show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Every executed operator.
    pub measured: Vec<Measured>,
    /// The format the candidate stores.
    pub storage: Storage,
    /// The clean stream against itself with 16-bit inputs, weights and outputs all the way: the
    /// floor of the final outputs.
    pub final_half: Option<Gauge>,
}

/// Whether the finding can be trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    /// Runs of the candidate, tapped and untapped.
    pub candidate_runs: usize,
    /// Whether the final bytes of the tapped run differ from those of the untapped ones.
    pub disturbed_by_taps: bool,
    /// Untapped runs.
    pub repeats: usize,
    /// Whether all untapped runs gave the same bytes.
    pub identical: bool,
    /// Where they do not: the first operator whose bytes differ between two tapped runs.
    pub first_unstable: Option<String>,
    /// How many tapped runs showed the sources, of how many.
    pub reproduced: (usize, usize),
}

impl Trust {
    /// That of one tapped run, and none besides.
    pub fn of_one_run() -> Self {
        Trust {
            candidate_runs: 1,
            disturbed_by_taps: false,
            repeats: 0,
            identical: true,
            first_unstable: None,
            reproduced: (1, 1),
        }
    }
}

/// An operator that was not compared, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UncheckedOp {
    /// Its name.
    pub name: String,
    /// The engine's name of its type.
    pub op_type: String,
    /// Why.
    pub reason: String,
}

impl WalkReport {
    /// Every operator that introduces error, with the ONNX node it comes from where that is known.
    pub fn accused(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.sources.iter().map(|source| {
            let op = self.ops.iter().find(|op| op.name == *source);
            (source.as_str(), op.and_then(|op| op.onnx_node.as_deref()))
        })
    }
}

/// One truncation of the network, and what it said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The last node it keeps, by its place in the order of evaluation.
    pub at: usize,
    /// That node's label.
    pub node: String,
    /// The values that were its outputs.
    pub values: Vec<ValueName>,
    /// What it said.
    pub answer: Answer,
    /// Why nothing can be said, or how it ended.
    pub reason: Option<String>,
    /// Relative L2 error of the worst of its outputs.
    pub cumulative: Option<f64>,
    /// Elements of it that are NaN or infinite on one side only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disagreeing: u64,
    /// Integers and truths of it that are not the reference's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inexact: u64,
    /// What an honest backend with the target's storage would have there.
    pub floor: Option<f64>,
    /// Whether the answer was taken from the journal of an earlier command.
    #[serde(default)]
    pub resumed: bool,
}

/// What became of a search's finding when it was tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Confirmation {
    /// In one run with every value up to the finding as an output, operators that introduce error
    /// were seen, the finding or others before it whose error is absorbed.
    InPlace,
    /// The node diverges by itself, on the reference's values.
    Alone,
    /// By itself it agrees; the truncated network diverged again.
    OnlyInContext,
    /// By itself it agrees, and no truncation diverges: only the whole does.
    LostWhenTruncated,
    /// The truncated network agreed when it was run again.
    LostOnRepetition,
    /// It could not be run by itself.
    NotRun {
        /// Why.
        reason: String,
    },
}

/// One operator as the report has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpReport {
    /// Its place in the order of execution.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The engine's name of its type.
    pub op_type: String,
    /// The backend that ran it.
    pub backend: String,
    /// The ONNX node it comes from, or the span between its nearest named neighbours.
    pub onnx_node: Option<String>,
    /// Relative L2 error against the clean stream.
    pub cumulative: Option<f64>,
    /// Elements of its value that are NaN or infinite where the clean stream's are not, or not alike.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disagreeing: u64,
    /// Relative L2 error of its inputs, the worst of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<f64>,
    /// Relative L2 error of the clean stream against tract, where the value exists in the ONNX file.
    pub conversion: Option<f64>,
    /// What the stored weights cost, in relative L2, where they are not those of the original network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightReport>,
    /// Relative L2 error against the reference on the candidate's own inputs.
    pub introduced: Option<f64>,
    /// Its elements held to their bounds, on the same inputs, if bounds are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<Excess>,
    /// Relative L2 error of the engine's own CPU on its own inputs of this operator, if it is off there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<f64>,
    /// Elements that are NaN or infinite on one side only, on the same inputs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub introduced_disagreeing: u64,
    /// Relative L2 distance of the engine's own CPU, if that alone is wrong here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<f64>,
    /// Relative L2 error an honest backend with this storage would introduce.
    pub floor: f64,
    /// `introduced` / `floor`.
    pub ratio: Option<f64>,
    /// Its part in the whole.
    pub role: Role,
    /// Non-finite elements it brought about.
    pub nonfinite: Option<NonfiniteFinding>,
    /// Elements that are not finite in the reference, on the same inputs, and are something else here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// Non-finite elements that the operator rightly makes of its finite inputs, where the clean stream has
    /// numbers or is what is walked: what those inputs are is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<NonfiniteFinding>,
    /// Zeros of the other sign than the reference's, on the same inputs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub zero_signs: u64,
    /// An input that is not what another operator wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// Integers and truths that are not the reference's, on the same inputs, of an operator that has no floats.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wrong_integers: u64,
    /// Whether it would move elements, and leaves these in the order in which they lie: they cannot show that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blind: bool,
    /// The operator that makes other infinities of those zeros, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divided_by: Option<String>,
    /// The rounding that explains every difference it introduces.
    pub explained_by: Option<Explanation>,
    /// The largest magnitude in its outputs, and its share of the format's maximum.
    pub absmax: f64,
    /// `absmax` over the largest finite value of the storage format.
    pub headroom_used: f64,
    /// What the difference looks like.
    pub diagnosis: Vec<Pattern>,
    /// The introduced error as it is drawn; of the first sources only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portrait: Option<Box<Portrait>>,
}

impl OpReport {
    /// How many elements are not finite on one side only, on the same inputs. Older reports count those alone
    /// that the operator brought about.
    pub fn disagreeing_here(&self) -> u64 {
        let found = self.nonfinite.as_ref().map_or(0, |found| found.nan + found.inf);
        self.introduced_disagreeing.max(found)
    }
}

/// What the stored weights cost one operator's value, in relative L2; what the backend costs is its `cumulative`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WeightReport {
    /// By the operator's own weights.
    pub introduced: Option<f64>,
    /// By all weights up to here.
    pub cumulative: Option<f64>,
    /// By weights and backend together; no more than the sum of the two.
    pub together: Option<f64>,
}

/// An operator that is right on its inputs and makes NaN or infinities of them where the reference has numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untimely {
    /// The operator.
    pub op: String,
    /// The operator before it at which its inputs lost their value, if that is known.
    pub from: Option<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A feed that the candidate stores as another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangedFeed {
    /// The first operator that reads it.
    pub operator: String,
    /// How far it is from the feed, in relative L2.
    pub error: f64,
}

/// The walk as the report has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WalkReport {
    /// `follow`, `cut` or `isolate`.
    pub strategy: String,
    /// Runs of the candidate, tapped and untapped.
    pub candidate_runs: usize,
    /// Operators the candidate executed.
    pub ops_total: usize,
    /// Operators of which the introduced error is known.
    pub ops_compared: usize,
    /// Operators of which it is not.
    pub ops_unchecked: Vec<UncheckedOp>,
    /// Share of floating-point operators that were compared.
    pub float_share: f64,
    /// Share of operators that could be traced to an ONNX node.
    pub mapped_share: f64,
    /// Whether the taps changed the result.
    pub disturbed_by_taps: bool,
    /// The storage format the candidate's values show.
    pub storage: Storage,
    /// The clean stream's final error with that storage all the way.
    pub final_floor: Option<f64>,
    /// Every operator.
    pub ops: Vec<OpReport>,
    /// Operators whose value stands beside tract's.
    pub ops_beside_tract: usize,
    /// The first operator at which the reference itself is beyond the tolerance of `f32` against
    /// tract: the conversion changed the network there, whatever the backend does.
    pub first_converted: Option<String>,
    /// The first operator whose value is beyond the storage's tolerance.
    pub first_divergent: Option<String>,
    /// The first operator that gives NaN or infinities where the reference has numbers.
    pub first_nonfinite: Option<NonfiniteFinding>,
    /// The first operator that rightly makes NaN or infinities of wrong inputs, and whence those come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untimely: Option<Untimely>,
    /// Every operator that introduces error, in the order of execution.
    pub sources: Vec<String>,
    /// What speaks for and against the finding.
    pub trust: Trust,
    /// The truncations that were run, in their order; of the strategy `cut` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
    /// What became of the finding of a search when it was tried again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
    /// What storing the feed cost, if the error is there before any operator ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_feed: Option<ChangedFeed>,
    /// Nodes inside the bodies of `If`, `Loop` and `Scan`, by the type of the node that has them: they are not
    /// among the operators.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bodies: BTreeMap<String, usize>,
    /// Whether the user ended it before it had looked at everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}
