//! Device documents: reads a [`Device`] from YAML, by name or by path.

use super::builtin::BUILTIN;
use super::yaml::read_yaml;
use crate::engine::{SimTarget, Target};
use crate::graph::closest;
use crate::sim::Device;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A device that cannot be read.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// No built-in device has this name.
    #[error("find the simulated device `{name}`")]
    Unknown {
        /// The given name.
        name: String,
        /// The name that was most likely meant.
        closest: Option<&'static str>,
    },
    /// The file cannot be read.
    #[error("read the device {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The document does not describe a device.
    #[error("read the device {place}: {what}")]
    Malformed {
        /// File, line and column.
        place: String,
        /// The problem, and its key.
        what: String,
        /// The advice for the user.
        hint: String,
    },
}

impl DeviceError {
    /// The advice for the user.
    pub fn hint(&self) -> String {
        match self {
            DeviceError::Unknown { closest: Some(closest), .. } => {
                format!(
                    "did you mean sim:{closest}? `offby doctor` lists the names; a document of your own is sim:path/to.yaml"
                )
            }
            DeviceError::Unknown { .. } => {
                format!("the names are {}; a document of your own is sim:path/to.yaml", names())
            }
            DeviceError::Read { .. } => {
                format!("give the path of a YAML document, or one of {}", names())
            }
            DeviceError::Malformed { hint, .. } => hint.clone(),
        }
    }
}

fn names() -> String {
    device_names().collect::<Vec<_>>().join(", ")
}

/// The built-in devices, in the order of their names.
pub fn device_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

/// Writes a device's document, which reads back as the same device.
///
/// # Errors
/// When the file cannot be written.
pub fn write_device(device: &Device, path: &Path) -> io::Result<()> {
    let text = serde_yaml::to_string(device).map_err(io::Error::other)?;
    std::fs::write(path, text)
}

/// Reads the device of a simulated target. Other targets stay unchanged.
///
/// # Errors
/// When the device does not exist, or its document cannot be read.
pub fn resolve(target: Target) -> Result<Target, DeviceError> {
    match target {
        Target::Sim(SimTarget { name, device: None }) => {
            let device = Some(load_device(&name)?);
            Ok(Target::Sim(SimTarget { name, device }))
        }
        other => Ok(other),
    }
}

/// As [`resolve`], for a target in a document. A device's file is first looked for in the document's folder.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_beside(folder: &Path, mut target: Target) -> Result<Target, DeviceError> {
    if let Target::Sim(sim) = &mut target {
        let beside = folder.join(&sim.name);
        if beside.is_file() {
            sim.name = beside.display().to_string();
        }
    }
    resolve(target)
}

/// The built-in device of a name, or the device in a file.
///
/// # Errors
/// When the device does not exist, or its document cannot be read.
pub fn load_device(name: &str) -> Result<Device, DeviceError> {
    if let Some((_, text)) = BUILTIN.iter().find(|(builtin, _)| *builtin == name) {
        return device_from(text, &format!("fixtures/devices/{name}.yaml"));
    }
    let is_path = name.contains(['/', '\\']) || name.ends_with(".yaml") || name.ends_with(".yml");
    if !is_path {
        let closest = closest(name, device_names());
        return Err(DeviceError::Unknown { name: name.to_owned(), closest });
    }
    let path = Path::new(name);
    let text =
        read_yaml(path).map_err(|source| DeviceError::Read { path: path.to_owned(), source })?;
    device_from(&text, name)
}

/// The device that a document's text describes; `file` names it in errors.
///
/// # Errors
/// When the text is not YAML, or does not describe a device.
pub fn device_from(text: &str, file: &str) -> Result<Device, DeviceError> {
    let device: Device = serde_yaml::from_str(text).map_err(|error| malformed(&error, file))?;
    device.check().map_err(|what| DeviceError::Malformed {
        place: file.to_owned(),
        what,
        hint: SHAPE.to_owned(),
    })?;
    Ok(device)
}

/// The hint if no better hint is known.
const SHAPE: &str = "a device has name, describes, storage, accumulate, weight_bits and faults; fixtures/devices/README.md shows them all";

fn malformed(error: &serde_yaml::Error, file: &str) -> DeviceError {
    let text = error.to_string();
    let (what, place) = match error.location() {
        Some(location) => (
            text.split(" at line ").next().unwrap_or(&text).to_owned(),
            format!("{file}:{}:{}", location.line(), location.column()),
        ),
        None => (text, file.to_owned()),
    };
    let hint = hint(&what);
    DeviceError::Malformed { place, what, hint }
}

/// The nearest of the expected names, or the shape of the whole document.
fn hint(what: &str) -> String {
    let mut parts = what.splitn(2, "expected");
    let (found, expected) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let found = quoted(found).last();
    let nearest = found.and_then(|found| closest(found, quoted(expected)));
    nearest.map_or_else(|| SHAPE.to_owned(), |nearest| format!("did you mean `{nearest}`?"))
}

/// The words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_built_in_device_reads_and_bears_its_name() {
        for name in device_names() {
            let device = load_device(name).unwrap();
            assert_eq!(device.name, name);
            assert!(device.title().starts_with("simulated "), "{name}");
            // The device is sent to the worker as JSON.
            let json = serde_json::to_string(&device).unwrap();
            assert_eq!(serde_json::from_str::<Device>(&json).unwrap(), device, "{name}");
        }
    }

    #[test]
    fn the_table_has_every_document_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/devices");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let documents = files.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
        let stems: BTreeSet<String> =
            documents.map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(stems, device_names().map(str::to_owned).collect());
        assert!(device_names().is_sorted());
    }

    /// The rest of a document, then the place, the text and the hint of the error.
    const MISTAKES: &[(&str, &str, &str, &str)] = &[
        (
            "faults:\n  - fault: naive-gleu\n",
            "mine.yaml:4:12",
            "faults[0].fault: unknown variant `naive-gleu`",
            "`naive-gelu`",
        ),
        (
            "storage: {fromat: f16}\n",
            "mine.yaml:3:11",
            "storage: unknown field `fromat`",
            "`format`",
        ),
        (
            "storage: {format: f17}\n",
            "mine.yaml:3:19",
            "storage.format: unknown variant `f17`",
            "`f1",
        ),
        (
            "faults:\n  - fault: ulps\n    ulps: many\n",
            "mine.yaml:5:11",
            "faults[0].ulps: invalid type",
            "README",
        ),
        (
            "faults:\n  - at: {op: [Add]}\n",
            "mine.yaml:4:5",
            "faults[0]: missing field `fault`",
            "README",
        ),
        (
            "faults:\n  - fault: zero\n    tile: 3\n",
            "mine.yaml:4:5",
            "`tile` does nothing to `zero`",
            "README",
        ),
        (
            "faults:\n  - fault: zero\n  - fault: naive-gelu\n    at: {op: [Conv]}\n",
            "mine.yaml:5:5",
            "`naive-gelu` touches Erf, Gelu, Tanh, not Conv",
            "README",
        ),
        ("faults:\n  - fault: zero\n    at: {share: 1.5}\n", "mine.yaml:4:5", "not 1.5", "README"),
        ("faults:\n  - fault: ulps\n", "mine.yaml:4:5", "must say how many", "README"),
        ("colour: red\n", "mine.yaml:3:1", "unknown field `colour`", "README"),
        ("faults: [\n", "mine.yaml:4:1", "", "README"),
    ];

    #[test]
    fn mistakes_are_placed_and_come_with_a_hint() {
        for (rest, place, what, hint) in MISTAKES {
            let document = format!("name: mine\ndescribes: a test\n{rest}");
            let error = device_from(&document, "mine.yaml").unwrap_err();
            let text = error.to_string();
            assert!(text.contains(place) && text.contains(what), "{rest}: {text}");
            assert!(error.hint().contains(hint), "{rest}: {}", error.hint());
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = device_from("describes: a test\n", "mine.yaml").unwrap_err();
        assert!(error.to_string().contains("missing field `name`"), "{error}");
        let error = load_device("vim3-andriod-vulkan").unwrap_err();
        assert!(error.hint().contains("sim:vim3-android-vulkan"), "{}", error.hint());
        let error = load_device("nowhere/mine.yaml").unwrap_err();
        assert!(error.to_string().contains("nowhere/mine.yaml"), "{error}");
    }
}
