//! `offby doctor`: lists installed engines and tools, and the command that installs each missing one.

use super::answer;
use super::args::DoctorArgs;
use super::place::read_via;
use crate::case::device_names;
use crate::engine::{Backend, Engine as _, MnnTarget, OrtTarget, Place, Precision, Request};
use crate::graph::{Model, Network};
use crate::inputs::Feed;
use crate::session::{Failure, this_program};
use crate::tensor::{Dtype, Tensor};
use crate::worker::{
    Converter, OnnxBy, OnnxEngine, WorkerProgram, find_converter, missing_driver, opencl_drivers,
    probe,
};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// Time limit for ONNX Runtime to compute one element.
const PATIENCE: Duration = Duration::from_secs(20);

/// One engine or tool, found or missing.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    found: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Whether offby requires it.
    required: bool,
}

/// Runs all checks; returns exit code 0 unless a required engine or tool is missing.
pub(super) fn doctor(args: &DoctorArgs) -> Result<u8, Failure> {
    let via = read_via(args.via.as_deref())?;
    let here = via.is_none();
    let worker = this_program()?.at(&Place { via, ..Place::default() });
    let mut checks = vec![Check {
        name: "tract".into(),
        found: true,
        detail: format!("{}, the reference, in f32 and f64", crate::engine::TRACT_VERSION),
        hint: None,
        required: true,
    }];
    let backends = [Backend::Cpu, Backend::Vulkan, Backend::Opencl, Backend::Opengl, Backend::Cuda];
    checks.extend(backends.map(|backend| check_backend(&worker, backend, here)));
    checks.push(check_converter());
    checks.push(check_referee(&worker));
    checks.push(Check {
        name: "sim".into(),
        found: true,
        detail: format!("simulated devices: {}", device_names().collect::<Vec<_>>().join(", ")),
        hint: None,
        required: false,
    });
    let sick = checks.iter().any(|check| check.required && !check.found);
    answer::give(&args.output, &checks, || text(&checks))?;
    Ok(if sick { 3 } else { 0 })
}

fn check_backend(worker: &WorkerProgram, backend: Backend, here: bool) -> Check {
    let target = MnnTarget {
        backend,
        precision: Precision::Normal,
        threads: None,
        memory: None,
        tune: None,
        weights: None,
    };
    let name = format!("mnn:{backend}");
    // OpenGL ES is MNN's oldest backend, and few users miss it.
    let required = !matches!(backend, Backend::Opengl | Backend::Cuda);
    match probe(worker, &target) {
        Ok(report) => {
            let device = report.device.map(|device| format!("{} ({})", device.name, device.driver));
            let device = device.unwrap_or_else(|| "no device".into()).replace(" ()", "");
            Check {
                name,
                found: true,
                detail: format!("MNN {} on {device}", report.engine_version),
                hint: None,
                required,
            }
        }
        Err((reason, hint)) => {
            let hint = hint.or_else(|| install_hint(backend, here));
            Check { name, found: false, detail: reason, hint, required }
        }
    }
}

/// The packages to install, and the registered drivers of this machine. A remote worker's drivers are unknown.
fn install_hint(backend: Backend, here: bool) -> Option<String> {
    let drivers = opencl_drivers();
    let seen = if here && backend == Backend::Opencl && !drivers.is_empty() {
        let drivers: Vec<String> = drivers.into_iter().collect();
        format!("; registered drivers: {}", drivers.join(", "))
    } else {
        String::new()
    };
    missing_driver(backend).map(|hint| hint.to_owned() + &seen)
}

/// Checks ONNX Runtime, the referee if a target differs from the reference.
fn check_referee(worker: &WorkerProgram) -> Check {
    let engine = OnnxEngine { by: OnnxBy::Ort(OrtTarget::REFEREE), worker: worker.clone() };
    let ran = smallest_network().map(|model| {
        let tensor = Tensor::from_f32(&[1], vec![0.5]).expect("one element");
        let feeds = [Feed::new("x", "const:0.5", tensor)];
        let request = Request { model: &model, feeds: &feeds, repeats: 1, deadline: PATIENCE };
        engine.execute(&request)
    });
    let version = ran.as_ref().and_then(|ran| Some(ran.ran_on.as_ref()?.engine_version.clone()));
    let reason = ran.as_ref().and_then(|ran| ran.reason.clone());
    let hint = ran.and_then(|ran| ran.hint);
    Check {
        name: "ort:cpu".into(),
        found: version.is_some(),
        detail: match version {
            Some(version) => format!("ONNX Runtime {version}, a referee for the reference"),
            None => reason.unwrap_or_else(|| "no ONNX Runtime".into()),
        },
        hint,
        required: false,
    }
}

fn smallest_network() -> Option<Model> {
    let network = Network::new("doctor").input("x", Dtype::F32, &[1]);
    network.node("relu", "Relu", &["x"], &["y"], &[]).output("y", Dtype::F32, &[1]).finish().ok()
}

fn check_converter() -> Check {
    let converter = find_converter();
    let (found, detail) = match &converter {
        Converter::Native(path) => (path.exists(), format!("MNNConvert at {}", path.display())),
        Converter::Python(path) => {
            (path.exists(), format!("the MNN package of {}", path.display()))
        }
        Converter::Ready(path) => (true, path.display().to_string()),
        Converter::Missing => (false, "no MNN converter".into()),
    };
    let hint = (!found)
        .then(|| "scripts/up demo installs it; or OFFBY_MNNCONVERT=/path/to/MNNConvert".into());
    Check { name: "converter".into(), found, detail, hint, required: true }
}

fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = if check.found { "ok     " } else { "missing" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark}  {:<11} {}", check.name, folded(&check.detail));
        if let Some(hint) = &check.hint {
            let _ = writeln!(text, "         {:<11} hint: {hint}", "");
        }
    }
    text
}

/// Folds a list that is too long for one line, and aligns the lines.
fn folded(detail: &str) -> String {
    const COLUMNS: usize = 58;
    let mut lines = vec![String::new()];
    for word in detail.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if detail.len() > 2 * COLUMNS && line.len() + word.len() > COLUMNS {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.join("\n                     ")
}
