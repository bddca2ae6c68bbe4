//! The environment a driver needs, where the worker runs. Only a new process has it from its
//! beginning, so the worker starts itself again.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

/// The folder the OpenCL loader reads, unless `OCL_ICD_VENDORS` names another.
const VENDORS: &str = "/etc/OpenCL/vendors";
/// Drivers that offer MNN no device of type GPU by themselves.
const WITHOUT_GPU: &[&str] = &["mesa.icd", "rusticl.icd", "pocl.icd"];
/// What makes Mesa's rusticl offer its CPU device as a GPU.
const RUSTICL: [(&str, &str); 3] = [
    ("RUSTICL_ENABLE", "llvmpipe"),
    ("RUSTICL_DEVICE_TYPE", "gpu"),
    ("OCL_ICD_VENDORS", "/etc/OpenCL/vendors/rusticl.icd"),
];
/// Tells a worker that those were set by offby, and not by the user.
const CHOSEN: &str = "OFFBY_CHOSE_RUSTICL";
/// Tells a worker that it was asked to start again, and is to answer.
const RESTARTED: &str = "OFFBY_WORKER_RESTARTED";

/// The OpenCL drivers registered on this machine, by the names of their `.icd` files.
pub fn opencl_drivers() -> BTreeSet<String> {
    let entries = fs::read_dir(VENDORS).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "icd")).collect()
}

/// Has this process in an environment in which OpenCL has a device: where rusticl is the only driver
/// and the user has not chosen otherwise, it starts itself again.
///
/// # Errors
/// When it cannot be started again.
pub(super) fn choose_drivers() -> io::Result<()> {
    let given = ["OCL_ICD_VENDORS", "RUSTICL_ENABLE"].iter().any(|name| is_set(name));
    if given || !only_rusticl(&opencl_drivers()) {
        return Ok(());
    }
    let mut command = this_program()?;
    command.envs(RUSTICL).env(CHOSEN, "1");
    // Where it succeeds it does not return.
    Err(command.exec())
}

/// Starts this process again with these variables; gives the error where that fails.
pub(super) fn start_again(variables: &BTreeMap<String, String>) -> io::Error {
    let mut command = match this_program() {
        Ok(command) => command,
        Err(error) => return error,
    };
    if is_set(CHOSEN) {
        // Another driver may be named now: it is to be chosen anew.
        for name in RUSTICL.map(|(name, _)| name).iter().chain([&CHOSEN]) {
            command.env_remove(name);
        }
    }
    command.envs(variables).env(RESTARTED, "1").exec()
}

/// Whether this process was started by [`start_again`].
pub(super) fn was_restarted() -> bool {
    is_set(RESTARTED)
}

/// The line of evidence that says what was set for OpenCL.
pub(super) fn chosen_for_opencl() -> Option<String> {
    let set = RUSTICL.map(|(name, value)| format!("{name}={value}")).join(" ");
    is_set(CHOSEN)
        .then(|| format!("offby set {set} for the worker: rusticl is the only OpenCL driver here"))
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some()
}

/// This program with the arguments it has.
fn this_program() -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1));
    Ok(command)
}

fn only_rusticl(drivers: &BTreeSet<String>) -> bool {
    drivers.contains("rusticl.icd")
        && drivers.iter().all(|driver| WITHOUT_GPU.contains(&driver.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drivers(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_real_driver_is_left_alone() {
        assert!(only_rusticl(&drivers(&["mesa.icd", "rusticl.icd"])));
        assert!(!only_rusticl(&drivers(&["nvidia.icd", "rusticl.icd"])));
        assert!(!only_rusticl(&drivers(&["pocl.icd"])));
    }
}
