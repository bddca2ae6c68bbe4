//! `offby doctor`: what is here, and the one command that mends what is not.

use super::answer;
use super::args::DoctorArgs;
use super::place::read_via;
use crate::case::device_names;
use crate::engine::{Backend, MnnTarget, Place, Precision};
use crate::session::Failure;
use crate::session::this_program;
use crate::worker::{Converter, WorkerProgram, find_converter, opencl_drivers, probe};
use serde::Serialize;
use std::fmt::Write as _;

/// One thing that is there, or is not.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    found: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Whether nothing works without it.
    required: bool,
}

/// Looks at everything; exit code 0 unless something required is missing.
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
    let backends = [Backend::Cpu, Backend::Vulkan, Backend::Opencl, Backend::Cuda];
    checks.extend(backends.map(|backend| check_backend(&worker, backend, here)));
    checks.push(check_converter());
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
    let required = backend != Backend::Cuda;
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

/// What to install, and beside which drivers: of a worker elsewhere those are not known.
fn install_hint(backend: Backend, here: bool) -> Option<String> {
    let packages = match backend {
        Backend::Vulkan => "libvulkan-dev mesa-vulkan-drivers",
        Backend::Opencl => "ocl-icd-opencl-dev mesa-opencl-icd",
        Backend::Cpu | Backend::Cuda => return None,
    };
    let drivers = opencl_drivers();
    let seen = if here && backend == Backend::Opencl && !drivers.is_empty() {
        let drivers: Vec<String> = drivers.into_iter().collect();
        format!("; registered drivers: {}", drivers.join(", "))
    } else {
        String::new()
    };
    Some(format!("apt-get install {packages}, or the GPU's own driver{seen}"))
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

/// A list too long for one line, folded under its beginning.
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
