//! Command-line arguments that several commands share.

use clap::Args;
use std::path::PathBuf;

/// A network and its input values.
#[derive(Debug, Clone, Args)]
pub(super) struct ModelArgs {
    /// The network, an ONNX file
    #[arg(value_name = "MODEL")]
    pub(super) path: PathBuf,
    #[command(flatten)]
    pub(super) feed: FeedArgs,
}

/// The input values of a network.
#[derive(Debug, Clone, Args)]
pub(super) struct FeedArgs {
    /// Input values: NAME=SPEC, or SPEC for a single input (repeatable). SPEC is arange, ones, zeros,
    /// const:V, sine, normal:SEED, uniform:LO,HI,SEED, edge:SEED, or a .npy, .pb, .png or .jpg file
    #[arg(long, value_name = "SPEC")]
    pub(super) input: Vec<String>,
    /// Shape of an input with dynamic dimensions, such as input=1,3,224,224 (repeatable)
    #[arg(long, value_name = "NAME=DIMS")]
    pub(super) shape: Vec<String>,
    /// Per-channel mean for normalizing images, after scaling to 0..1
    #[arg(long, value_name = "M,M,M", value_delimiter = ',', allow_negative_numbers = true)]
    pub(super) mean: Vec<f32>,
    /// Per-channel standard deviation for normalizing images
    #[arg(long, value_name = "S,S,S", value_delimiter = ',')]
    pub(super) std: Vec<f32>,
}

/// A network, its input values, and how to run it.
#[derive(Debug, Clone, Args)]
pub(super) struct NetworkArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Reference target; offby compares the outputs of all other targets with its outputs
    #[arg(long, value_name = "TARGET", default_value = "tract")]
    pub(super) reference: String,
    /// Accept errors of the engine's converter, up to this relative L2 error of an output
    #[arg(long, value_name = "E")]
    pub(super) allow_converter: Option<f64>,
    /// Accept values that overflow the target's storage format; judge only the remaining values
    #[arg(long)]
    pub(super) allow_overflow: bool,
    /// Ready-made .mnn file, instead of converting the network; FILE.weight may hold its weights
    #[arg(long, value_name = "FILE")]
    pub(super) mnn: Option<PathBuf>,
    /// MNN's own MNNConvert program, instead of the Python package's converter
    #[arg(long, value_name = "PROGRAM")]
    pub(super) converter: Option<PathBuf>,
    /// Time limit for each target, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    /// Number of runs of each target, to check whether its outputs are always byte-identical
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(super) repeat: usize,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) tolerance: ToleranceArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    /// Store the report (JSON, Markdown, HTML) and every output tensor in this folder
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

/// Where targets run, if not on this machine.
#[derive(Debug, Clone, Args)]
pub(super) struct PlaceArgs {
    /// Command that starts the targets' worker process, such as 'ssh board offby worker'
    #[arg(long, value_name = "COMMAND", conflicts_with = "targets")]
    pub(super) via: Option<String>,
    /// YAML file of named targets, for --on NAME and --on TARGET@NAME
    #[arg(long, value_name = "FILE")]
    pub(super) targets: Option<PathBuf>,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
}

/// Limits for a worker process.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct LimitArgs {
    /// Limit for a worker's own memory on this machine, such as 2GiB; offby kills a worker above it
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(super) memory: Option<u64>,
}

/// Parses bytes, or a number with a common unit.
fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("K", 1 << 10),
        ("M", 1 << 20),
        ("G", 1 << 30),
        ("T", 1 << 40),
        ("B", 1),
        ("", 1),
    ];
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor as f64);
    let bytes =
        number.trim().parse::<f64>().ok().zip(factor).map(|(number, factor)| number * factor);
    match bytes {
        Some(bytes) if bytes >= 1.0 && bytes.is_finite() => Ok(bytes as u64),
        _ => Err("a size is a number with a unit, such as 2GiB or 512MB".into()),
    }
}

/// The user's tolerance, which replaces the tolerance table.
#[derive(Debug, Clone, Args)]
pub(super) struct ToleranceArgs {
    /// Absolute tolerance, instead of the tolerance for the storage format
    #[arg(long, value_name = "A")]
    pub(super) atol: Option<f64>,
    /// Relative tolerance, as a fraction of the reference value
    #[arg(long, value_name = "R")]
    pub(super) rtol: Option<f64>,
}

/// A requirement for outputs that does not depend on the reference.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct FiniteArgs {
    /// Fail if an output contains NaN or infinity, even if the reference output does
    #[arg(long)]
    pub(super) no_nan: bool,
}

/// Where to write the report, and how much to print.
#[derive(Debug, Clone, Args)]
pub(super) struct OutputArgs {
    /// Write the report as JSON to this file, or to stdout for `-`
    #[arg(long, value_name = "PATH")]
    pub(super) json: Option<PathBuf>,
    /// Print only errors; the exit code shows the result
    #[arg(short, long, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Print all messages of the engines and drivers
    #[arg(short, long)]
    pub(super) verbose: bool,
}

impl OutputArgs {
    /// Whether JSON goes to stdout. Stdout must then contain only the JSON.
    pub(super) fn json_to_stdout(&self) -> bool {
        self.json.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("2GiB", 2 << 30),
            ("1.5 GiB", 3 << 29),
            ("512MB", 512_000_000),
            ("64M", 64 << 20),
            ("7", 7),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "-1GiB", "0", "2 gigs", "nan", "infB", "2GiBs"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
