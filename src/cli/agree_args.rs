//! The arguments of `offby agree`.

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
    /// Merge the shards of one run into the exact result of the whole run
    Merge(AgreeMergeArgs),
}

#[derive(Debug, Args)]
pub(super) struct AgreeMergeArgs {
    /// Shard files written by --json or --out
    #[arg(value_name = "AGREE.json", required = true)]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) giving: AgreeOutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct AgreeRunArgs {
    /// The network, an ONNX file
    // Without a subcommand, `model` and `data` are always present.
    #[arg(value_name = "MODEL", required = true)]
    pub(super) model: Option<PathBuf>,
    /// Target to compare, such as mnn:vulkan:low (repeatable)
    #[arg(long = "on", value_name = "TARGET", required = true)]
    pub(super) on: Vec<String>,
    /// Inputs: a folder of images, .npy files, .pb files or test_data_set_* folders; an .npz or .npy
    /// file with the inputs along its first axis; a text file of `path` or `path,label` lines; or, for a
    /// decoder, a text file with the tokens of one text a line
    #[arg(long, value_name = "DIR|FILE", required = true)]
    pub(super) data: Option<PathBuf>,
    /// Ground-truth labels, in the order of the inputs: an .npy file, or a text file with one per line
    #[arg(long, value_name = "FILE")]
    pub(super) labels: Option<PathBuf>,
    /// Kind of outputs (default: classify with labels or a final Softmax, otherwise regress)
    #[arg(long, value_enum)]
    pub(super) task: Option<TaskName>,
    /// Reference target; offby compares the outputs of all other targets with its outputs
    #[arg(long, value_name = "TARGET", default_value = "tract")]
    pub(super) reference: String,
    /// Shape of an input with dynamic dimensions, such as input=1,3,224,224 (repeatable)
    #[arg(long, value_name = "NAME=DIMS")]
    pub(super) shape: Vec<String>,
    #[command(flatten)]
    pub(super) picture: PictureArgs,
    /// Time limit for each target and input, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    /// Number of runs of each target and input, to check whether outputs are always byte-identical
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(super) repeat: usize,
    /// Run only shard I of N of the inputs; `offby agree merge` joins the shards
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<String>,
    /// Walk the K worst inputs of each target, and say whether the same operators cause the error
    #[arg(long, value_name = "K", default_value_t = 0, value_parser = walkable)]
    pub(super) walk_worst: usize,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) tolerance: ToleranceArgs,
    #[command(flatten)]
    pub(super) giving: AgreeOutputArgs,
}

/// The preprocessing of images.
#[derive(Debug, Args)]
pub(super) struct PictureArgs {
    /// Resize each image to this length on its shorter side, in pixels
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) resize: Option<u32>,
    /// Then crop a square of this side from the centre; offby resizes the result to the input
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) crop: Option<u32>,
    /// Per-channel mean for normalizing images, after scaling to 0..1
    #[arg(long, value_name = "M,M,M", value_delimiter = ',', allow_negative_numbers = true)]
    pub(super) mean: Vec<f32>,
    /// Per-channel standard deviation for normalizing images
    #[arg(long, value_name = "S,S,S", value_delimiter = ',')]
    pub(super) std: Vec<f32>,
}

/// Output options for a result.
#[derive(Debug, Args)]
pub(super) struct AgreeOutputArgs {
    /// Write the result (JSON, Markdown, HTML) and a line for every input into this folder; resume
    /// an unfinished run from it
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// The kind of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TaskName {
    /// One score per class; offby compares the predicted class
    Classify,
    /// Numbers or an embedding; offby compares each element
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
