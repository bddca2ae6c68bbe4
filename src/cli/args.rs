//! The command line, as typed.

pub(super) use super::agree_args::AgreeArgs;
pub(super) use super::shared_args::{
    FeedArgs, FiniteArgs, LimitArgs, ModelArgs, NetworkArgs, OutputArgs, PlaceArgs, ToleranceArgs,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Finds where a neural network's numbers go wrong.
#[derive(Debug, Parser)]
#[command(name = "offby", version, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a network on every target and compare its outputs with the reference's
    Run(RunArgs),
    /// Walk the operators: which introduce error, and is it a bug or the storage format?
    Walk(WalkArgs),
    /// Time a network on targets that take turns, each checked against the reference first
    Bench(BenchArgs),
    /// Truncate a network: keep what lies between some values and some others
    Cut(CutArgs),
    /// Find the smallest set of operators that must run on the CPU for the output to be right
    Fallback(FallbackArgs),
    /// Make the smallest network, shapes and values that still show what a target does wrong
    Shrink(ShrinkArgs),
    /// Set networks or cases against targets in a table, here, in parts, or from saved reports
    Matrix(MatrixArgs),
    /// Run a whole data set: how often classes agree, what accuracy is lost, and on which inputs
    Agree(Box<AgreeArgs>),
    /// Run case files against what is expected of them, or list them
    Case(CaseArgs),
    /// Compare two tensors element by element
    Diff(DiffArgs),
    /// Render a saved report for a ticket, a browser, a terminal or a CI server
    Report(ReportArgs),
    /// Run a bundle from somewhere else here, and say whether the same is seen
    Replay(ReplayArgs),
    /// Tell what is installed, and what to do about what is not
    Doctor(DoctorArgs),
    /// Serve one engine to a parent process
    #[command(hide = true)]
    Worker,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// More networks, one after the other; --out then has a folder for each
    #[arg(value_name = "MODEL", conflicts_with_all = ["json", "mnn"])]
    pub(super) more: Vec<PathBuf>,
    /// A target to compare, such as mnn:vulkan:low; may be given several times
    #[arg(long = "on", value_name = "TARGET", required = true)]
    pub(super) on: Vec<String>,
    #[command(flatten)]
    pub(super) finite: FiniteArgs,
}

#[derive(Debug, Args)]
pub(super) struct WalkArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// The target to walk, such as mnn:vulkan:low, or the reference itself
    #[arg(long = "on", value_name = "TARGET")]
    pub(super) on: String,
    /// How to search: follow every operator of one run, cut the network in two again and again,
    /// isolate every node, or all three
    #[arg(long, value_enum, default_value_t = Strategy::Follow)]
    pub(super) strategy: Strategy,
    /// List every operator, not only those that matter
    #[arg(long)]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) finite: FiniteArgs,
}

#[derive(Debug, Args)]
pub(super) struct FallbackArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// The target that is wrong, such as mnn:vulkan:high
    #[arg(long = "on", value_name = "TARGET")]
    pub(super) on: String,
    /// Move whole types of operators, as a backend declines them, or single ones
    #[arg(long, value_enum, default_value_t = What::Type)]
    pub(super) by: What,
    /// When the output is right: every element within the tolerance, the error near that of an
    /// honest backend, or the largest element of each row in its place
    #[arg(long, value_enum, default_value_t = GoalName::Tolerance)]
    pub(super) goal: GoalName,
    /// Do not move operators to the CPU: raise them to high precision on the same device
    #[arg(long)]
    pub(super) precision: bool,
}

/// What `fallback` moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    Op,
    Type,
}

/// When `fallback` has moved enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum GoalName {
    Tolerance,
    Floor,
    Top1,
}

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// A target to time, such as mnn:vulkan:low; may be given several times, the same one, too
    #[arg(long = "on", value_name = "TARGET", required = true)]
    pub(super) on: Vec<String>,
    /// How many runs of each target to time at least, after the --repeat runs that warm it up
    #[arg(long, value_name = "N", default_value = "50")]
    pub(super) iterations: NonZeroUsize,
    /// How many timed runs a target has at least before it is the next one's turn
    #[arg(long, value_name = "N", default_value = "5")]
    pub(super) turn: NonZeroUsize,
}

#[derive(Debug, Args)]
pub(super) struct ShrinkArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// The target that is wrong, such as mnn:vulkan:high; the result is written to --out, or to
    /// the folder `shrunk`
    #[arg(long = "on", value_name = "TARGET")]
    pub(super) on: String,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct MatrixArgs {
    #[command(subcommand)]
    pub(super) command: Option<MatrixCommand>,
    #[command(flatten)]
    pub(super) sweep: SweepArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum MatrixCommand {
    /// Merge matrices: the shares of a sweep into the whole, or several machines into one table
    Merge(MergeArgs),
}

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Matrices, as --json or --out wrote them
    #[arg(value_name = "MATRIX.json", required = true)]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) giving: MatrixOutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// The rows: ONNX files, case files, and folders of cases
    #[arg(value_name = "CASE|MODEL", required_unless_present = "from")]
    pub(super) networks: Vec<PathBuf>,
    /// A column: a target, such as mnn:vulkan:low; may be given several times
    #[arg(long = "on", value_name = "TARGET", required_unless_present = "from")]
    pub(super) on: Vec<String>,
    /// Run nothing: take the cells from reports of `run` and `walk`, and from matrices
    #[arg(long, value_name = "R.json", num_args = 1.., conflicts_with_all = ["networks", "on", "shard", "fallback"])]
    pub(super) from: Vec<PathBuf>,
    /// What this machine is called, where rows of several are to stand side by side
    #[arg(long, value_name = "NAME")]
    pub(super) system: Option<String>,
    /// Reference target; a case names its own
    #[arg(long, value_name = "TARGET", default_value = "tract")]
    pub(super) reference: String,
    #[command(flatten)]
    pub(super) feed: FeedArgs,
    /// Where a target is wrong, search for the types of operators that must run on the CPU
    #[arg(long)]
    pub(super) fallback: bool,
    /// Seconds a target may take for one cell; a case may say otherwise
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    /// How many networks run at once; as many as there are processors where not given
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Fill share I of N of the cells, for `offby matrix merge`
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<String>,
    #[command(flatten)]
    pub(super) giving: MatrixOutputArgs,
}

/// What becomes of a matrix.
#[derive(Debug, Args)]
pub(super) struct MatrixOutputArgs {
    /// Say what is new, fixed or the same since this earlier matrix; only what is new fails
    #[arg(long, value_name = "EARLIER.json")]
    pub(super) against: Option<PathBuf>,
    /// Write the matrix (JSON, Markdown, HTML) into this folder; an unfinished sweep goes on from there
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct CaseArgs {
    #[command(subcommand)]
    pub(super) command: CaseCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum CaseCommand {
    /// Run cases; 0 where every target is as expected, 1 where one is not
    Run(CaseRunArgs),
    /// List cases
    List(CaseListArgs),
}

#[derive(Debug, Args)]
pub(super) struct CaseRunArgs {
    /// Case files, and folders of them; `fixtures` where none is given
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// Only targets whose name contains this, such as sim: or mnn:opencl
    #[arg(long = "on", value_name = "TEXT")]
    pub(super) on: Option<String>,
    /// Start the targets' worker by this command, such as 'ssh board offby worker'
    #[arg(long, value_name = "COMMAND")]
    pub(super) via: Option<String>,
    /// Reference target for every case, instead of the one that each case names
    #[arg(long, value_name = "TARGET", conflicts_with = "onnx_backend_tests")]
    pub(super) reference: Option<String>,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    /// Run ONNX's own backend tests, those in this folder, instead of cases: on tract, on MNN's CPU, Vulkan and
    /// OpenCL at high precision, and on ONNX Runtime
    #[arg(long, value_name = "DIR", conflicts_with_all = ["paths", "junit"])]
    pub(super) onnx_backend_tests: Option<PathBuf>,
    /// Write the table of the backend tests (JSON, Markdown, HTML) into this folder
    #[arg(long, value_name = "DIR", requires = "onnx_backend_tests")]
    pub(super) out: Option<PathBuf>,
    /// How many cases run at once; as many as there are processors where not given
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
    /// Write JUnit XML to this file
    #[arg(long, value_name = "PATH")]
    pub(super) junit: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct CaseListArgs {
    /// Case files, and folders of them; `fixtures` where none is given
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// How a walk searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Strategy {
    /// One undisturbed run, every operator checked on its own inputs
    Follow,
    /// The network truncated at one place after another; needs no taps
    Cut,
    /// Every node as a network of its own, fed with the reference's values
    Isolate,
    /// All three, and where they agree
    All,
}

impl Strategy {
    /// The name as typed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Strategy::Follow => "follow",
            Strategy::Cut => "cut",
            Strategy::Isolate => "isolate",
            Strategy::All => "all",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct CutArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// A value or node that becomes an output; may be given several times
    #[arg(long, value_name = "VALUE", required = true)]
    pub(super) to: Vec<String>,
    /// A value or node whose output becomes an input; may be given several times
    #[arg(long, value_name = "VALUE")]
    pub(super) from: Vec<String>,
    /// Reference target, which computes the captured values
    #[arg(long, value_name = "TARGET", default_value = "tract")]
    pub(super) reference: String,
    /// The file to write
    #[arg(short = 'o', long = "output", value_name = "OUT.onnx")]
    pub(super) destination: PathBuf,
    /// Store beside it what the reference feeds its inputs, the outputs to expect, and a case file
    #[arg(long)]
    pub(super) capture: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The tensor that is right, a .npy file
    pub(super) reference: PathBuf,
    /// The tensor to compare with it, a .npy file
    pub(super) candidate: PathBuf,
    /// How many of the worst elements to list
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub(super) worst: usize,
    #[command(flatten)]
    pub(super) tolerance: ToleranceArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(subcommand)]
    pub(super) command: ReportCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Render the report.json of `run` or `walk`; with a tolerance it is judged again first
    Render(RenderArgs),
    /// Gather a report and all that is needed to see its finding into one file for a ticket
    Bundle(BundleArgs),
}

#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// The saved report
    #[arg(value_name = "REPORT.json")]
    pub(super) report: PathBuf,
    /// The file to write
    #[arg(short = 'o', long = "output", value_name = "X.offby.tar.zst")]
    pub(super) output: PathBuf,
    /// The report's network, where it is not found by the name in the report
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    /// The most the files of the bundle may have together; what can be spared is left out
    #[arg(long, value_name = "MEGABYTES", default_value_t = 25)]
    pub(super) max_size: u64,
    /// Seconds a target may take
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The bundle
    #[arg(value_name = "X.offby.tar.zst")]
    pub(super) bundle: PathBuf,
    /// Another target than the bundle's own
    #[arg(long = "on", value_name = "TARGET")]
    pub(super) on: Option<String>,
    /// Seconds the target may take
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    /// The saved report
    #[arg(value_name = "REPORT.json")]
    pub(super) report: PathBuf,
    /// What to make of it
    #[arg(long, value_enum)]
    pub(super) to: Form,
    /// The file to write, instead of stdout
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) tolerance: ToleranceArgs,
}

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Markdown for an issue, below the length that GitHub takes
    Md,
    /// One page that needs nothing else
    Html,
    /// What `run` and `walk` print
    Text,
    /// The report itself
    Json,
    /// JUnit XML, one test for each target
    Junit,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Look at the worker that this command starts, such as 'ssh board offby worker'
    #[arg(long, value_name = "COMMAND")]
    pub(super) via: Option<String>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}
