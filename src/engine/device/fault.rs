//! The faults a device can have: one table of names, parameters, and the op types each can touch.

use super::Accumulate;
use super::condition::Condition;
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
        /// What can be wrong with a device.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Fault { $($(#[$doc])* #[serde(rename = $text)] $variant),+ }

        impl Fault {
            /// Every fault.
            pub const ALL: &[Fault] = &[$(Fault::$variant),+];

            /// The name as documents write it.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$variant => $text),+ }
            }

            /// The parameters it understands besides `at` and `says`.
            pub fn parameters(self) -> &'static [&'static str] {
                match self { $(Fault::$variant => $parameters),+ }
            }

            /// The op types it can touch; any where there are none.
            pub fn touches(self) -> &'static [&'static str] {
                match self { $(Fault::$variant => $ops),+ }
            }
        }
    };
}

faults! {
    /// GELU by a tanh of two exponentials in `f16`: NaN where one of them overflows, beyond about ±5.5.
    NaiveGelu = "naive-gelu", &[], &["Erf", "Gelu", "Tanh"];
    /// ln(1 + eˣ) in `f16`: infinite from 11.1 on, or what `instead` says.
    NaiveSoftplus = "naive-softplus", &["instead"], &["Softplus"];
    /// Exponentials summed in `f16` without the largest taken out first; what is not finite then becomes what
    /// `instead` says.
    NaiveLogsumexp = "naive-logsumexp", &["instead"], &["ReduceLogSumExp", "Softmax", "LogSoftmax"];
    /// The variance as `E[x²] - E[x]²`: what is summed is kept in `f16`, or with `sums: f32` in `f32`, one after the other.
    VarianceBySquares = "variance-by-squares", &["sums"], NORMS;
    /// The places of each channel padded with zeros up to a multiple, which then count in mean and variance. With
    /// `channels` each instance is that many channels, as in a group norm made from an instance norm.
    PaddingInStatistics = "padding-in-statistics", &["multiple", "channels"], NORMS;
    /// Scale and bias are read from memory nobody wrote: the first scale is NaN, the rest is noise.
    UnwrittenParameters = "unwritten-parameters", &[], SCALED;
    /// Every element that many units in the last place of the storage format away from zero.
    Ulps = "ulps", &["ulps"], &[];
    /// NaN where the first input lies in a range; without one, in the first element.
    Nan = "nan", &["range"], &[];
    /// Everything times a factor, 2 where none is given.
    Scale = "scale", &["factor"], &[];
    /// Zeros; with a range only where the first input lies in it.
    Zero = "zero", &["range"], &[];
    /// The operand of lower rank, or of fewer elements, is read as if it were packed by 4: element i is its
    /// element 4i, and zero beyond its end.
    WrongBroadcast = "wrong-broadcast", &[], BINARY;
    /// What is padded before the input and behind it change places.
    PadsSwapped = "pads-swapped", &[], &["Conv"];
    /// The operand is read in the order in which it lies, as if it were not to be transposed.
    IgnoreTranspose = "ignore-transpose", &[], &["Transpose", "Gemm"];
    /// Every second tile of rows is never written; a tile has 64 where nothing is said.
    TileZero = "tile-zero", &["tile"], &[];
    /// Each even channel changes places with the odd one behind it.
    ChannelSwap = "channel-swap", &[], &[];
    /// Written with four channels packed together, read as if they were not.
    PackSwap = "pack-swap", &[], &[];
    /// Every part but the first is read from an offset, 4 where none is given.
    ConcatOffset = "concat-offset", &["offset"], &["Concat"];
    /// One element times a factor, 2 where none is given; a zero becomes the factor.
    OneElement = "one-element", &["factor"], &[];
    /// One row of the last axis times a factor, 1.02 where none is given.
    OneRow = "one-row", &["factor"], &[];
    /// All channels but the largest one are zero.
    QuietChannels = "quiet-channels", &[], &[];
    /// The last elements of the last axis, what a tile leaves over, are never written; a tile has 64.
    LastTile = "last-tile", &["tile"], &[];
    /// Every tenth element that many units in the last place of the storage format away from zero.
    SomeUlps = "some-ulps", &["ulps"], &[];
    /// Elements beyond 65504 times a factor, 1.02 where none is given.
    LargeOnly = "large-only", &["factor"], &[];
    /// Negative elements times a factor, 1.02 where none is given.
    NegativeOnly = "negative-only", &["factor"], &[];
    /// The sign of every element is lost.
    SignLost = "sign-lost", &[], &[];
    /// The smaller operand is read on as it lies in memory, instead of repeating its axes of extent 1.
    ReadOn = "read-on", &[], BINARY;
    /// The last term of each sum of exponentials is left out.
    TermLost = "term-lost", &[], &["Softmax"];
    /// The last three products of each sum are left out.
    TailLost = "tail-lost", &[], &["MatMul", "Gemm", "Conv"];
    /// The bias is not added.
    BiasMissing = "bias-missing", &[], &["Gemm", "Conv"];
    /// The first two rows, of the last axis but one, change places.
    RowsSwapped = "rows-swapped", &[], &[];
    /// Every element is the one before it along the last axis.
    Shifted = "shifted", &[], &[];
    /// The second channel has the values of the first one.
    ChannelCopied = "channel-copied", &[], &[];
    /// What is larger than nine tenths of the largest element is cut to that.
    Clipped = "clipped", &[], &[];
    /// What is smaller than a thousandth of the largest element is zero.
    SmallLost = "small-lost", &[], &[];
    /// Elements are stored in `bf16`, whatever is declared.
    DigitsLost = "digits-lost", &[], &[];
    /// Partial sums are kept in `f16`, whatever is declared.
    HalfSums = "half-sums", &[], SUMMED;
    /// Zeros in the second run only.
    SecondRun = "second-run", &[], &[];
    /// The output is that of the run before; in the first run it is what `before` says, `zero` or `nan`.
    Stale = "stale", &["before"], &[];
    /// Everything plus 1, integers included.
    PlusOne = "plus-one", &[], &[];
    /// Something else on every run.
    Random = "random", &[], &[];
    /// Wrong by 1, but not while it is watched.
    Liar = "liar", &[], &[];
    /// The operator is refused.
    Refuse = "refuse", &[], &[];
    /// The operator's kernel does not compile.
    BuildError = "build-error", &[], &[];
    /// The operator is not supported: nothing runs from there on, all outputs are zero, and success is told.
    ZeroOutput = "zero-output", &[], &[];
    /// The device is lost: this run fails and so does every later one.
    DeviceLost = "device-lost", &[], &[];
    /// The process aborts.
    Abort = "abort", &["during"], &[];
    /// The process touches memory it must not.
    Segfault = "segfault", &["during"], &[];
    /// It never ends.
    Hang = "hang", &["during"], &[];
}

/// A fault with its parameters and its conditions.
///
/// A parameter that the fault does not understand is refused: it would do nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planted {
    /// What goes wrong.
    pub fault: Fault,
    /// How many units in the last place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ulps: Option<u32>,
    /// A factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f32>,
    /// The least and the largest value of an input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<[f32; 2]>,
    /// What is stored where the result is not finite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<f32>,
    /// Rows of a tile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tile: Option<usize>,
    /// What places are padded to a multiple of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiple: Option<usize>,
    /// Channels of an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// What sums are kept in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sums: Option<Accumulate>,
    /// Elements along an axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// What lies in memory before the first run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// When it happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during: Option<During>,
    /// What the driver prints when it happens; reports show it as evidence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub says: Vec<String>,
    /// Where and when it happens; everywhere and always where nothing is said.
    pub at: Condition,
}

/// What lies in memory before the first run.
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
    /// Checks that every parameter means something to the fault.
    ///
    /// # Errors
    /// What is wrong, in words.
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

    /// The parameters that are given.
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
            ("offset", self.offset.is_some()),
            ("before", self.before.is_some()),
            ("during", self.during.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }
}

/// The document's form of [`Planted`], not checked yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    fault: Fault,
    ulps: Option<u32>,
    factor: Option<f32>,
    range: Option<[f32; 2]>,
    instead: Option<f32>,
    tile: Option<usize>,
    multiple: Option<usize>,
    channels: Option<usize>,
    sums: Option<Accumulate>,
    offset: Option<usize>,
    before: Option<Before>,
    during: Option<During>,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    at: Condition,
}

impl From<Written> for Planted {
    fn from(written: Written) -> Self {
        let Written {
            fault,
            ulps,
            factor,
            range,
            instead,
            tile,
            multiple,
            channels,
            sums,
            offset,
            before,
            during,
            says,
            at,
        } = written;
        // JSON, in which devices travel, knows no infinity.
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
            offset,
            before,
            during,
            says,
            at,
        }
    }
}

impl<'de> Deserialize<'de> for Planted {
    /// Checked inside the visitor, so that an error knows where in the document it stands.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Checked;

        impl<'de> Visitor<'de> for Checked {
            type Value = Planted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a fault with its parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Planted, A::Error> {
                let written = Written::deserialize(MapAccessDeserializer::new(map))?;
                let planted = Planted::from(written);
                planted.check().map_err(A::Error::custom)?;
                Ok(planted)
            }
        }
        deserializer.deserialize_map(Checked)
    }
}
