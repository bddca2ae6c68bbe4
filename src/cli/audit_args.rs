//! The arguments of `offby audit`.

use super::shared_args::{ModelArgs, OutputArgs, PlaceArgs};
use crate::determinism::Padding;
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Target to run, such as mnn:vulkan:low
    #[arg(long = "on", value_name = "TARGET")]
    pub(super) on: String,
    /// Number of runs in one process, with the network open
    #[arg(long, value_name = "N", default_value = "100")]
    pub(super) runs: NonZeroUsize,
    /// Number of runs that each have a new process [default: up to 5, for 15 % of the time of the other runs]
    #[arg(long, value_name = "N")]
    pub(super) processes: Option<usize>,
    /// Also run the input as the first of a batch of this size; each input needs an open first axis
    #[arg(long, value_name = "N")]
    pub(super) batch: Option<NonZeroUsize>,
    /// Also run the inputs padded with zeros: an open axis and its length with zeros, such as sequence=32
    #[arg(long, value_name = "AXIS=LENGTH")]
    pub(super) pad: Option<Padding>,
    /// Ready-made .mnn file, instead of converting the network; FILE.weight may hold its weights
    #[arg(long, value_name = "FILE")]
    pub(super) mnn: Option<PathBuf>,
    /// Time limit for each run, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    /// Write audit.json, audit.md and a page into this folder
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}
