//! The parts of the command line that several commands have.

use clap::Args;
use std::path::PathBuf;

/// A network and what it is fed.
#[derive(Debug, Clone, Args)]
pub(super) struct ModelArgs {
    /// The network, an ONNX file
    #[arg(value_name = "MODEL")]
    pub(super) path: PathBuf,
    #[command(flatten)]
    pub(super) feed: FeedArgs,
}

/// What a network is fed.
#[derive(Debug, Clone, Args)]
pub(super) struct FeedArgs {
    /// What to feed: NAME=SPEC, or SPEC for a single input. SPEC is arange, ones, zeros, const:V,
    /// sine, normal:SEED, uniform:LO,HI,SEED, edge:SEED, or a .npy, .pb, .png or .jpg file
    #[arg(long, value_name = "SPEC")]
    pub(super) input: Vec<String>,
    /// Fix the shape of an input with open dimensions: input=1,3,224,224
    #[arg(long, value_name = "NAME=DIMS")]
    pub(super) shape: Vec<String>,
    /// What an image's mean is, per channel, after scaling to 0..1
    #[arg(long, value_name = "M,M,M", value_delimiter = ',', allow_negative_numbers = true)]
    pub(super) mean: Vec<f32>,
    /// What an image's standard deviation is, per channel
    #[arg(long, value_name = "S,S,S", value_delimiter = ',')]
    pub(super) std: Vec<f32>,
}

/// A network, what it is fed, and how it is to be run.
#[derive(Debug, Clone, Args)]
pub(super) struct NetworkArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Reference target: the outputs of the others are held to its outputs
    #[arg(long, value_name = "TARGET", default_value = "tract")]
    pub(super) reference: String,
    /// Accept an error that the engine's converter causes, up to this relative L2 error of an output
    #[arg(long, value_name = "E")]
    pub(super) allow_converter: Option<f64>,
    /// Accept that the target's storage cannot hold some values: the rest decides
    #[arg(long)]
    pub(super) allow_overflow: bool,
    /// A ready .mnn file, instead of converting the network
    #[arg(long, value_name = "FILE")]
    pub(super) mnn: Option<PathBuf>,
    /// MNN's own MNNConvert program, instead of the Python package's
    #[arg(long, value_name = "PROGRAM")]
    pub(super) converter: Option<PathBuf>,
    /// Seconds a target may take
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u64,
    /// How often each target runs, to see whether it always gives the same bytes
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

/// Where targets run, if not here.
#[derive(Debug, Clone, Args)]
pub(super) struct PlaceArgs {
    /// Start the targets' worker by this command, such as 'ssh board offby worker'
    #[arg(long, value_name = "COMMAND", conflicts_with = "targets")]
    pub(super) via: Option<String>,
    /// A YAML file of named targets, for --on NAME and --on TARGET@NAME
    #[arg(long, value_name = "FILE")]
    pub(super) targets: Option<PathBuf>,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
}

/// What a worker may use.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct LimitArgs {
    /// Kill a worker on this machine that uses more memory of its own than this, such as 2GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(super) memory: Option<u64>,
}

/// Bytes, or a number with one of the usual units.
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

/// A tolerance in place of the table's.
#[derive(Debug, Clone, Args)]
pub(super) struct ToleranceArgs {
    /// Allow this absolute difference, instead of what the storage format allows
    #[arg(long, value_name = "A")]
    pub(super) atol: Option<f64>,
    /// Allow this difference relative to the reference
    #[arg(long, value_name = "R")]
    pub(super) rtol: Option<f64>,
}

/// What outputs must be, whatever the reference is.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct FiniteArgs {
    /// Fail if an output has NaN or infinities, even if the reference has them, too
    #[arg(long)]
    pub(super) no_nan: bool,
}

/// Where and how loudly to answer.
#[derive(Debug, Clone, Args)]
pub(super) struct OutputArgs {
    /// Write the report as JSON to this file, or to stdout for `-`
    #[arg(long, value_name = "PATH")]
    pub(super) json: Option<PathBuf>,
    /// Print nothing but errors; the exit code tells
    #[arg(short, long, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Print all that engines and drivers said
    #[arg(short, long)]
    pub(super) verbose: bool,
}

impl OutputArgs {
    /// Whether JSON goes to stdout, which must then carry nothing else.
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
