//! The machine and the command, for a report, without the names of the host and the user.

use crate::report::EnvironmentReport;
use crate::worker::Converter;
use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs, thread};

/// Variables that decide which driver or converter is used.
const VARIABLES: &[&str] = &[
    "LD_LIBRARY_PATH",
    "LP_NUM_THREADS",
    "MESA_LOADER_DRIVER_OVERRIDE",
    "OCL_ICD_FILENAMES",
    "OCL_ICD_VENDORS",
    "OFFBY_MNNCONVERT",
    "OFFBY_PYTHON",
    "RUSTICL_DEVICE_TYPE",
    "RUSTICL_ENABLE",
    "RUSTICL_FEATURES",
    "VK_DRIVER_FILES",
    "VK_ICD_FILENAMES",
    "VK_LOADER_LAYERS_ENABLE",
];

/// Arguments that only control output. The arguments in `WRITING` have a value.
const WRITING: [&str; 2] = ["--out", "--json"];
const LOUDNESS: [&str; 4] = ["-q", "-v", "--quiet", "--verbose"];

/// An argument whose value names a host. The report keeps only the first word, the program.
const VIA: &str = "--via";

/// Facts about this machine and this command.
pub(super) fn environment(converter: &Converter) -> EnvironmentReport {
    let set = |name: &&str| Some(((*name).to_owned(), env::var(name).ok()?));
    EnvironmentReport {
        os: os(),
        cpu: cpu(),
        cores: thread::available_parallelism().map_or(1, usize::from),
        converter: describe(converter),
        variables: VARIABLES.iter().filter_map(set).collect::<BTreeMap<_, _>>(),
        command: command(env::args().skip(1)),
    }
}

fn os() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = pretty.map_or(env::consts::OS, |name| name.trim_matches('"'));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    match kernel.trim() {
        "" => format!("{name}, {}", env::consts::ARCH),
        kernel => format!("{name}, kernel {kernel}, {}", env::consts::ARCH),
    }
}

/// The processor, as the kernel names it. Boards report their own name instead of the processor's.
fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = info.lines().find(|line| line.starts_with("model name"));
    let named = named.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned());
    let board = || fs::read_to_string("/proc/device-tree/model").ok();
    let name = named.or_else(board).unwrap_or_else(|| env::consts::ARCH.to_owned());
    name.trim_end_matches('\0').to_owned()
}

fn describe(converter: &Converter) -> Option<String> {
    match converter {
        Converter::Missing => None,
        Converter::Ready(_) => Some("a ready .mnn file".into()),
        Converter::Native(program) => Some(format!("MNNConvert at {}", program.display())),
        Converter::Python(python) => Some(match package_version(python) {
            Some(version) => format!("MNN {version} (Python package)"),
            None => "MNN (Python package)".into(),
        }),
    }
}

/// The version of a Python's `MNN` package, from the name of the package's folder.
fn package_version(python: &Path) -> Option<String> {
    let libraries = python.parent()?.parent()?.join("lib");
    let packages = fs::read_dir(libraries).ok()?.flatten().flat_map(|version| {
        fs::read_dir(version.path().join("site-packages")).into_iter().flatten().flatten()
    });
    let mut names = packages.map(|entry| entry.file_name().to_string_lossy().to_lowercase());
    names.find_map(|name| Some(name.strip_prefix("mnn-")?.strip_suffix(".dist-info")?.to_owned()))
}

fn command(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let name = argument.split('=').next().unwrap_or_default();
        if argument == VIA {
            let program = arguments.next().map(|via| first_word(&via));
            kept.extend([argument].into_iter().chain(program));
        } else if let Some(via) = argument.strip_prefix("--via=") {
            kept.push(format!("{VIA}={}", first_word(via)));
        } else if WRITING.contains(&argument.as_str()) {
            arguments.next();
        } else if !WRITING.contains(&name) && !LOUDNESS.contains(&argument.as_str()) {
            kept.push(argument);
        }
    }
    kept
}

fn first_word(via: &str) -> String {
    let mut words = via.split_whitespace();
    let program = words.next().unwrap_or_default();
    format!("{program}{}", if words.next().is_some() { " ..." } else { "" })
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn a_command_names_no_host() {
        let arguments =
            ["walk", "--via", "ssh me@home offby worker", "--via=adb -s 7 shell w", "-q"];
        let kept = command(arguments.into_iter().map(str::to_owned));
        assert_eq!(kept, ["walk", "--via", "ssh ...", "--via=adb ..."]);
    }

    #[test]
    fn a_command_says_what_was_done_not_where_it_was_written() {
        let line = "walk m.onnx --json r.json --input=x=sine --out /tmp/x -q --on mnn:cpu --out=y";
        let kept = command(line.split(' ').map(str::to_owned));
        assert_eq!(kept, ["walk", "m.onnx", "--input=x=sine", "--on", "mnn:cpu"]);
    }
}
