//! Provides MNN models for ONNX models: a ready file, the user's `MNNConvert`, or the converter in the `MNN` Python
//! package. The package's converter is called without its telemetry. Conversions are kept by digest.

use super::error::ConvertError;
use super::resident::Resident;
use crate::engine::Weights;
use crate::graph::Model;
use crate::tensor::Digest;
use crate::worker::cache::cache_folder;
use crate::worker::interruption::Interrupt;
use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The form of the cache of conversions. Models of another form are converted again.
const CACHE_FORM: u32 = 2;
/// The version of MNN in the runtime. The models of a newer converter would not load.
pub const MNN_VERSION: &str = "3.6.1";
/// The Python package's entry that does not phone home.
pub(in crate::worker) const PYTHON_ENTRY: &str = "import _tools,sys; _tools.mnnconvert(sys.argv)";

/// A way to get an MNN model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Converter {
    /// A `.mnn` file that already exists.
    Ready(PathBuf),
    /// MNN's own `MNNConvert` program.
    Native(PathBuf),
    /// A Python that has the `MNN` package.
    Python(PathBuf),
    /// No converter was found.
    Missing,
}

/// Finds a converter: `OFFBY_MNNCONVERT`, then the Python named by `OFFBY_PYTHON`, then the Python that `scripts/up`
/// installs.
pub fn find_converter() -> Converter {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(native) = named("OFFBY_MNNCONVERT") {
        return Converter::Native(native);
    }
    if let Some(python) = named("OFFBY_PYTHON") {
        return Converter::Python(python);
    }
    let python = cache_folder().join("venv/bin/python");
    let nearby = || python.exists().then_some(python);
    python_next_to(&env::current_exe().unwrap_or_default())
        .or_else(nearby)
        .map_or(Converter::Missing, Converter::Python)
}

/// The Python of the environment into which pip installed the program, if it has MNN's package.
fn python_next_to(program: &Path) -> Option<PathBuf> {
    let bin = program.parent()?;
    let libraries = fs::read_dir(bin.parent()?.join("lib")).ok()?;
    let has_mnn = |library: PathBuf| library.join("site-packages/MNN").is_dir();
    let python = bin.join("python3");
    let found = libraries.flatten().any(|library| has_mnn(library.path())) && python.exists();
    found.then_some(python)
}

impl Converter {
    /// The path of a model's MNN form, from the cache if the cache has it.
    ///
    /// # Errors
    /// If there is no converter, the converter refuses, or files cannot be written.
    pub fn convert(
        &self,
        model: &Model,
        weights: Weights,
        patience: Duration,
        interrupt: &Interrupt,
    ) -> Result<PathBuf, ConvertError> {
        match self {
            Converter::Ready(path) => Ok(path.clone()),
            Converter::Missing => Err(ConvertError::Missing),
            Converter::Native(_) | Converter::Python(_) => {
                self.through_cache(model, weights, patience, interrupt)
            }
        }
    }

    fn through_cache(
        &self,
        model: &Model,
        weights: Weights,
        patience: Duration,
        interrupt: &Interrupt,
    ) -> Result<PathBuf, ConvertError> {
        let folder = cache_folder().join("converted");
        fs::create_dir_all(&folder)?;
        let kept = folder.join(format!("{}.mnn", self.key(model, weights)));
        if kept.exists() {
            return Ok(kept);
        }
        let workspace = tempfile::tempdir_in(&folder)?;
        let source = match model.file() {
            Some(file) => file.to_owned(),
            None => {
                let path = workspace.path().join("model.onnx");
                fs::write(&path, model.to_whole_bytes().map_err(io::Error::from)?)?;
                path
            }
        };
        let made = workspace.path().join("model.mnn");
        self.run(&source, &made, weights, workspace.path(), patience, interrupt)?;
        // Renaming is atomic, so two simultaneous conversions of one model both succeed. A kept model has its weights.
        if weights_file(&made).exists() {
            fs::rename(weights_file(&made), weights_file(&kept))?;
        }
        fs::rename(&made, &kept)?;
        Ok(kept)
    }

    /// The key covers model and converter, because a different converter may make a different network.
    fn key(&self, model: &Model, weights: Weights) -> String {
        let converter = format!("{self:?} {weights:?} {MNN_VERSION} {CACHE_FORM}");
        // The digest is the file's, and a later version may replace a file's operators in a different way.
        let network = match model.is_expanded() {
            true => Digest::of([model.to_bytes().as_slice()]),
            false => model.digest().clone(),
        };
        Digest::of([network.hex().as_bytes(), converter.as_bytes()]).hex().to_owned()
    }

    fn run(
        &self,
        source: &Path,
        made: &Path,
        weights: Weights,
        workspace: &Path,
        patience: Duration,
        interrupt: &Interrupt,
    ) -> Result<(), ConvertError> {
        let mut command = match self {
            Converter::Native(program) => Command::new(program),
            Converter::Python(python) => {
                let mut command = Command::new(python);
                command.args(["-c", PYTHON_ENTRY]);
                command
            }
            Converter::Ready(_) | Converter::Missing => return Err(ConvertError::Missing),
        };
        command.args(arguments(source, made, weights));
        check_made(made, &run_to_end(command, workspace, patience, interrupt)?)
    }
}

/// Conversions in a row, of models that are not worth keeping in the cache. A Python converter stays loaded.
pub(in crate::worker) struct Conversions<'c> {
    converter: &'c Converter,
    resident: Option<Resident>,
}

impl<'c> Conversions<'c> {
    /// Conversions by this converter.
    pub(in crate::worker) fn new(converter: &'c Converter) -> Self {
        Conversions { converter, resident: None }
    }

    /// The path of a model's MNN form, valid until the next conversion.
    ///
    /// # Errors
    /// As [`Converter::convert`].
    pub(in crate::worker) fn convert(
        &mut self,
        model: &Model,
        weights: Weights,
        patience: Duration,
        interrupt: &Interrupt,
    ) -> Result<PathBuf, ConvertError> {
        let Converter::Python(python) = self.converter else {
            return self.converter.convert(model, weights, patience, interrupt);
        };
        if model.file().is_some() {
            return self.converter.convert(model, weights, patience, interrupt);
        }
        let mut resident = match self.resident.take() {
            Some(resident) => resident,
            None => Resident::start(python)?,
        };
        let (source, made) = resident.files();
        fs::write(&source, model.to_whole_bytes().map_err(io::Error::from)?)?;
        for old in [&made, &weights_file(&made)] {
            if old.exists() {
                fs::remove_file(old)?;
            }
        }
        let said = resident.convert(&arguments(&source, &made, weights), patience, interrupt)?;
        self.resident = Some(resident);
        check_made(&made, &said)?;
        Ok(made)
    }
}

/// The second file of a model, if the model has its weights outside. The converter writes it for a model over 2 GB.
pub(in crate::worker) fn weights_file(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".weight");
    name.into()
}

/// The converter's arguments after its own name.
fn arguments(source: &Path, made: &Path, weights: Weights) -> Vec<String> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut arguments =
        ["-f", "ONNX", "--bizCode", "offby", "--modelFile"].map(String::from).to_vec();
    arguments.extend([path(source), "--MNNModel".into(), path(made)]);
    let flags: &[&str] = match weights {
        Weights::Fp32 => &[],
        Weights::Fp16 => &["--fp16"],
        Weights::Int8 => &["--weightQuantBits", "8"],
        Weights::Int8Asym => &["--weightQuantBits", "8", "--weightQuantAsymmetric"],
    };
    arguments.extend(flags.iter().map(|&flag| flag.to_owned()));
    arguments
}

/// The converter always exits with status 0, so only the file shows success.
fn check_made(made: &Path, said: &str) -> Result<(), ConvertError> {
    match fs::metadata(made) {
        Ok(file) if file.len() > 0 => Ok(()),
        _ => Err(refusal(said)),
    }
}

fn refusal(said: &str) -> ConvertError {
    let words: Vec<String> =
        said.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let telling = |line: &&String| {
        let line = line.to_lowercase();
        if line.starts_with("start to convert") {
            return false;
        }
        ["check failed", "not support", "unsupported", "error", "can't", "convert "]
            .iter()
            .any(|word| line.contains(word))
    };
    let reason = words.iter().find(telling).or(words.last());
    let reason = reason.map(|line| without_place(line).to_owned());
    ConvertError::Refused {
        reason: reason.unwrap_or_else(|| "it printed no message".into()),
        words,
    }
}

/// A line of the converter's log without its time and its source line: `[13:50:11] :220: `.
fn without_place(line: &str) -> &str {
    let after_time = line.strip_prefix('[').and_then(|rest| rest.split_once("] :"));
    let Some((_, rest)) = after_time else { return line };
    match rest.split_once(": ") {
        Some((number, said)) if number.chars().all(|c| c.is_ascii_digit()) => said,
        _ => line,
    }
}

/// Runs a program to its end and returns its output on both streams.
pub(in crate::worker) fn run_to_end(
    mut command: Command,
    workspace: &Path,
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<String, ConvertError> {
    let path = workspace.join("words");
    let words = File::create(&path)?;
    command.stdin(Stdio::null()).stdout(words.try_clone()?).stderr(words);
    // In a separate group, so the user's interrupt reaches only offby, which then ends the child.
    let mut child = command.process_group(0).spawn()?;
    let until = Instant::now() + patience;
    while child.try_wait()?.is_none() {
        if interrupt.is_set() || Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Err(match interrupt.is_set() {
                true => ConvertError::Interrupted,
                false => ConvertError::TimedOut,
            });
        }
        thread::sleep(Duration::from_millis(5));
    }
    let mut bytes = Vec::new();
    let mut words = File::open(&path)?;
    words.rewind()?;
    words.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
