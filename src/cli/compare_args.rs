//! The arguments of commands that compare networks, and releases of engines.

use super::passes::Optimizer;
use super::shared_args::NetworkArgs;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// Second network, with the same inputs and outputs
    #[arg(value_name = "SECOND", required_unless_present = "passes")]
    pub(super) second: Option<PathBuf>,
    /// Compare with each rewrite of this optimizer instead, which Python must have
    #[arg(long, value_name = "PACKAGE", value_enum, conflicts_with = "second")]
    pub(super) passes: Option<Optimizer>,
    /// List every operator, not only the error sources and the operators just before them
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Args)]
pub(super) struct BisectArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// Target whose engine has several versions, such as ort:cpu or ext:openvino
    #[arg(long = "on", value_name = "TARGET")]
    pub(super) on: String,
    /// Package with the engine: pip:PACKAGE; offby installs each version that it asks into its cache
    #[arg(long, value_name = "pip:PACKAGE")]
    pub(super) versions: String,
    /// Version that was right [default: the oldest that pip offers]
    #[arg(long, value_name = "VERSION")]
    pub(super) good: Option<String>,
    /// Version that is wrong [default: the newest]
    #[arg(long, value_name = "VERSION")]
    pub(super) bad: Option<String>,
}
