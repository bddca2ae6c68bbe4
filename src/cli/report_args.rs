//! The arguments of commands on saved reports.

use super::shared_args::{OutputArgs, PlaceArgs, ToleranceArgs};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Render the report.json of `run` or `walk`; judge it again first if a tolerance is given
    Render(RenderArgs),
    /// Pack a report, and all files needed to reproduce its finding, into one file for a ticket
    Bundle(BundleArgs),
    /// List what changed between two reports on the same network; exit code 1 if anything did
    Diff(ReportDiffArgs),
    /// Print the JSON Schema of report.json
    Schema,
}

#[derive(Debug, Args)]
pub(super) struct ReportDiffArgs {
    /// Report before the change
    #[arg(value_name = "BEFORE.json")]
    pub(super) before: PathBuf,
    /// Report after it
    #[arg(value_name = "AFTER.json")]
    pub(super) after: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// Saved report
    #[arg(value_name = "REPORT.json")]
    pub(super) report: PathBuf,
    /// Output file
    #[arg(short = 'o', long = "output", value_name = "X.offby.tar.zst")]
    pub(super) output: PathBuf,
    /// The report's network, if offby does not find it by the path in the report
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    /// Maximum total size of the bundled files; offby leaves out files that a replay can spare
    #[arg(long, value_name = "MEGABYTES", default_value_t = 25)]
    pub(super) max_size: u64,
    /// Time limit for each target, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Bundle to replay
    #[arg(value_name = "X.offby.tar.zst")]
    pub(super) bundle: PathBuf,
    /// Target to run, instead of the bundle's own
    #[arg(long = "on", value_name = "TARGET")]
    pub(super) on: Option<String>,
    /// Time limit for the target, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    /// Saved report
    #[arg(value_name = "REPORT.json")]
    pub(super) report: PathBuf,
    /// Output format
    #[arg(long, value_enum)]
    pub(super) to: RenderTo,
    /// The report's network, for --to netron
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    /// Output file, instead of stdout
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) tolerance: ToleranceArgs,
}

/// The output format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RenderTo {
    /// Markdown for an issue, within GitHub's length limit
    Md,
    /// One self-contained HTML page
    Html,
    /// The text that `run` and `walk` print
    Text,
    /// The saved report itself, as JSON
    Json,
    /// JUnit XML, one test per target
    Junit,
    /// Annotations for GitHub Actions, one per target; also appends Markdown to $GITHUB_STEP_SUMMARY
    Github,
    /// Node data for Google's Model Explorer: each node's error as a power of ten times its bound
    ModelExplorer,
    /// A copy of the network with each node's error as its description, for Netron; needs --model and -o
    Netron,
}
