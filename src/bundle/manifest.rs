//! What a bundle says of itself: its files, the finding, and what was left out.

use super::archive::files_under;
use crate::tensor::Digest;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use thiserror::Error;

/// The schema of bundles this version writes.
pub const BUNDLE_SCHEMA: &str = "offby.bundle/1";
/// The file's name in a bundle.
const NAME: &str = "manifest.json";
/// No manifest is larger.
const LARGEST: u64 = 16 << 20;

/// The contents of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`BUNDLE_SCHEMA`].
    pub schema: String,
    /// The version of offby that wrote it.
    pub offby: String,
    /// What is to be seen.
    pub finding: BundledFinding,
    /// Each input's name and file.
    pub inputs: Vec<(String, String)>,
    /// Every other file.
    pub files: Vec<BundledFile>,
    /// What was not put in, and why.
    pub left_out: Vec<LeftOut>,
}

/// What a bundle shows.
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
    /// The node of the whole network that is to blame; absent where none was named.
    pub node: Option<String>,
    /// What really ran: backend, device, driver.
    pub ran_on: String,
    /// The preview of each output, the reference's and the target's.
    pub previews: Vec<(String, String, String)>,
}

/// Bundles of earlier versions had no other reference.
fn tract() -> String {
    "tract".into()
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledFile {
    /// Its name in the bundle.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// Something that was not put into a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A bundle that does not keep what it says.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// No manifest, or one that cannot be read.
    #[error("read the bundle's manifest.json: {0}")]
    Unreadable(String),
    /// Written by a later offby, or by something else.
    #[error("read the bundle: its schema is `{0}`, and this offby reads `{BUNDLE_SCHEMA}`")]
    Schema(String),
    /// A file is not what the manifest says.
    #[error("read the bundle: `{path}` {what}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl ManifestError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ManifestError::Schema(_) => "a newer offby may read it",
            _ => "ask for the file again: it was damaged or changed on its way",
        };
        Some(hint.to_owned())
    }
}

/// Describes the files that lie in a folder and writes the manifest among them.
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

/// Reads the manifest of an unpacked bundle and holds every file to it.
///
/// # Errors
/// When the manifest is missing or of another schema, or a file is not as it says.
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

/// Reads a manifest's text; no file is held to it.
///
/// # Errors
/// When it is no JSON, or of another schema.
pub fn manifest_from(text: &str) -> Result<Manifest, ManifestError> {
    let unreadable = |error: serde_json::Error| ManifestError::Unreadable(error.to_string());
    // The schema is looked at first: of a later one nothing else may be known.
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
    // Names in the manifest are a stranger's, too: they are only compared, never followed out.
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
