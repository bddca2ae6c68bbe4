//! What `offby agree` is told.

use super::shared_args::{OutputArgs, PlaceArgs, ToleranceArgs};
use crate::agree::{MOST_WORST, Task};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct AgreeArgs {
    #[command(subcommand)]
    pub(super) command: Option<AgreeCommand>,
    #[command(flatten)]
    pub(super) run: AgreeRunArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum AgreeCommand {
    /// Merge the shares of one run into exactly the whole
    Merge(AgreeMergeArgs),
}

#[derive(Debug, Args)]
pub(super) struct AgreeMergeArgs {
    /// Shares, as --json or --out wrote them
    #[arg(value_name = "AGREE.json", required = true)]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) giving: AgreeOutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct AgreeRunArgs {
    /// The network, an ONNX file
    // Never absent without a subcommand, as `data`.
    #[arg(value_name = "MODEL", required = true)]
    pub(super) model: Option<PathBuf>,
    /// A target to compare, such as mnn:vulkan:low; may be given several times
    #[arg(long = "on", value_name = "TARGET", required = true)]
    pub(super) on: Vec<String>,
    /// The inputs: a folder of images, .npy or .pb files, or of test_data_set_* folders; an .npz or
    /// .npy whose first axis counts them; or a text list of `path` or `path,label` lines
    #[arg(long, value_name = "DIR|FILE", required = true)]
    pub(super) data: Option<PathBuf>,
    /// The classes that are right, in the order of the inputs: an .npy, or a text with one a line
    #[arg(long, value_name = "FILE")]
    pub(super) labels: Option<PathBuf>,
    /// Whether outputs are class scores or numbers; classes where there are labels or a Softmax is last
    #[arg(long, value_enum)]
    pub(super) task: Option<TaskName>,
    /// The target that is right
    #[arg(long, value_name = "TARGET", default_value = "tract")]
    pub(super) reference: String,
    /// Fix the shape of an input with open dimensions: input=1,3,224,224
    #[arg(long, value_name = "NAME=DIMS")]
    pub(super) shape: Vec<String>,
    #[command(flatten)]
    pub(super) picture: PictureArgs,
    /// Seconds a target may take for one input
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    /// How often each target runs each input, to see whether it always gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(super) repeat: usize,
    /// Run share I of N of the inputs, for `offby agree merge`
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<String>,
    /// Walk the K worst inputs of each target, and say whether the same operators are to blame
    #[arg(long, value_name = "K", default_value_t = 0, value_parser = walkable)]
    pub(super) walk_worst: usize,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) tolerance: ToleranceArgs,
    #[command(flatten)]
    pub(super) giving: AgreeOutputArgs,
}

/// What becomes of images.
#[derive(Debug, Args)]
pub(super) struct PictureArgs {
    /// Make an image's shorter side so long
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) resize: Option<u32>,
    /// Then cut a square of this side from its middle; what is left is resized to the input
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) crop: Option<u32>,
    /// What an image's mean is, per channel, after scaling to 0..1
    #[arg(long, value_name = "M,M,M", value_delimiter = ',', allow_negative_numbers = true)]
    pub(super) mean: Vec<f32>,
    /// What an image's standard deviation is, per channel
    #[arg(long, value_name = "S,S,S", value_delimiter = ',')]
    pub(super) std: Vec<f32>,
}

/// What becomes of a result.
#[derive(Debug, Args)]
pub(super) struct AgreeOutputArgs {
    /// Write the result (JSON, Markdown, HTML) and a line for every input into this folder; an
    /// unfinished run goes on from there
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// What outputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TaskName {
    /// Class scores, one for each class: what counts is the class
    Classify,
    /// Numbers or an embedding: what counts is each element
    Regress,
}

impl From<TaskName> for Task {
    fn from(name: TaskName) -> Self {
        match name {
            TaskName::Classify => Task::Classify,
            TaskName::Regress => Task::Regress,
        }
    }
}

fn walkable(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count <= MOST_WORST => Ok(count),
        _ => Err(format!("a number from 0 to {MOST_WORST}: more of the worst are not kept")),
    }
}
