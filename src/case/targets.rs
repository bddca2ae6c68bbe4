//! Files of named targets: the target, the place of its worker, and the worker's environment.

use super::error::Mistake;
use super::yaml::read_yaml;
use super::{DeviceError, resolve_beside, text};
use crate::engine::{Place, Target, Via};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// The required keys of every entry.
const SHAPE: &str =
    "`targets` is a list; each has a name and a target, and may have via, environment and timeout";

/// A file of named targets that cannot be used.
#[derive(Debug, Error)]
pub enum TargetsError {
    /// The system refused to read the file, or the bytes are not text.
    #[error("read targets {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The text is not YAML, or does not name targets.
    #[error("read targets {path}:{line}:{column}: {problem}")]
    Document {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// The problem, after the key's path: `targets[0].via: ...`.
        problem: String,
        /// The advice for the user.
        hint: String,
    },
    /// A simulated device that cannot be read.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl TargetsError {
    /// The advice for the user.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            TargetsError::Read { .. } => {
                "give the path of a YAML file of named targets; docs/remote-boards.md shows one"
                    .into()
            }
            TargetsError::Document { hint, .. } => hint.clone(),
            TargetsError::Device(error) => error.hint(),
        })
    }
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(deserialize_with = "once")]
    targets: Vec<Entry>,
}

/// One named target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The name for `--on`.
    #[serde(deserialize_with = "text::id")]
    name: String,
    /// The target, as `--on` takes it without a file.
    #[serde(with = "text")]
    target: Target,
    /// The command that starts the target's worker. If absent, offby's own worker runs on this machine.
    #[serde(default, with = "text::option")]
    via: Option<Via>,
    /// Variables in the worker's environment.
    #[serde(default, deserialize_with = "variables")]
    environment: BTreeMap<String, String>,
    /// Seconds the target may take, in place of `--timeout`.
    #[serde(default)]
    timeout: Option<NonZeroU64>,
}

/// Reads a file of named targets. Each target knows its place, and is found by its name.
///
/// # Errors
/// When the file cannot be read or has other content. The error has line, column, the key's path and a hint.
pub fn load_targets(path: &Path) -> Result<BTreeMap<String, Target>, TargetsError> {
    let text =
        read_yaml(path).map_err(|source| TargetsError::Read { path: path.to_owned(), source })?;
    targets_from(&text, path)
}

/// Reads named targets from a text; `path` is the path of its file.
///
/// # Errors
/// As [`load_targets`].
pub fn targets_from(text: &str, path: &Path) -> Result<BTreeMap<String, Target>, TargetsError> {
    let document: Document = serde_yaml::from_str(text).map_err(|error| {
        let Mistake { line, column, problem, hint } = Mistake::of(&error, path, SHAPE);
        TargetsError::Document { path: path.to_owned(), line, column, problem, hint }
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let placed = |entry: Entry| {
        let target = resolve_beside(folder, entry.target)?;
        let timeout = entry.timeout.map(|seconds| Duration::from_secs(seconds.get()));
        let (name, via, environment) = (Some(entry.name.clone()), entry.via, entry.environment);
        Ok((entry.name, target.at(Place { name, via, environment, timeout })))
    };
    document.targets.into_iter().map(placed).collect()
}

/// Entries with distinct names. A name must not mean a target by itself. An entry must have all
/// that its target needs.
fn once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    let entries = Vec::<Entry>::deserialize(deserializer)?;
    for (at, entry) in entries.iter().enumerate() {
        let (name, target) = (&entry.name, &entry.target);
        let fail = |what: &str, hint: &str| {
            Err(D::Error::custom(format!("`{name}` {what}{}{hint}", text::HINT)))
        };
        if entries[..at].iter().any(|other| other.name == *name) {
            return fail("is given twice", "give one of the two a different name");
        }
        if name.parse::<Target>().is_ok() {
            return fail("is a target by itself", "give it a different name");
        }
        if !target.has_worker() {
            return fail(
                "has no worker",
                "tract runs in offby itself; ext:NAME with a `via` of `... offby worker` runs tract there",
            );
        }
        if matches!(target, Target::Ext(_)) && entry.via.is_none() {
            return fail(
                "has no `via`",
                "the command of an ext: target must start a worker, and `via` is that command",
            );
        }
    }
    Ok(entries)
}

/// Variables with names that an environment allows.
fn variables<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let variables = BTreeMap::<String, String>::deserialize(deserializer)?;
    match variables.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        Some(name) => Err(D::Error::custom(format!(
            "`{name}` is no name of a variable{}write NAME: value",
            text::HINT
        ))),
        None => Ok(variables),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const WHOLE: &str = "# boards
targets:
  - name: board
    target: mnn:opencl:high
    via: ssh -p 2222 board 'cd /opt; ./offby worker'
    environment: {LD_LIBRARY_PATH: /opt/mali}
    timeout: 300
  - name: here
    target: mnn:vulkan
";

    fn load(text: &str) -> Result<BTreeMap<String, Target>, TargetsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("targets.yaml");
        fs::write(&path, text).unwrap();
        load_targets(&path)
    }

    #[test]
    fn every_key_is_read() {
        let targets = load(WHOLE).unwrap();
        let Target::At(board) = &targets["board"] else { panic!() };
        assert_eq!(targets["board"].to_string(), "mnn:opencl:high@board");
        assert_eq!(board.place.via.as_ref().unwrap().program(), "ssh");
        assert_eq!(board.place.environment["LD_LIBRARY_PATH"], "/opt/mali");
        assert_eq!(board.place.timeout, Some(Duration::from_secs(300)));
        let Target::At(here) = &targets["here"] else { panic!() };
        assert_eq!((&here.place.via, here.place.timeout), (&None, None));
    }

    /// A changed line of the file, with the place, the text and the advice of the error.
    #[test]
    fn errors_say_where_they_are_and_what_to_do() {
        for (from, to, place, words, hint) in [
            ("via:", "vias:", "5:5", "targets[0]: unknown field `vias`", "did you mean `via`?"),
            ("targets:", "targts:", "2:1", "unknown field `targts`", "did you mean `targets`?"),
            ("opencl:high", "opncl", "4:13", "targets[0].target: read the target", "opencl"),
            ("worker'", "worker", "5:10", "targets[0].via: read the command", "shell"),
            ("timeout: 300", "timeout: 0", "7:14", "targets[0].timeout: invalid value", "correct"),
            ("timeout: 300", "timeout: no", "7:14", "targets[0].timeout: invalid type", "correct"),
            ("name: here", "name: board", "2:1", "`board` is given twice", "a different name"),
            ("name: here", "name: mnn", "2:1", "`mnn` is a target by itself", "a different name"),
            ("name: here", "name: a@b", "8:11", "targets[1].name: `a@b` is no name", "letters"),
            ("mnn:vulkan\n", "tract\n", "2:1", "`here` has no worker", "ext:NAME"),
            ("mnn:vulkan\n", "ext:ort\n", "2:1", "`here` has no `via`", "is that command"),
            ("{LD_LIBRARY_PATH:", "{A=B:", "3:5", "`A=B` is no name of a variable", "NAME: value"),
            (
                "    target: mnn:vulkan\n",
                "",
                "8:5",
                "missing field `target`",
                "a name and a target",
            ),
        ] {
            let error = load(&WHOLE.replacen(from, to, 1)).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(words), "{said}, not {words}");
            assert!(said.contains(&format!("targets.yaml:{place}: ")), "{said}, not at {place}");
            let advice = error.hint().unwrap();
            assert!(advice.contains(hint), "{said}: {advice}, not {hint}");
        }
        let error = load_targets(Path::new("nowhere.yaml")).unwrap_err();
        assert!(error.to_string().contains("nowhere.yaml") && error.hint().is_some(), "{error}");
    }
}
