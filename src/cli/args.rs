//! The command-line arguments, before validation.

pub(super) use super::agree_args::AgreeArgs;
use super::audit_args::AuditArgs;
use super::compare_args::{BisectArgs, CompareArgs};
use super::decode_args::DecodeArgs;
use super::quantised_args::QuantisedArgs;
pub(super) use super::report_args::{ReplayArgs, ReportCommand};
pub(super) use super::shared_args::{
    FeedArgs, FiniteArgs, LimitArgs, ModelArgs, NetworkArgs, OutputArgs, PlaceArgs, ToleranceArgs,
};
use crate::graph::LayerRange;
use crate::walk::{Sampling, Strategy};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Finds where a neural network's numbers go wrong.
#[derive(Debug, Parser)]
#[command(
    name = "offby",
    version,
    long_version = super::version::long_version(),
    max_term_width = 100
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a network on every target and compare the outputs with the reference outputs
    Run(RunArgs),
    /// Find the operators that introduce error: is the cause a bug or the storage format?
    Walk(WalkArgs),
    /// Compare two networks that should compute the same, such as before and after an optimizer
    Compare(CompareArgs),
    /// Time a network on targets that take turns, and check the outputs against the reference
    Bench(BenchArgs),
    /// Run a network many times: are its outputs always the same bytes, and which operator differs?
    Audit(AuditArgs),
    /// Find the release of an engine that first gives a wrong answer
    Bisect(BisectArgs),
    /// Truncate a network: keep the part between chosen input values and output values
    Cut(CutArgs),
    /// Write each different node as a test with its inputs and expected outputs
    Explode(ExplodeArgs),
    /// Find the smallest set of operators that must run on the CPU for a correct output
    Fallback(FallbackArgs),
    /// Shrink a network, its shapes and its values to a minimal reproduction of an error
    Shrink(ShrinkArgs),
    /// Make a table of networks or cases by targets, in one run, in shards or from reports
    Matrix(MatrixArgs),
    /// Run a whole data set: report class agreement, lost accuracy and the worst inputs
    Agree(Box<AgreeArgs>),
    /// Run a language model token by token: at which token, layer and operator do targets part?
    Decode(DecodeArgs),
    /// Run case files and check their expectations, or list them
    Case(CaseArgs),
    /// Compare two tensors element by element
    Diff(DiffArgs),
    /// Render or bundle a saved report for a ticket, a browser, a terminal or a CI server
    Report(ReportArgs),
    /// Run a bundle from a different machine, and say whether its finding occurs on this one
    Replay(ReplayArgs),
    /// Check which engines and tools are installed, and how to install missing ones
    Doctor(DoctorArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
    /// Serve one engine to a parent process
    #[command(hide = true)]
    Worker,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Shell that gets the completions
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// Further networks, run one after the other; --out then gets one folder for each network
    #[arg(value_name = "MODEL", conflicts_with_all = ["json", "mnn"])]
    pub(super) more: Vec<PathBuf>,
    /// Target to compare, such as mnn:vulkan:low (repeatable)
    #[arg(long = "on", value_name = "TARGET", required = true)]
    pub(super) on: Vec<String>,
    #[command(flatten)]
    pub(super) finite: FiniteArgs,
}

#[derive(Debug, Args)]
pub(super) struct WalkArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// Target to walk, such as mnn:vulkan:low, or the reference itself (repeatable)
    #[arg(long = "on", value_name = "TARGET", required_unless_present = "got")]
    pub(super) on: Vec<String>,
    /// Walk these dumped tensors of a device instead of a target: a folder, or an .npz, .safetensors, .pt or
    /// Polygraphy .json file
    #[arg(long, value_name = "DUMP", conflicts_with_all = ["on", "strategy"])]
    pub(super) got: Option<PathBuf>,
    /// Walk these tensors, too: a dump of the same run in the framework that exported the network
    #[arg(long, value_name = "DUMP", requires = "got")]
    pub(super) want: Option<PathBuf>,
    /// Match a dumped tensor with an ONNX value, if their names differ (repeatable)
    #[arg(long, value_name = "DUMPED=VALUE", requires = "got")]
    pub(super) map: Vec<String>,
    /// Format in which the device stores tensors; if left out, the dumped tensors show it
    #[arg(long, value_enum, requires = "got")]
    pub(super) storage: Option<Stored>,
    /// Search strategy: follow every operator of one run, bisect the network by cuts, isolate every
    /// node, or all three
    #[arg(long, value_enum, default_value_t = AskedStrategy::Follow)]
    pub(super) strategy: AskedStrategy,
    /// Walk only these layers, such as 10..12; the reference computes what goes into them
    #[arg(long, value_name = "FIRST..LAST", conflicts_with = "got")]
    pub(super) layers: Option<LayerRange>,
    /// If the values do not fit into memory: draw so many elements of each value, and compare only suspicious values
    /// whole; the seed of the positions is 1 if left out
    #[arg(long, value_name = "ELEMENTS[,SEED]", conflicts_with_all = ["strategy", "got"])]
    pub(super) sample: Option<Sampling>,
    /// List every operator, not only the error sources and the operators just before them
    #[arg(long)]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) finite: FiniteArgs,
}

/// A storage format of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Stored {
    F32,
    F16,
    Bf16,
    Tf32,
}

#[derive(Debug, Args)]
pub(super) struct FallbackArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// Target with the wrong output, such as mnn:vulkan:high
    #[arg(long = "on", value_name = "TARGET")]
    pub(super) on: String,
    /// Move whole operator types, the way a backend declines operators, or single operators
    #[arg(long, value_enum, default_value_t = What::Type)]
    pub(super) by: What,
    /// Condition for a correct output: every element within the tolerance, an error near the rounding
    /// error of a correct backend, or the largest element of each row at the same index
    #[arg(long, value_enum, default_value_t = GoalName::Tolerance)]
    pub(super) goal: GoalName,
    /// Run the operators at high precision on the same device, instead of moving them to the CPU
    #[arg(long)]
    pub(super) precision: bool,
    #[command(flatten)]
    pub(super) quantised: QuantisedArgs,
}

/// The unit that `fallback` moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    Op,
    Type,
}

/// The condition that ends the `fallback` search.
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
    /// Target to time, such as mnn:vulkan:low (repeatable, even with the same target)
    #[arg(long = "on", value_name = "TARGET", required = true)]
    pub(super) on: Vec<String>,
    /// Minimum number of timed runs of each target, after the --repeat warm-up runs
    #[arg(long, value_name = "N", default_value = "50")]
    pub(super) iterations: NonZeroUsize,
    /// Minimum number of timed runs of a target before the next target's turn
    #[arg(long, value_name = "N", default_value = "5")]
    pub(super) turn: NonZeroUsize,
}

#[derive(Debug, Args)]
pub(super) struct ShrinkArgs {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// Target with the wrong output, such as mnn:vulkan:high; offby writes the result to --out, or to
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
    /// Merge matrices: the shards of one sweep, or the tables of several machines
    Merge(MergeArgs),
}

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Matrix files written by --json or --out
    #[arg(value_name = "MATRIX.json", required = true)]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) giving: MatrixOutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// Rows: ONNX files, case files, and folders of case files
    #[arg(value_name = "CASE|MODEL", required_unless_present = "from")]
    pub(super) networks: Vec<PathBuf>,
    /// Column: a target, such as mnn:vulkan:low (repeatable)
    #[arg(long = "on", value_name = "TARGET", required_unless_present = "from")]
    pub(super) on: Vec<String>,
    /// Run no network: take the cells from reports of `run` and `walk`, and from matrix files
    #[arg(long, value_name = "R.json", num_args = 1.., conflicts_with_all = ["networks", "on", "shard", "fallback"])]
    pub(super) from: Vec<PathBuf>,
    /// Name of this machine, to distinguish the rows of several machines in one table
    #[arg(long, value_name = "NAME")]
    pub(super) system: Option<String>,
    /// Reference target for ONNX files; each case file names its own reference
    #[arg(long, value_name = "TARGET", default_value = "tract")]
    pub(super) reference: String,
    #[command(flatten)]
    pub(super) feed: FeedArgs,
    /// Decode so many tokens with each ONNX file that is a decoder, after a prompt of eight; otherwise it is fed the
    /// prompt only
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "fallback", "input", "shape"])]
    pub(super) steps: Option<usize>,
    /// If a target is wrong, search for the operator types that must run on the CPU
    #[arg(long)]
    pub(super) fallback: bool,
    /// Time limit for one cell, or for one step of a decoder, in seconds, unless the case file sets its own
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    /// Number of networks to run at once (default: the number of processors)
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Fill only shard I of N of the cells; `offby matrix merge` joins the shards
    #[arg(long, value_name = "I/N", conflicts_with = "bless")]
    pub(super) shard: Option<String>,
    #[command(flatten)]
    pub(super) giving: MatrixOutputArgs,
}

/// Output options for a matrix.
#[derive(Debug, Args)]
pub(super) struct MatrixOutputArgs {
    /// Report new, fixed and unchanged findings since this earlier matrix; only new findings fail
    #[arg(long, value_name = "EARLIER.json")]
    pub(super) against: Option<PathBuf>,
    /// Write what is fixed, or right and new, into the file of --against; what is newly wrong still fails
    #[arg(long, requires = "against")]
    pub(super) bless: bool,
    /// Write the matrix (JSON, Markdown, HTML) into this folder; resume an unfinished sweep from it
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
    /// Run cases; exit code 0 if every target is as expected, 1 if any target is not
    Run(CaseRunArgs),
    /// List cases
    List(CaseListArgs),
}

#[derive(Debug, Args)]
pub(super) struct CaseRunArgs {
    /// Case files, and folders of case files (default: `fixtures`)
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// Run only the targets whose name contains this text, such as sim: or mnn:opencl; backend tests also run on
    /// a target with exactly this name
    #[arg(long = "on", value_name = "TEXT")]
    pub(super) on: Option<String>,
    /// Command that starts the targets' worker process, such as 'ssh board offby worker'
    #[arg(long, value_name = "COMMAND")]
    pub(super) via: Option<String>,
    /// Reference target for every case, instead of each case's own reference
    #[arg(long, value_name = "TARGET", conflicts_with = "onnx_backend_tests")]
    pub(super) reference: Option<String>,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    /// Run the ONNX backend tests in this folder, instead of cases: on tract, on MNN's CPU, Vulkan and
    /// OpenCL at high precision, and on ONNX Runtime
    #[arg(long, value_name = "DIR", conflicts_with_all = ["paths", "junit"])]
    pub(super) onnx_backend_tests: Option<PathBuf>,
    /// Write the results of the backend tests (JSON, Markdown, HTML) into this folder
    #[arg(long, value_name = "DIR", requires = "onnx_backend_tests")]
    pub(super) out: Option<PathBuf>,
    /// Number of cases to run at once (default: the number of processors)
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
    /// Write the results as JUnit XML to this file
    #[arg(long, value_name = "PATH")]
    pub(super) junit: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct CaseListArgs {
    /// Case files, and folders of case files (default: `fixtures`)
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// The search strategy of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum AskedStrategy {
    /// One undisturbed run; offby checks every operator on the operator's own inputs
    Follow,
    /// Runs of truncated networks, by bisection; needs no access to intermediate values
    Cut,
    /// One run per node, as a separate network with input values from the reference
    Isolate,
    /// All three strategies, and a comparison of their results
    All,
}

impl AskedStrategy {
    /// The strategies of a walk, in their order.
    pub(super) fn strategies(self) -> &'static [Strategy] {
        match self {
            AskedStrategy::Follow => &[Strategy::Follow],
            AskedStrategy::Cut => &[Strategy::Cut],
            AskedStrategy::Isolate => &[Strategy::Isolate],
            AskedStrategy::All => &[Strategy::Follow, Strategy::Cut, Strategy::Isolate],
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct CutArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Value or node that becomes an output (repeatable)
    #[arg(long, value_name = "VALUE", required = true)]
    pub(super) to: Vec<String>,
    /// Value that becomes an input, or node whose output becomes an input (repeatable)
    #[arg(long, value_name = "VALUE")]
    pub(super) from: Vec<String>,
    /// Reference target; computes the captured values
    #[arg(long, value_name = "TARGET", default_value = "tract")]
    pub(super) reference: String,
    /// Output ONNX file
    #[arg(short = 'o', long = "output", value_name = "OUT.onnx")]
    pub(super) destination: PathBuf,
    /// Also store input values from the reference, expected outputs and a case file in the same folder
    #[arg(long)]
    pub(super) capture: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct ExplodeArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Folder for the tests
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Run the tests on this target, too, and list the failures (repeatable)
    #[arg(long = "on", value_name = "TARGET")]
    pub(super) on: Vec<String>,
    /// Print only errors
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// Reference tensor, a .npy file
    pub(super) reference: PathBuf,
    /// Tensor to compare with the reference, a .npy file
    pub(super) candidate: PathBuf,
    /// Number of worst elements to list
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

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Check the worker process that this command starts, such as 'ssh board offby worker'
    #[arg(long, value_name = "COMMAND")]
    pub(super) via: Option<String>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}
