//! The arguments of `offby decode`.

use super::shared_args::{OutputArgs, PlaceArgs};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct DecodeArgs {
    /// The decoder, an ONNX file
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// Target to compare, such as mnn:vulkan:low (repeatable)
    #[arg(long = "on", value_name = "TARGET", required = true)]
    pub(super) on: Vec<String>,
    /// Tokens of the prompt: numbers such as 1,15,27, a text file of numbers, or random:LENGTH,SEED
    #[arg(long, value_name = "SPEC", default_value = "random:8")]
    pub(super) tokens: String,
    /// Number of steps after the prompt; each feeds the token that the reference chose
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(super) steps: usize,
    /// State of the decoder, if the names do not show it (repeatable)
    #[arg(long, value_name = "INPUT=OUTPUT")]
    pub(super) state: Vec<String>,
    /// Let each target also continue by its own tokens
    #[arg(long)]
    pub(super) free: bool,
    /// Do not walk the first wrong step; name the step only
    #[arg(long)]
    pub(super) no_walk: bool,
    /// Reference target; its tokens are fed to all targets
    #[arg(long, value_name = "TARGET", default_value = "tract")]
    pub(super) reference: String,
    /// Time limit for each step of a target, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Store the result (JSON, Markdown, HTML) and the inputs of each first wrong step in this folder
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}
