//! Targets: the values of `--on`, as text and parsed.

use super::Place;
use crate::bounds::Arithmetic;
use crate::sim::Device;
use crate::tensor::Format;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The syntax of every target.
const FORM: &str = "ENGINE[:BACKEND[:PRECISION]][,key=value...], such as tract, tract:f64, mnn:cpu, \
                    mnn:vulkan:low, ort:cpu or mnn:opencl:high,memory=buffer";

/// The first word of every target.
const ENGINES: [&str; 5] = ["tract", "mnn", "ort", "sim", "ext"];

/// One engine on one backend, with its settings, and with its place if that is not this machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The reference, computing in `f32`.
    Tract,
    /// The yardstick, computing in `f64`.
    TractF64,
    /// tract as published: without offby's replacements for its wrong kernels.
    TractPlain,
    /// tract on CUDA, in a worker process.
    TractCuda,
    /// MNN.
    Mnn(MnnTarget),
    /// ONNX Runtime.
    Ort(OrtTarget),
    /// A simulated device: tract with a declared storage format and declared faults.
    Sim(SimTarget),
    /// An engine outside offby. Its worker process reports which engine ran.
    Ext(ExtTarget),
    /// Tensors that were computed elsewhere.
    Dump(DumpTarget),
    /// A target whose worker process runs in a place of its own.
    At(PlacedTarget),
}

/// ONNX Runtime on one of its execution providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrtTarget {
    /// The requested execution provider.
    pub provider: Provider,
    /// Whether the graph runs as it is in the file, without ONNX Runtime's optimisations.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unoptimized: bool,
}

impl OrtTarget {
    /// ONNX Runtime's CPU provider on the graph as it is in the file: the target of referees.
    pub const REFEREE: OrtTarget = OrtTarget { provider: Provider::Cpu, unoptimized: true };
}

/// An engine that only its worker process knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtTarget {
    /// The user's name for the engine: letters, digits, `.`, `_` and `-`.
    pub name: String,
}

/// The dumped tensors of a device, or the values of a second network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpTarget {
    /// What reports call it.
    pub name: String,
    /// The format in which tensors are stored, if that is known.
    pub storage: Option<Format>,
}

/// A target in a place.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedTarget {
    /// The target; never a placed target.
    pub target: Box<Target>,
    /// The place of the target's worker process.
    pub place: Place,
}

/// A simulated device.
///
/// The user types only a name. `case::resolve` finds the document and reads the device from it.
#[derive(Debug, Clone, PartialEq)]
pub struct SimTarget {
    /// A built-in device's name, or the path of a document.
    pub name: String,
    /// The device from the document; absent until the document is read.
    pub device: Option<Device>,
}

impl SimTarget {
    /// Whether the name is the path of a document, not the name of a built-in device.
    pub fn is_document(&self) -> bool {
        self.name.contains(['/', '\\', '.'])
    }
}

/// MNN on one of its backends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MnnTarget {
    /// The requested backend.
    pub backend: Backend,
    /// MNN's precision mode.
    pub precision: Precision,
    /// CPU threads, `None` for offby's default of 2.
    pub threads: Option<u16>,
    /// OpenCL memory type, `None` if MNN chooses.
    pub memory: Option<Memory>,
    /// How much MNN tunes GPU kernels, `None` for its default (wide).
    pub tune: Option<Tune>,
    /// How the converted model stores its weights, `None` for the format of the ONNX file.
    pub weights: Option<Weights>,
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every name a user can type.
            pub const NAMES: &[&str] = &[$($text),+];

            /// The name as typed.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some($name::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

names! {
    /// The backends that a user can request.
    Backend {
        /// The host's processor.
        Cpu = "cpu",
        /// Vulkan compute.
        Vulkan = "vulkan",
        /// OpenCL.
        Opencl = "opencl",
        /// OpenGL ES compute shaders.
        Opengl = "opengl",
        /// NVIDIA CUDA.
        Cuda = "cuda",
    }
}
names! {
    /// ONNX Runtime's execution providers.
    Provider {
        /// The host's processor.
        Cpu = "cpu",
        /// WebGPU, on Linux through Vulkan.
        Webgpu = "webgpu",
    }
}
names! {
    /// MNN's precision modes.
    Precision {
        /// 32-bit storage and arithmetic.
        High = "high",
        /// MNN's default; on Vulkan this already stores 16 bits.
        Normal = "normal",
        /// 16-bit storage, and 16-bit arithmetic if the device supports it.
        Low = "low",
    }
}
names! {
    /// How MNN's converter stores weights.
    Weights {
        /// In 32 bits, unchanged.
        Fp32 = "fp32",
        /// In 16 bits.
        Fp16 = "fp16",
        /// In 8 bits, with a scale for each channel.
        Int8 = "int8",
        /// In 8 bits, with a scale and an offset for each channel.
        Int8Asym = "int8-asym",
    }
}
names! {
    /// MNN's OpenCL memory types.
    Memory {
        /// Linear buffers.
        Buffer = "buffer",
        /// Two-dimensional images.
        Image = "image",
    }
}
names! {
    /// MNN's kernel tuning levels.
    Tune {
        /// No tuning.
        None = "none",
        /// Fast tuning.
        Fast = "fast",
        /// Normal tuning.
        Normal = "normal",
        /// Wide tuning, MNN's default.
        Wide = "wide",
        /// Heavy tuning.
        Heavy = "heavy",
    }
}

/// A target text that offby cannot parse.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("read the target `{text}`: {what}")]
pub struct TargetError {
    text: String,
    what: String,
    hint: String,
}

impl TargetError {
    /// Advice for the user.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let fail = |what: String, hint: String| TargetError { text: text.to_owned(), what, hint };
        let mut parts = text.split(',');
        let path: Vec<&str> = parts.next().unwrap_or_default().split(':').collect();
        let options: Vec<&str> = parts.collect();
        match path.as_slice() {
            ["tract"] | ["tract", "f32"] if options.is_empty() => Ok(Target::Tract),
            ["tract", "f64"] if options.is_empty() => Ok(Target::TractF64),
            ["tract", "plain"] if options.is_empty() => Ok(Target::TractPlain),
            ["tract", "cuda"] if options.is_empty() => Ok(Target::TractCuda),
            ["tract", other] => Err(fail(
                format!("tract has no mode `{other}`"),
                "tract computes in f32 (`tract`), f64 (`tract:f64`) or on CUDA (`tract:cuda`); `tract:plain` is without offby's kernels".into(),
            )),
            ["mnn", rest @ ..] if rest.len() <= 2 => {
                mnn(rest, &options).map(Target::Mnn).map_err(|(what, hint)| fail(what, hint))
            }
            ["ort", rest @ ..] if rest.len() <= 1 => {
                ort(rest, &options).map(Target::Ort).map_err(|(what, hint)| fail(what, hint))
            }
            ["sim", rest @ ..] => sim(&rest.join(":"), &options)
                .map(Target::Sim)
                .map_err(|(what, hint)| fail(what, hint)),
            ["ext", rest @ ..] if rest.len() <= 1 => {
                ext(rest, &options).map(Target::Ext).map_err(|(what, hint)| fail(what, hint))
            }
            [engine, ..] if !ENGINES.contains(engine) => Err(fail(
                format!("there is no engine `{engine}`"),
                format!("engines are tract, mnn, ort, sim and ext; a target is {FORM}"),
            )),
            _ => Err(fail("it has too many parts".into(), format!("a target is {FORM}"))),
        }
    }
}

impl Target {
    /// How the target computes and stores, as far as it declares that.
    pub fn arithmetic(&self) -> Arithmetic {
        match self {
            Target::Sim(target) => {
                target.device.as_ref().map_or_else(Arithmetic::default, Device::arithmetic)
            }
            Target::At(placed) => placed.target.arithmetic(),
            _ => Arithmetic::storing(self.declared_storage().unwrap_or_default()),
        }
    }

    /// The storage format the target may use instead of the model's own. MNN's GPU backends store
    /// `f16` unless the user requests high precision. A simulated device stores as its document declares.
    pub fn declared_storage(&self) -> Option<Format> {
        match self {
            Target::Sim(target) => target.device.as_ref().and_then(Device::declared_storage),
            Target::Mnn(target) => target.declared_storage(),
            Target::At(placed) => placed.target.declared_storage(),
            Target::Dump(target) => target.storage,
            _ => None,
        }
    }

    /// The target without its place.
    pub fn itself(&self) -> &Target {
        match self {
            Target::At(placed) => &placed.target,
            other => other,
        }
    }

    /// Whether the target takes ONNX files as they are, so that any value can be made an output.
    pub fn takes_onnx(&self) -> bool {
        matches!(self.itself(), Target::TractCuda | Target::Ort(_) | Target::Ext(_))
    }

    /// Whether a worker process, local or remote, runs the target.
    pub fn has_worker(&self) -> bool {
        !matches!(
            self.itself(),
            Target::Tract | Target::TractF64 | Target::TractPlain | Target::Dump(_)
        )
    }

    /// The same target in a place; the new place replaces an earlier one.
    pub fn at(&self, place: Place) -> Target {
        Target::At(PlacedTarget { target: Box::new(self.itself().clone()), place })
    }
}

impl MnnTarget {
    /// The storage format this precision allows the backend, if that format is narrower than `f32`.
    pub fn declared_storage(&self) -> Option<Format> {
        let is_narrow = match self.precision {
            // Every shader of MNN says `precision mediump float`, whatever precision is asked.
            _ if self.backend == Backend::Opengl => true,
            Precision::High => false,
            Precision::Normal => self.backend != Backend::Cpu,
            Precision::Low => true,
        };
        is_narrow.then_some(Format::F16)
    }
}

type Complaint = (String, String);

fn sim(name: &str, options: &[&str]) -> Result<SimTarget, Complaint> {
    let hint = "a simulated device is sim:NAME or sim:path/to.yaml; `offby doctor` lists the names";
    if name.is_empty() {
        return Err(("it names no device".to_owned(), hint.to_owned()));
    }
    if let Some(option) = options.first() {
        return Err((
            format!("`{option}` has no effect on a simulated device"),
            "the YAML file of a simulated device says what it does: copy one and name it as sim:path/to.yaml".to_owned(),
        ));
    }
    Ok(SimTarget { name: name.to_owned(), device: None })
}

fn ort(path: &[&str], options: &[&str]) -> Result<OrtTarget, Complaint> {
    let provider = path.first().copied().unwrap_or("cpu");
    let unoptimized = options == ["optimize=none"];
    if let Some(option) = options.first().filter(|_| !unoptimized) {
        let hint = "the only option of ort:cpu and ort:webgpu is optimize=none";
        return Err((format!("there is no option `{option}`"), hint.to_owned()));
    }
    let provider = pick("execution provider", provider, Provider::from_name, Provider::NAMES)?;
    Ok(OrtTarget { provider, unoptimized })
}

fn ext(path: &[&str], options: &[&str]) -> Result<ExtTarget, Complaint> {
    let hint = "such a target is ext:NAME, with a name of your own for what the worker has";
    let name = path.first().copied().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err((format!("`{name}` is no name"), hint.to_owned()));
    }
    if let Some(option) = options.first() {
        let hint = "give the worker its options in its command, --via";
        return Err((format!("`{option}` would not reach the worker"), hint.to_owned()));
    }
    Ok(ExtTarget { name: name.to_owned() })
}

fn mnn(path: &[&str], options: &[&str]) -> Result<MnnTarget, Complaint> {
    let backend = path.first().copied().unwrap_or("cpu");
    let precision = path.get(1).copied().unwrap_or("normal");
    let mut target = MnnTarget {
        backend: pick("backend", backend, Backend::from_name, Backend::NAMES)?,
        precision: pick("precision", precision, Precision::from_name, Precision::NAMES)?,
        threads: None,
        memory: None,
        tune: None,
        weights: None,
    };
    for option in options {
        let Some((key, value)) = option.split_once('=') else {
            return Err((format!("`{option}` is not key=value"), format!("a target is {FORM}")));
        };
        set_option(&mut target, key, value)?;
    }
    Ok(target)
}

fn set_option(target: &mut MnnTarget, key: &str, value: &str) -> Result<(), Complaint> {
    match key {
        "memory" => target.memory = Some(pick(key, value, Memory::from_name, Memory::NAMES)?),
        "tune" => target.tune = Some(pick(key, value, Tune::from_name, Tune::NAMES)?),
        "weights" => {
            let weights = pick(key, value, Weights::from_name, Weights::NAMES)?;
            target.weights = Some(weights).filter(|weights| *weights != Weights::Fp32);
        }
        "threads" => match value.parse::<u16>() {
            Ok(threads) if threads > 0 => target.threads = Some(threads),
            _ => {
                return Err((
                    format!("`{value}` is no number of threads"),
                    "threads=1 to threads=65535".into(),
                ));
            }
        },
        _ => {
            let hint = "options are weights=fp32|fp16|int8|int8-asym, threads=N, memory=buffer|image and tune=none|fast|normal|wide|heavy";
            return Err((format!("there is no option `{key}`"), hint.into()));
        }
    }
    check_meaning(target, key)
}

/// Refuses an option without effect, because the report would show an unused setting.
fn check_meaning(target: &MnnTarget, key: &str) -> Result<(), Complaint> {
    let backend = target.backend;
    let means_something = match key {
        "weights" => true,
        "memory" => backend == Backend::Opencl,
        "tune" => matches!(backend, Backend::Opencl | Backend::Vulkan),
        _ => backend == Backend::Cpu,
    };
    if means_something {
        return Ok(());
    }
    Err((
        format!("`{key}` does nothing on {backend}"),
        format!("leave `{key}` out, or choose a different backend"),
    ))
}

fn pick<T>(
    what: &str,
    name: &str,
    from: fn(&str) -> Option<T>,
    names: &[&str],
) -> Result<T, Complaint> {
    from(name).ok_or_else(|| {
        (format!("there is no {what} `{name}`"), format!("{what} is one of {}", names.join(", ")))
    })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tract => f.write_str("tract"),
            Target::TractF64 => f.write_str("tract:f64"),
            Target::TractPlain => f.write_str("tract:plain"),
            Target::TractCuda => f.write_str("tract:cuda"),
            Target::Mnn(target) => target.fmt(f),
            Target::Ort(target) => {
                let option = if target.unoptimized { ",optimize=none" } else { "" };
                write!(f, "ort:{}{option}", target.provider)
            }
            Target::Sim(target) => write!(f, "sim:{}", target.name),
            Target::Ext(target) => write!(f, "ext:{}", target.name),
            Target::Dump(target) => f.write_str(&target.name),
            Target::At(PlacedTarget { target, place: Place { name: Some(name), .. } }) => {
                write!(f, "{target}@{name}")
            }
            Target::At(placed) => placed.target.fmt(f),
        }
    }
}

impl fmt::Display for MnnTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mnn:{}", self.backend)?;
        if self.precision != Precision::Normal {
            write!(f, ":{}", self.precision)?;
        }
        if let Some(threads) = self.threads {
            write!(f, ",threads={threads}")?;
        }
        if let Some(memory) = self.memory {
            write!(f, ",memory={memory}")?;
        }
        if let Some(tune) = self.tune {
            write!(f, ",tune={tune}")?;
        }
        if let Some(weights) = self.weights {
            write!(f, ",weights={weights}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for text in [
            "tract",
            "tract:f64",
            "mnn:cpu",
            "mnn:vulkan:low",
            "mnn:opencl:high,memory=buffer,tune=none",
            "mnn:vulkan:low,weights=int8-asym",
            "sim:vim3-android-vulkan",
            "sim:devices/mine.yaml",
            "ext:ort-1.32",
            "ort:webgpu",
            "ort:cpu,optimize=none",
            "tract:plain",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("mnn".parse::<Target>().unwrap().to_string(), "mnn:cpu");
        assert_eq!("ort".parse::<Target>().unwrap().to_string(), "ort:cpu");
        assert_eq!("mnn:vulkan:normal".parse::<Target>().unwrap().to_string(), "mnn:vulkan");
    }

    #[test]
    fn a_place_is_shown_where_it_has_a_name() {
        let target: Target = "mnn:vulkan:low".parse().unwrap();
        let place = Place { name: Some("board".into()), ..Place::default() };
        assert_eq!(target.at(Place::default()).to_string(), "mnn:vulkan:low");
        let placed = target.at(Place::default()).at(place);
        assert_eq!(placed.to_string(), "mnn:vulkan:low@board");
        assert_eq!(placed.itself(), &target);
        assert_eq!(placed.declared_storage(), Some(Format::F16));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_hint() {
        for text in [
            "",
            "torch",
            "mnn:gpu",
            "mnn:vulkan:fast",
            "mnn:cpu:high:x",
            "tract:f16",
            "mnn:cpu,memory=buffer",
            "mnn:cpu,weights=int4",
            "mnn:vulkan,threads=2",
            "mnn:cpu,threads=0",
            "mnn:cpu,threads",
            "tract,threads=2",
            "sim",
            "sim:",
            "sim:honest-f32,at=3",
            "ext",
            "ext:",
            "ext:a b",
            "ext:a:b",
            "ext:a,threads=2",
            "ort:gpu",
            "ort:cpu:high",
            "ort:cpu,threads=2",
        ] {
            assert!(!text.parse::<Target>().unwrap_err().hint().is_empty(), "{text}");
        }
    }
}
