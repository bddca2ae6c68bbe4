//! A saved run over a data set: `schema: "offby.agree/1"`. It contains neither times nor the machine's name, so
//! the same answers are the same bytes.

use super::error::AGREE_SCHEMA;
use super::error::AgreeError;
use super::figures::Figures;
use super::measure::Task;
use super::tally::LaneTally;
use super::verdict::{AgreeVerdict, counted};
use crate::matrix::CellSource;
use crate::tensor::Digest;
use crate::verdict::{Kind, exit_code};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How many operators the sentence names if none is to blame for all inputs.
const MOST_NAMED: usize = 3;

/// What a run over a data set found for each target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agree {
    /// [`AGREE_SCHEMA`].
    pub schema: String,
    /// The version of offby that wrote the file.
    pub made_by: String,
    /// The network.
    pub model: ModelFacts,
    /// The data set.
    pub data: DataFacts,
    /// The kind of the outputs.
    pub task: Task,
    /// The shares that were run; empty if all inputs were run.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub shares: BTreeSet<String>,
    /// Whether the user ended the run. Inputs that had not run by then are missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The reference.
    pub reference: AgreeLane,
    /// The targets, in the order given.
    pub targets: Vec<AgreeLane>,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Its file.
    pub path: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The number of nodes in its graph.
    pub nodes: usize,
}

/// The data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Its folder or file.
    pub path: String,
    /// How many inputs the data set has.
    pub inputs: usize,
    /// How many inputs have a label.
    pub labels: usize,
    /// How an image is prepared before it is fed; empty if the data set has no images.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub preparation: String,
    /// The digest of the data set's list: names, sizes and labels.
    pub digest: Digest,
}

/// The reference, or one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgreeLane {
    /// The target as `--on` names it.
    pub target: String,
    /// Whether the target is a simulated device with planted faults.
    pub simulated: bool,
    /// All counts; they are exact, so shares can be merged.
    pub tally: LaneTally,
    /// The figures that follow from the tally; only for a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// The verdict; only for a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<AgreeVerdict>,
    /// The operators to blame for the worst inputs, if those inputs were walked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
}

/// What the walks of the worst inputs found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blame {
    /// The inputs that were walked, the worst first.
    pub walked: Vec<WalkedInput>,
    /// Each operator that introduces error for a walked input, with the number of such inputs, the most often
    /// blamed first.
    pub sources: Vec<(CellSource, usize)>,
}

/// The walk of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WalkedInput {
    /// The input's number, from 0.
    pub input: usize,
    /// The input's name.
    pub id: String,
    /// The walk's verdict on the input.
    pub kind: Kind,
    /// The verdict in a sentence.
    pub sentence: String,
    /// The operators that introduce error.
    pub sources: Vec<CellSource>,
}

impl Agree {
    /// Draws the conclusions from the counts.
    pub fn concluded(mut self) -> Self {
        for lane in &mut self.targets {
            let figures = Figures::of(&lane.tally);
            let inputs = self.reference.tally.inputs;
            lane.verdict = Some(AgreeVerdict::new(self.task, &lane.tally, &figures, inputs));
            lane.figures = Some(figures);
        }
        self
    }

    /// The exit code: 0 if all targets agree, 1 if one is wrong, 3 if an input was not compared.
    pub fn exit_code(&self) -> u8 {
        let kinds = self.targets.iter().filter_map(|lane| Some(lane.verdict.as_ref()?.kind));
        exit_code(kinds)
    }
}

impl AgreeLane {
    /// A lane without any records.
    pub fn new(target: String) -> Self {
        let simulated = target.starts_with("sim:");
        let tally = LaneTally::default();
        AgreeLane { target, simulated, tally, figures: None, verdict: None, blame: None }
    }
}

impl Blame {
    /// Counts each operator over all walks.
    pub fn new(walked: Vec<WalkedInput>) -> Self {
        let mut sources: Vec<(CellSource, usize)> = Vec::new();
        for input in &walked {
            let named: BTreeSet<&CellSource> = input.sources.iter().collect();
            for source in named {
                match sources.iter_mut().find(|(known, _)| known == source) {
                    Some((_, count)) => *count += 1,
                    None => sources.push((source.clone(), 1)),
                }
            }
        }
        sources.sort_by(|(a, n), (b, m)| m.cmp(n).then(a.cmp(b)));
        Blame { walked, sources }
    }

    /// Whether the same operators are to blame, in a sentence.
    pub fn sentence(&self) -> String {
        let all = self.walked.len();
        let worst = format!("the {}", counted(all as u64, "worst input"));
        let (always, sometimes): (Vec<_>, Vec<_>) =
            self.sources.iter().partition(|(_, count)| *count == all);
        let names = |sources: &[&(CellSource, usize)]| {
            sources.iter().map(|(source, _)| named(source)).collect::<Vec<_>>().join(", ")
        };
        match (always.len(), sometimes.len()) {
            _ if all == 0 => "no input differs".to_owned(),
            (0, 0) => format!("no operator is to blame for any of {worst}"),
            (0, _) => {
                let count = |(source, count): &&(CellSource, usize)| {
                    format!("{} for {count}", named(source))
                };
                let most: Vec<String> = sometimes.iter().take(MOST_NAMED).map(count).collect();
                format!("no operator is to blame for all of {worst}: {}", most.join(", "))
            }
            (1, 0) => {
                format!("the same operator is to blame for all of {worst}: {}", names(&always))
            }
            (_, 0) => {
                format!("the same operators are to blame for all of {worst}: {}", names(&always))
            }
            (_, others) => format!(
                "to blame for all of {worst}: {}; {} for some of them",
                names(&always),
                counted(others as u64, "other operator")
            ),
        }
    }
}

/// An operator, and its node in the ONNX file if that has a different name.
fn named(source: &CellSource) -> String {
    match source.node.as_ref().filter(|node| **node != source.name) {
        Some(node) => format!("`{}` ({}, in the ONNX file {node})", source.name, source.op_type),
        None => format!("`{}` ({})", source.name, source.op_type),
    }
}

/// The part of a file that is read first.
#[derive(Deserialize)]
struct AgreeHead {
    #[serde(default)]
    schema: String,
}

/// Reads a saved run from `text`, the content of `file`.
///
/// # Errors
/// If the text is no JSON, has a different schema, or lacks a field that the schema demands.
pub fn read_agree(file: &str, text: &str) -> Result<Agree, AgreeError> {
    let json = |source| AgreeError::Json { file: file.to_owned(), source };
    let AgreeHead { schema } = serde_json::from_str(text).map_err(json)?;
    if schema != AGREE_SCHEMA {
        return Err(AgreeError::Schema { file: file.to_owned(), schema });
    }
    serde_json::from_str(text).map_err(json)
}
