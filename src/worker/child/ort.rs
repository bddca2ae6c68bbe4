//! ONNX Runtime in the child. Its C library is loaded on demand, from any folder. So this program needs no library to
//! be built or to start.

use super::onnx_file::OnnxFile;
use super::open::{OpenNetwork, Stop, replace_named};
use crate::engine::{OrtTarget, Output, Provider, RanOn};
use crate::graph::ValueName;
use crate::tensor::Tensor;
use crate::with_array;
use crate::worker::cache::cache_folder;
use ndarray::{ArrayD, IxDyn};
use ort::ep::{ExecutionProvider as _, WebGPU};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{DynValue, Tensor as OrtTensor, TensorElementType, ValueType};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};
use tempfile::TempDir;

/// The variable that names the library, for this program as for other programs that load the library.
const LIBRARY: &str = "ORT_DYLIB_PATH";
/// The option with the folder of external data, for a network that comes from memory.
const DATA_FOLDER: &str = "session.model_external_initializers_file_folder_path";
/// The option that leaves weights as they are in the file.
const NO_PACKING: &str = "session.disable_prepacking";
/// The name of the WebGPU provider in a profile.
const WEBGPU: &str = "WebGpuExecutionProvider";

/// A network open in ONNX Runtime, with its feeds.
pub(in crate::worker) struct OrtSession {
    session: Session,
    feeds: Vec<Output>,
    ran_on: RanOn,
    /// The folder for the first run's profile. Only the profile says which provider ran each node.
    profile: Option<TempDir>,
}

/// Opens a network with its feeds.
pub(in crate::worker) fn open(
    network: OnnxFile<'_>,
    target: &OrtTarget,
    feeds: Vec<Output>,
) -> Result<OrtSession, Stop> {
    let version = load(target.provider)?;
    let profile = (target.provider != Provider::Cpu).then(TempDir::new).transpose();
    let profile = profile.map_err(|error| format!("make a folder for a profile: {error}"))?;
    let session = builder(target, network.folder, profile.as_ref().map(TempDir::path))?
        .commit_from_memory(network.bytes)
        .map_err(|error| no_adapter(words(error), target.provider))?;
    let ran_on = RanOn {
        engine: "onnxruntime".into(),
        engine_version: version,
        backend: target.provider.to_string(),
        device: match target.provider {
            Provider::Cpu => env::consts::ARCH.into(),
            Provider::Webgpu => "the adapter that Dawn prefers".into(),
        },
        driver: String::new(),
        api: None,
        operators: BTreeMap::new(),
    };
    Ok(OrtSession { session, feeds, ran_on, profile })
}

impl OpenNetwork for OrtSession {
    fn feed(&mut self, feeds: Vec<Output>) -> Result<(), String> {
        // The network is open with the shapes that its file declares, so feeds of other shapes are as good.
        replace_named(&mut self.feeds, feeds)
    }

    fn run(&mut self) -> Result<Vec<Output>, String> {
        let inputs =
            self.feeds.iter().map(|feed| Ok((feed.name.to_string(), given(&feed.tensor)?)));
        let inputs = inputs.collect::<Result<Vec<_>, String>>()?;
        let results = self.session.run(inputs).map_err(words)?;
        let outputs = results.iter().map(|(name, value)| taken(name, &value.view()));
        outputs.collect()
    }

    fn ran_on(&mut self) -> Result<RanOn, String> {
        if self.profile.is_some() {
            let file = self.session.end_profiling().map_err(words)?;
            self.ran_on.operators = operators(Path::new(&file))?;
            self.profile = None;
            // A network that silently fell back to the processor must not count for the device.
            if !self.ran_on.operators.contains_key(&self.ran_on.backend) {
                return Err(format!("none of its nodes ran on {}", self.ran_on.backend));
            }
        }
        Ok(self.ran_on.clone())
    }
}

/// A machine without a device that WebGPU accepts lacks the engine. The engine does not refuse the network.
fn no_adapter(words: String, provider: Provider) -> Stop {
    if provider == Provider::Webgpu && words.contains("WebGPU adapter") {
        let hint = "Dawn takes a Vulkan device only with all that WebGPU demands, which Mesa's llvmpipe 22 has not; the evidence says what is lacking";
        return Stop::Unavailable { reason: words.trim().to_owned(), hint: hint.to_owned() };
    }
    Stop::Refused(words)
}

/// Loads the library once and returns its version.
fn load(provider: Provider) -> Result<String, Stop> {
    let library = library(provider).ok_or_else(|| Stop::Unavailable {
        reason: "no ONNX Runtime was found".into(),
        hint: hint(provider),
    })?;
    let unusable = |what: String| Stop::Unavailable {
        reason: format!("{} cannot be used: {what}", library.display()),
        hint: hint(provider),
    };
    let environment = ort::init_from(&library).map_err(|error| unusable(error.to_string()))?;
    // The library's messages are evidence, like all of this worker's stderr.
    environment.with_telemetry(false).with_logger(Arc::new(say)).commit();
    if provider == Provider::Webgpu && !WebGPU::default().is_available().unwrap_or(false) {
        return Err(unusable("it was built without WebGPU".into()));
    }
    Ok(version(&library))
}

fn hint(provider: Provider) -> String {
    let package = match provider {
        Provider::Cpu => "onnxruntime",
        Provider::Webgpu => "onnxruntime-webgpu",
    };
    format!(
        "pip install {package}, then {LIBRARY}=/path/to/{package}'s capi/libonnxruntime.so.VERSION"
    )
}

fn say(level: LogLevel, _: &str, _: &str, _: &str, message: &str) {
    if matches!(level, LogLevel::Warning | LogLevel::Error | LogLevel::Fatal) {
        // A failed write of evidence is no reason to exit.
        let _ = writeln!(io::stderr(), "onnxruntime: {message}");
    }
}

/// The library that the user names, or the library of a Python package in our cache.
fn library(provider: Provider) -> Option<PathBuf> {
    if let Some(named) = env::var_os(LIBRARY).filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let packages = match provider {
        Provider::Cpu => entries(&cache_folder().join("venv/lib"), "python3")
            .map(|python| python.join("site-packages"))
            .collect(),
        Provider::Webgpu => vec![cache_folder().join("onnxruntime-webgpu")],
    };
    let libraries = packages
        .iter()
        .flat_map(|packages| entries(&packages.join("onnxruntime/capi"), "libonnxruntime.so"));
    libraries.max()
}

fn entries(folder: &Path, beginning: &'static str) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named =
        entries.filter(move |entry| entry.file_name().to_string_lossy().starts_with(beginning));
    named.map(|entry| entry.path())
}

/// The version at the end of the library's file name. Without it, the version that the build reports.
fn version(library: &Path) -> String {
    let name = library.canonicalize().unwrap_or_else(|_| library.to_owned());
    let name = name.file_name().map(|name| name.to_string_lossy().into_owned());
    match name.as_deref().and_then(|name| name.split_once(".so.")) {
        Some((_, version)) => version.to_owned(),
        None => ort::info().to_owned(),
    }
}

fn builder(
    target: &OrtTarget,
    data: Option<&Path>,
    profile: Option<&Path>,
) -> Result<SessionBuilder, String> {
    let mut builder = Session::builder().map_err(words)?;
    if let Some(folder) = data {
        let folder = folder.to_str().ok_or("the name of the folder of its data is not UTF-8")?;
        builder = builder.with_config_entry(DATA_FOLDER, folder).map_err(words)?;
    }
    if target.unoptimized {
        builder =
            builder.with_optimization_level(GraphOptimizationLevel::Disable).map_err(words)?;
        // Packed weights are a second copy, which pays only after many runs.
        builder = builder.with_config_entry(NO_PACKING, "1").map_err(words)?;
    }
    if target.provider == Provider::Webgpu {
        let webgpu = WebGPU::default().build().error_on_failure();
        builder = builder.with_execution_providers([webgpu]).map_err(words)?;
    }
    match profile {
        Some(folder) => builder.with_profiling(folder.join("profile")).map_err(words),
        None => Ok(builder),
    }
}

/// The engine's own words, for any kind of error.
fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A tensor converted for ONNX Runtime.
fn given(tensor: &Tensor) -> Result<DynValue, String> {
    let shape: Vec<i64> = tensor.shape().iter().map(|&extent| extent as i64).collect();
    with_array!(tensor, array => {
        let elements: Vec<_> = array.iter().copied().collect();
        OrtTensor::from_array((shape, elements)).map(|tensor| tensor.into_dyn()).map_err(words)
    })
}

/// A tensor converted from ONNX Runtime.
fn taken(name: &str, value: &DynValue) -> Result<Output, String> {
    let ValueType::Tensor { ty, .. } = value.dtype() else {
        return Err(format!("output `{name}` is no tensor"));
    };
    macro_rules! by_type {
        ($($element:ident => $variant:ident),+ $(,)?) => {
            match ty {
                $(TensorElementType::$element => array(value).map(Tensor::$variant)?,)+
                other => return Err(format!("output `{name}` has elements of type {other}")),
            }
        };
    }
    let tensor = by_type!(
        Float32 => F32, Float16 => F16, Bfloat16 => Bf16, Float64 => F64,
        Int8 => I8, Int16 => I16, Int32 => I32, Int64 => I64,
        Uint8 => U8, Uint16 => U16, Uint32 => U32, Uint64 => U64, Bool => Bool,
    );
    Ok(Output { name: ValueName::from(name), tensor })
}

fn array<T: ort::value::PrimitiveTensorElementType + Clone>(
    value: &DynValue,
) -> Result<ArrayD<T>, String> {
    let (shape, elements) = value.try_extract_tensor::<T>().map_err(words)?;
    let shape: Vec<usize> = shape.iter().map(|&extent| extent as usize).collect();
    ArrayD::from_shape_vec(IxDyn(&shape), elements.to_vec()).map_err(words)
}

/// One event of a profile.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: Arguments,
}

#[derive(Default, Deserialize)]
struct Arguments {
    provider: Option<String>,
}

/// How many nodes each provider ran. A profile lists each node once per run.
fn operators(profile: &Path) -> Result<BTreeMap<String, usize>, String> {
    let text = fs::read_to_string(profile).map_err(|error| format!("read a profile: {error}"))?;
    let events: Vec<Event> =
        serde_json::from_str(&text).map_err(|error| format!("read a profile: {error}"))?;
    let mut seen = BTreeSet::new();
    let mut counts = BTreeMap::new();
    for event in events.iter().filter(|event| event.name.ends_with("_kernel_time")) {
        if !seen.insert(&event.name) {
            continue;
        }
        let on_gpu = event.args.provider.as_deref() == Some(WEBGPU);
        let backend = if on_gpu { Provider::Webgpu } else { Provider::Cpu };
        *counts.entry(backend.to_string()).or_default() += 1;
    }
    Ok(counts)
}
