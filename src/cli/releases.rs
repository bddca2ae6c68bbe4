//! The releases of an engine that pip can install, each in a folder of its own under the cache.

use super::passes::python;
use crate::engine::{Place, Target};
use crate::session::Failure;
use crate::worker::cache_folder;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A package of Python's registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    /// Its name, as pip knows it.
    pub(super) name: String,
    python: PathBuf,
}

impl Package {
    /// Reads `pip:NAME`. The Python is the worker's, if its command names one.
    pub(super) fn parse(text: &str, target: &Target) -> Result<Self, Failure> {
        let name = text.strip_prefix("pip:").filter(|name| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain)
        });
        let name = name.ok_or_else(|| {
            Failure::new(
                format!("read the versions `{text}`"),
                "write pip:PACKAGE, such as pip:openvino or pip:onnxruntime",
            )
        })?;
        Ok(Package { name: name.to_owned(), python: python_of(target) })
    }

    /// The versions that pip offers this Python, oldest first.
    pub(super) fn versions(&self) -> Result<Vec<String>, Failure> {
        let text = self.pip(&["index", "versions", &self.name])?;
        let line = text.lines().find_map(|line| line.strip_prefix("Available versions:"));
        let versions = line.unwrap_or_default().split(',').map(|version| version.trim().to_owned());
        let mut versions: Vec<String> = versions.filter(|version| !version.is_empty()).collect();
        versions.reverse();
        match versions.is_empty() {
            true => Err(Failure::new(
                format!("list the versions of {}: pip names none", self.name),
                format!("try {} -m pip index versions {}", self.python.display(), self.name),
            )),
            false => Ok(versions),
        }
    }

    /// The folder of a version, installed if it is not there yet.
    pub(super) fn install(&self, version: &str) -> Result<PathBuf, Failure> {
        let folder = cache_folder().join("versions");
        let done = folder.join(format!("{}-{version}", self.name));
        if done.is_dir() {
            return Ok(done);
        }
        let failed = |error| Failure::write(&folder, error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let unfinished = tempfile::tempdir_in(&folder).map_err(failed)?;
        let target = unfinished.path().to_string_lossy().into_owned();
        let wanted = format!("{}=={version}", self.name);
        self.pip(&["install", "--quiet", "--only-binary", ":all:", "--target", &target, &wanted])?;
        // Renaming is atomic, so an interrupted installation leaves nothing that looks finished.
        fs::rename(unfinished.path(), &done).map_err(failed)?;
        Ok(done)
    }

    fn pip(&self, arguments: &[&str]) -> Result<String, Failure> {
        let failed = |problem: String| {
            Failure::new(
                format!("run pip {}: {problem}", arguments.join(" ")),
                "OFFBY_PYTHON=PATH names a Python that has pip",
            )
        };
        let mut command = Command::new(&self.python);
        command.args(["-m", "pip", "--disable-pip-version-check"]).args(arguments);
        let output =
            command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                let is_error = |line: &&str| line.starts_with("ERROR:");
                let error = said.lines().rfind(is_error).or(said.lines().next_back());
                let last = error.unwrap_or("it says nothing");
                Err(failed(last.trim_start_matches("ERROR: ").to_owned()))
            }
        }
    }
}

/// The program of a worker's command if it is a Python, else the one that has the user's packages.
fn python_of(target: &Target) -> PathBuf {
    let program = match target {
        Target::At(placed) => placed.place.via.as_ref().map(|via| PathBuf::from(via.program())),
        _ => None,
    };
    let is_python = |program: &PathBuf| {
        program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"))
    };
    program.filter(is_python).unwrap_or_else(python)
}

/// A target whose worker finds a version of its engine in a folder.
pub(super) fn with_version(target: &Target, version: &str, folder: &Path) -> Target {
    let mut place = match target {
        Target::At(placed) => placed.place.clone(),
        _ => Place::default(),
    };
    place.name = Some(version.to_owned());
    let variables = environment(target, folder);
    match &place.via {
        Some(via) => place.via = Some(via.with_variables(&variables)),
        None => place.environment.extend(variables),
    }
    target.at(place)
}

/// The variables by which a worker finds the engine: Python's path, and the library for offby's own worker.
fn environment(target: &Target, folder: &Path) -> BTreeMap<String, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    if !matches!(target.itself(), Target::Ort(_)) {
        return BTreeMap::from([("PYTHONPATH".to_owned(), text(folder))]);
    }
    let capi = folder.join("onnxruntime/capi");
    let files = fs::read_dir(&capi).into_iter().flatten().flatten();
    let library = files.map(|file| file.path()).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so"))
    });
    library.map(|library| ("ORT_DYLIB_PATH".to_owned(), text(&library))).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_plainly() {
        let target: Target = "ext:openvino".parse().unwrap();
        assert_eq!(Package::parse("pip:open-vino.2", &target).unwrap().name, "open-vino.2");
        for text in ["openvino", "pip:", "pip:-r x", "pip:--index-url", "npm:x"] {
            assert!(Package::parse(text, &target).is_err(), "{text}");
        }
    }

    #[test]
    fn a_version_is_in_the_name_and_the_environment() {
        let target: Target = "ext:openvino".parse().unwrap();
        let placed = with_version(&target, "2026.3.0", Path::new("/cache/openvino-2026.3.0"));
        assert_eq!(placed.to_string(), "ext:openvino@2026.3.0");
        let Target::At(placed) = placed else { panic!("it has a place") };
        assert_eq!(placed.place.environment["PYTHONPATH"], "/cache/openvino-2026.3.0");
    }
}
