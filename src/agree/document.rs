//! A run over a data set as it is saved: `schema: "offby.agree/1"`. Neither times nor the machine's name
//! stand in it, so that the same answers are the same bytes.

use super::error::AgreeError;
use super::figures::Figures;
use super::measure::Task;
use super::tally::Tally;
use super::verdict::{Answer, counted};
use crate::matrix::Source;
use crate::tensor::Digest;
use crate::verdict::{Kind, exit_code};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The schema this version writes.
pub const AGREE_SCHEMA: &str = "offby.agree/1";

/// Operators that are named where none is to blame for all inputs.
const MOST_NAMED: usize = 3;

/// What the targets make of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agree {
    /// [`AGREE_SCHEMA`].
    pub schema: String,
    /// The version of offby that ran it.
    pub made_by: String,
    /// The network.
    pub model: ModelFacts,
    /// The data set.
    pub data: DataFacts,
    /// What the outputs are.
    pub task: Task,
    /// The shares that were run; none where all inputs were.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub shares: BTreeSet<String>,
    /// Whether the user ended the run: inputs that had not their turn by then are not in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The reference.
    pub reference: Lane,
    /// The targets, in the order given.
    pub targets: Vec<Lane>,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Its file.
    pub path: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many nodes its graph has.
    pub nodes: usize,
}

/// The data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Its folder or file.
    pub path: String,
    /// How many inputs it has.
    pub inputs: usize,
    /// How many of them have a label.
    pub labels: usize,
    /// What becomes of an image before it is fed; empty where there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub preparation: String,
    /// The digest of its list: names, sizes and labels.
    pub digest: Digest,
}

/// The reference, or one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// The target as `--on` names it.
    pub target: String,
    /// Whether it is a simulated device, whose faults were planted.
    pub simulated: bool,
    /// All that was counted; exact, so that shares merge.
    pub tally: Tally,
    /// What follows from that; of a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// What is said of it; of a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Answer>,
    /// Who is to blame for the worst inputs, where they were walked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
}

/// What walks of the worst inputs found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blame {
    /// The inputs that were walked, the worst first.
    pub walked: Vec<WalkedInput>,
    /// Each operator that introduces error for one of them, with the number of inputs for which it does,
    /// the most often blamed first.
    pub sources: Vec<(Source, usize)>,
}

/// The walk of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WalkedInput {
    /// Its number, from 0.
    pub input: usize,
    /// Its name.
    pub id: String,
    /// What the walk says of it.
    pub kind: Kind,
    /// The same in a sentence.
    pub sentence: String,
    /// The operators that introduce error.
    pub sources: Vec<Source>,
}

impl Agree {
    /// Draws the conclusions from what was counted.
    pub fn concluded(mut self) -> Self {
        for lane in &mut self.targets {
            let figures = Figures::of(&lane.tally);
            let inputs = self.reference.tally.inputs;
            lane.verdict = Some(Answer::new(self.task, &lane.tally, &figures, inputs));
            lane.figures = Some(figures);
        }
        self
    }

    /// The exit code: 0 all agree, 1 one is wrong, 3 something was not compared.
    pub fn exit_code(&self) -> u8 {
        let kinds = self.targets.iter().filter_map(|lane| Some(lane.verdict.as_ref()?.kind));
        exit_code(kinds)
    }
}

impl Lane {
    /// A lane of which nothing is known.
    pub fn new(target: String) -> Self {
        let simulated = target.starts_with("sim:");
        let tally = Tally::default();
        Lane { target, simulated, tally, figures: None, verdict: None, blame: None }
    }
}

impl Blame {
    /// What the walks say together.
    pub fn new(walked: Vec<WalkedInput>) -> Self {
        let mut sources: Vec<(Source, usize)> = Vec::new();
        for input in &walked {
            let named: BTreeSet<&Source> = input.sources.iter().collect();
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
        let names = |sources: &[&(Source, usize)]| {
            sources.iter().map(|(source, _)| named(source)).collect::<Vec<_>>().join(", ")
        };
        match (always.len(), sometimes.len()) {
            _ if all == 0 => "no input differs".to_owned(),
            (0, 0) => format!("no operator is to blame for any of {worst}"),
            (0, _) => {
                let count =
                    |(source, count): &&(Source, usize)| format!("{} for {count}", named(source));
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

/// An operator, and the node it comes from where that has another name.
fn named(source: &Source) -> String {
    match source.node.as_ref().filter(|node| **node != source.name) {
        Some(node) => format!("`{}` ({}, in the ONNX file {node})", source.name, source.op_type),
        None => format!("`{}` ({})", source.name, source.op_type),
    }
}

/// The first look at a file.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    schema: String,
}

/// Reads a saved run, the text of `file`.
///
/// # Errors
/// When it is no JSON, has another schema, or lacks what the schema demands.
pub fn read_agree(file: &str, text: &str) -> Result<Agree, AgreeError> {
    let json = |source| AgreeError::Json { file: file.to_owned(), source };
    let Head { schema } = serde_json::from_str(text).map_err(json)?;
    if schema != AGREE_SCHEMA {
        return Err(AgreeError::Schema { file: file.to_owned(), schema });
    }
    serde_json::from_str(text).map_err(json)
}
