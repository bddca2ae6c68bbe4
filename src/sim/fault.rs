//! The faults a device can have: one table of names, parameters, and the op types each fault can touch.

use super::Accumulate;
use super::condition::Condition;
use crate::tensor::Format;
use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Op types that normalise by mean and variance.
const NORMS: &[&str] = &["InstanceNormalization", "LayerNormalization", "GroupNormalization"];
/// Op types whose scale and bias are parameters.
const SCALED: &[&str] =
    &["BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization"];
/// Op types that broadcast two operands.
pub(super) const BINARY: &[&str] = &["Add", "Sub", "Mul", "Div", "Max", "Min"];

/// Op types whose sums can be kept in `f16`.
const SUMMED: &[&str] =
    &["MatMul", "Gemm", "Conv", "AveragePool", "GlobalAveragePool", "ReduceSum", "ReduceMean"];

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $parameters:expr, $ops:expr;)+) => {
        /// A fault of a device.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Fault { $($(#[$doc])* #[serde(rename = $text)] $variant),+ }

        impl Fault {
            /// Every fault.
            pub const ALL: &[Fault] = &[$(Fault::$variant),+];

            /// The name as documents write it.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$variant => $text),+ }
            }

            /// The parameters of the fault, apart from `at` and `says`.
            pub fn parameters(self) -> &'static [&'static str] {
                match self { $(Fault::$variant => $parameters),+ }
            }

            /// The op types the fault can touch; an empty list means any op type.
            pub fn touches(self) -> &'static [&'static str] {
                match self { $(Fault::$variant => $ops),+ }
            }
        }
    };
}

faults! {
    /// GELU by a tanh of two exponentials in `f16`: NaN if an exponential overflows, beyond about ±5.5.
    NaiveGelu = "naive-gelu", &[], &["Erf", "Gelu", "Tanh"];
    /// ln(1 + eˣ) in `f16`: infinite from 11.1 on, or the value of `instead`.
    NaiveSoftplus = "naive-softplus", &["instead"], &["Softplus"];
    /// Exponentials summed in `f16` without subtracting the largest input first. Non-finite results become the
    /// value of `instead`.
    NaiveLogsumexp = "naive-logsumexp", &["instead"], &["ReduceLogSumExp", "Softmax", "LogSoftmax"];
    /// The variance as `E[x²] - E[x]²`, kept in `f16`; with `sums: f32` the addends are summed in order in `f32`.
    VarianceBySquares = "variance-by-squares", &["sums"], NORMS;
    /// The places of each channel are padded with zeros up to a multiple. The zeros count in mean and variance. With
    /// `channels` each instance is that many channels, as in a group norm made from an instance norm.
    PaddingInStatistics = "padding-in-statistics", &["multiple", "channels"], NORMS;
    /// Scale and bias are read from unwritten memory: the first scale is NaN, the rest is noise.
    UnwrittenParameters = "unwritten-parameters", &[], SCALED;
    /// Every element moves away from zero by that many units in the last place of the storage format.
    Ulps = "ulps", &["ulps"], &[];
    /// NaN in elements whose first input is in a range; without a range, in the first element.
    Nan = "nan", &["range"], &[];
    /// All elements times a factor, by default 2.
    Scale = "scale", &["factor"], &[];
    /// Zeros; with a range, only in elements whose first input is in the range.
    Zero = "zero", &["range"], &[];
    /// The operand of lower rank, or with fewer elements, is read as if packed by 4: element i is the operand's
    /// element 4i, and zero beyond its end.
    WrongBroadcast = "wrong-broadcast", &[], BINARY;
    /// The padding before the input and the padding after it are swapped.
    PadsSwapped = "pads-swapped", &[], &["Conv"];
    /// The operand is read in memory order, without its transpose.
    IgnoreTranspose = "ignore-transpose", &[], &["Transpose", "Gemm"];
    /// Every second tile of rows is never written; a tile has 64 rows by default.
    TileZero = "tile-zero", &["tile"], &[];
    /// Each even channel is swapped with the odd channel after it.
    ChannelSwap = "channel-swap", &[], &[];
    /// The output is written with four channels packed together, and read as if unpacked.
    PackSwap = "pack-swap", &[], &[];
    /// Every part except the first is read from an offset, by default 4.
    ConcatOffset = "concat-offset", &["offset"], &["Concat"];
    /// One element times a factor, by default 2; a zero becomes the factor.
    OneElement = "one-element", &["factor"], &[];
    /// One row of the last axis times a factor, by default 1.02.
    OneRow = "one-row", &["factor"], &[];
    /// All channels except the largest are zero.
    QuietChannels = "quiet-channels", &[], &[];
    /// The last elements of the last axis, which fill no whole tile, are never written; a tile has 64.
    LastTile = "last-tile", &["tile"], &[];
    /// Every tenth element moves away from zero by that many units in the last place of the storage format.
    SomeUlps = "some-ulps", &["ulps"], &[];
    /// Elements beyond 65504 times a factor, by default 1.02.
    LargeOnly = "large-only", &["factor"], &[];
    /// Negative elements times a factor, by default 1.02.
    NegativeOnly = "negative-only", &["factor"], &[];
    /// The sign of every element is lost.
    SignLost = "sign-lost", &[], &[];
    /// The smaller operand is read on in memory order, instead of repeating its axes of extent 1.
    ReadOn = "read-on", &[], BINARY;
    /// The last term of each sum of exponentials is left out.
    TermLost = "term-lost", &[], &["Softmax"];
    /// The last three products of each sum are left out.
    TailLost = "tail-lost", &[], &["MatMul", "Gemm", "Conv"];
    /// The bias is not added.
    BiasMissing = "bias-missing", &[], &["Gemm", "Conv"];
    /// The first two rows, on the second-to-last axis, are swapped.
    RowsSwapped = "rows-swapped", &[], &[];
    /// Every element has the value of the element before it along the last axis.
    Shifted = "shifted", &[], &[];
    /// The second channel has the values of the first channel.
    ChannelCopied = "channel-copied", &[], &[];
    /// Elements larger than nine tenths of the largest element are cut to that limit.
    Clipped = "clipped", &[], &[];
    /// Elements smaller than a thousandth of the largest element are zero.
    SmallLost = "small-lost", &[], &[];
    /// Elements are stored in `bf16`, or in another format, regardless of the declared one.
    DigitsLost = "digits-lost", &["format"], &[];
    /// The second channel times a factor, by default 2: one head of an attention.
    OneChannel = "one-channel", &["factor"], &[];
    /// The last row along the axis is not written: it holds the row before it.
    StaleSlot = "stale-slot", &[], &["Concat"];
    /// Partial sums are kept in `f16`, regardless of the declared format.
    HalfSums = "half-sums", &[], SUMMED;
    /// Different outputs in every process, and the same in all runs of one.
    ProcessNoise = "process-noise", &[], &[];
    /// Zeros in the second run only.
    SecondRun = "second-run", &[], &[];
    /// The output of the previous run; in the first run the elements that `before` declares, `zero` or `nan`.
    Stale = "stale", &["before"], &[];
    /// All elements plus 1, integers included.
    PlusOne = "plus-one", &[], &[];
    /// Different outputs in every run.
    Random = "random", &[], &[];
    /// Wrong by 1, but not while the run is watched.
    Liar = "liar", &[], &[];
    /// The engine refuses the operator.
    Refuse = "refuse", &[], &[];
    /// The operator's kernel does not compile.
    BuildError = "build-error", &[], &[];
    /// The operator is not supported: no later node runs, all outputs are zero, and the run reports success.
    ZeroOutput = "zero-output", &[], &[];
    /// The device is lost: this run and every later run fail.
    DeviceLost = "device-lost", &[], &[];
    /// The process aborts.
    Abort = "abort", &["during"], &[];
    /// The process accesses invalid memory.
    Segfault = "segfault", &["during"], &[];
    /// The process never ends.
    Hang = "hang", &["during"], &[];
}

/// A fault with its parameters and its conditions.
///
/// A parameter that the fault does not take is refused, because it would have no effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planted {
    /// The fault.
    pub fault: Fault,
    /// The number of units in the last place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ulps: Option<u32>,
    /// A factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f32>,
    /// The smallest and the largest value of an input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<[f32; 2]>,
    /// The value that replaces a non-finite result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<f32>,
    /// Rows of a tile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tile: Option<usize>,
    /// Places are padded to a multiple of this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiple: Option<usize>,
    /// Channels of an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// The format of sums.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sums: Option<Accumulate>,
    /// The format of stored elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// The offset in elements along an axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// The contents of memory before the first run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// When the process ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during: Option<During>,
    /// The lines that the driver prints when the fault happens; reports show them as evidence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub says: Vec<String>,
    /// The nodes and runs of the fault; by default all nodes and all runs.
    pub at: Condition,
}

/// The contents of memory before the first run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Before {
    /// Zeros.
    #[default]
    Zero,
    /// NaN.
    Nan,
}

/// When a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum During {
    /// While the device is opened, before any operator.
    Opening,
    /// In an operator.
    #[default]
    Running,
}

impl Planted {
    /// A fault without parameters, in all nodes and all runs.
    pub fn of(fault: Fault) -> Self {
        Planted {
            fault,
            ulps: None,
            factor: None,
            range: None,
            instead: None,
            tile: None,
            multiple: None,
            channels: None,
            sums: None,
            format: None,
            offset: None,
            before: None,
            during: None,
            says: Vec::new(),
            at: Condition::default(),
        }
    }

    /// Checks that the fault takes every given parameter, and that the values make sense.
    ///
    /// # Errors
    /// Fails with a sentence that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let name = self.fault.name();
        let allowed = self.fault.parameters();
        if let Some(other) = self.given().into_iter().find(|given| !allowed.contains(given)) {
            let takes = match allowed {
                [] => "no parameter but `at` and `says`".to_owned(),
                some => format!("`{}`", some.join("`, `")),
            };
            return Err(format!("`{other}` does nothing to `{name}`, which takes {takes}"));
        }
        if matches!(self.fault, Fault::Ulps | Fault::SomeUlps) && self.ulps.unwrap_or(0) == 0 {
            return Err("`ulps` must say how many: `ulps: 64`".into());
        }
        let counts =
            [("tile", self.tile), ("multiple", self.multiple), ("channels", self.channels)];
        for (parameter, value) in counts {
            if value == Some(0) {
                return Err(format!("`{parameter}` must be 1 or more"));
            }
        }
        if let Some([low, high]) = self.range
            && !(low <= high)
        {
            return Err(format!("`range` goes from the least to the largest, not {low} to {high}"));
        }
        let touches = self.fault.touches();
        let strange = |op: &&String| !touches.is_empty() && !touches.contains(&op.as_str());
        if let Some(op) = self.at.op.iter().find(strange) {
            return Err(format!("`{name}` touches {}, not {op}", touches.join(", ")));
        }
        self.at.check()
    }

    /// The names of the given parameters.
    fn given(&self) -> Vec<&'static str> {
        [
            ("ulps", self.ulps.is_some()),
            ("factor", self.factor.is_some()),
            ("range", self.range.is_some()),
            ("instead", self.instead.is_some()),
            ("tile", self.tile.is_some()),
            ("multiple", self.multiple.is_some()),
            ("channels", self.channels.is_some()),
            ("sums", self.sums.is_some()),
            ("format", self.format.is_some()),
            ("offset", self.offset.is_some()),
            ("before", self.before.is_some()),
            ("during", self.during.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }
}

/// The document's form of [`Planted`], before the check.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultDocument {
    fault: Fault,
    ulps: Option<u32>,
    factor: Option<f32>,
    range: Option<[f32; 2]>,
    instead: Option<f32>,
    tile: Option<usize>,
    multiple: Option<usize>,
    channels: Option<usize>,
    sums: Option<Accumulate>,
    format: Option<Format>,
    offset: Option<usize>,
    before: Option<Before>,
    during: Option<During>,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    at: Condition,
}

impl From<FaultDocument> for Planted {
    fn from(written: FaultDocument) -> Self {
        let FaultDocument {
            fault,
            ulps,
            factor,
            range,
            instead,
            tile,
            multiple,
            channels,
            sums,
            format,
            offset,
            before,
            during,
            says,
            at,
        } = written;
        // Devices are sent as JSON, and JSON has no infinity.
        let range = range.map(|ends| ends.map(|end| end.clamp(f32::MIN, f32::MAX)));
        Planted {
            fault,
            ulps,
            factor,
            range,
            instead,
            tile,
            multiple,
            channels,
            sums,
            format,
            offset,
            before,
            during,
            says,
            at,
        }
    }
}

impl<'de> Deserialize<'de> for Planted {
    /// Checks inside the visitor, because errors from there contain the position in the document.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Checked;

        impl<'de> Visitor<'de> for Checked {
            type Value = Planted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a fault with its parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Planted, A::Error> {
                let written = FaultDocument::deserialize(MapAccessDeserializer::new(map))?;
                let planted = Planted::from(written);
                planted.check().map_err(A::Error::custom)?;
                Ok(planted)
            }
        }
        deserializer.deserialize_map(Checked)
    }
}
