//! The manifest of a bundle: its files, the finding, and the omitted parts.

use super::archive::files_under;
use crate::tensor::Digest;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use thiserror::Error;

/// The schema of the bundles that this version writes.
pub const BUNDLE_SCHEMA: &str = "offby.bundle/1";
/// The manifest's file name in a bundle.
const NAME: &str = "manifest.json";
/// The largest accepted manifest, in bytes.
const LARGEST: u64 = 16 << 20;

/// The contents of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`BUNDLE_SCHEMA`].
    pub schema: String,
    /// The version of offby that wrote the bundle.
    pub offby: String,
    /// The finding to reproduce.
    pub finding: BundledFinding,
    /// Each input's name and file.
    pub inputs: Vec<(String, String)>,
    /// Every other file.
    pub files: Vec<BundledFile>,
    /// The omitted parts, and why.
    pub left_out: Vec<LeftOut>,
}

/// The finding that a bundle shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BundledFinding {
    /// The target, as `--on` takes it.
    pub target: String,
    /// The reference, as `--reference` takes it.
    #[serde(default = "tract")]
    pub reference: String,
    /// The verdict's kind on the bundle's own model.
    pub kind: String,
    /// The verdict's sentence.
    pub sentence: String,
    /// The node of the whole network that is to blame; absent if none was named.
    pub node: Option<String>,
    /// The backend, device and driver that really ran.
    pub ran_on: String,
    /// The name of each output, with the reference's preview and the target's preview.
    pub previews: Vec<(String, String, String)>,
}

/// The reference of bundles of earlier versions, which had no other reference.
fn tract() -> String {
    "tract".into()
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledFile {
    /// The file's name in the bundle.
    pub path: String,
    /// The file's size in bytes.
    pub bytes: u64,
    /// The file's digest.
    pub sha256: Digest,
}

/// A part that was not put into a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The omitted part.
    pub what: String,
    /// Why the part was omitted.
    pub why: String,
}

/// A bundle that does not match its manifest.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The manifest is missing or cannot be read.
    #[error("read the bundle's manifest.json: {0}")]
    Unreadable(String),
    /// A later offby or a different program wrote the bundle.
    #[error("read the bundle: its schema is `{0}`, and this offby reads `{BUNDLE_SCHEMA}`")]
    Schema(String),
    /// A file does not match the manifest.
    #[error("read the bundle: `{path}` {what}")]
    File {
        /// The file.
        path: String,
        /// The problem.
        what: &'static str,
    },
}

impl ManifestError {
    /// The advice for the user.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ManifestError::Schema(_) => "a newer offby may read it",
            _ => "ask for the file again: it was damaged or changed on its way",
        };
        Some(hint.to_owned())
    }
}

/// Describes the files in a folder and writes the manifest into the folder.
///
/// # Errors
/// When a file cannot be read or the manifest cannot be written.
pub fn write_manifest(folder: &Path, manifest: &mut Manifest) -> io::Result<()> {
    manifest.files.clear();
    for name in files_under(folder, Path::new(""))? {
        let bytes = fs::read(folder.join(&name))?;
        manifest.files.push(BundledFile {
            path: name.display().to_string(),
            bytes: bytes.len() as u64,
            sha256: Digest::of([bytes.as_slice()]),
        });
    }
    fs::write(folder.join(NAME), serde_json::to_string_pretty(manifest)? + "\n")
}

/// Reads the manifest of an unpacked bundle and checks every file against it.
///
/// # Errors
/// When the manifest is missing or has a different schema, or a file does not match the manifest.
pub fn read_manifest(folder: &Path) -> Result<Manifest, ManifestError> {
    let unreadable = |error: &dyn std::fmt::Display| ManifestError::Unreadable(error.to_string());
    let path = folder.join(NAME);
    let size = fs::metadata(&path).map_err(|error| unreadable(&error))?.len();
    if size > LARGEST {
        return Err(ManifestError::Unreadable("it is larger than 16 MiB".into()));
    }
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&error))?;
    let manifest = manifest_from(&text)?;
    for file in &manifest.files {
        check(folder, file)?;
    }
    Ok(manifest)
}

/// Reads a manifest's text without checking any file against it.
///
/// # Errors
/// When the text is not JSON, or has a different schema.
pub fn manifest_from(text: &str) -> Result<Manifest, ManifestError> {
    let unreadable = |error: serde_json::Error| ManifestError::Unreadable(error.to_string());
    // Check the schema first: the other fields of a later schema may be unknown.
    let value: serde_json::Value = serde_json::from_str(text).map_err(unreadable)?;
    match value.get("schema").and_then(serde_json::Value::as_str) {
        Some(BUNDLE_SCHEMA) => {}
        Some(other) => return Err(ManifestError::Schema(other.to_owned())),
        None => return Err(ManifestError::Unreadable("it names no schema".into())),
    }
    serde_json::from_value(value).map_err(unreadable)
}

fn check(folder: &Path, file: &BundledFile) -> Result<(), ManifestError> {
    let fail = |what| ManifestError::File { path: file.path.clone(), what };
    // The names in the manifest also come from a stranger. A name that leads out of the bundle is refused.
    let plain = Path::new(&file.path)
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    if !plain {
        return Err(fail("leads out of the bundle"));
    }
    let bytes = fs::read(folder.join(&file.path)).map_err(|_| fail("is missing"))?;
    if Digest::of([bytes.as_slice()]) == file.sha256 {
        Ok(())
    } else {
        Err(fail("is not what the manifest says: its digest differs"))
    }
}

/// The document of a simulated device in a bundle.
pub const DEVICE: &str = "device.yaml";

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            schema: BUNDLE_SCHEMA.into(),
            offby: "0".into(),
            finding: BundledFinding {
                target: "mnn:vulkan".into(),
                reference: "tract".into(),
                kind: "divergent".into(),
                sentence: "it is wrong".into(),
                node: None,
                ran_on: String::new(),
                previews: Vec::new(),
            },
            inputs: Vec::new(),
            files: Vec::new(),
            left_out: Vec::new(),
        }
    }

    #[test]
    fn a_changed_file_and_a_later_schema_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "1").unwrap();
        write_manifest(folder.path(), &mut manifest()).unwrap();
        assert_eq!(read_manifest(folder.path()).unwrap().files.len(), 1);
        fs::write(folder.path().join("a"), "2").unwrap();
        let error = read_manifest(folder.path()).unwrap_err().to_string();
        assert!(error.contains("digest"), "{error}");
        let path = folder.path().join(NAME);
        let text = fs::read_to_string(&path).unwrap().replace("bundle/1", "bundle/9");
        fs::write(&path, text).unwrap();
        let error = read_manifest(folder.path()).unwrap_err().to_string();
        assert!(error.contains("bundle/9"), "{error}");
    }
}
