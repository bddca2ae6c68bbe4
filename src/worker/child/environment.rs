//! The environment that a driver needs in the worker. Only a new process has the environment from its beginning,
//! so the worker starts itself again.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

/// The folder that the OpenCL loader reads, unless `OCL_ICD_VENDORS` names a different folder.
const VENDORS: &str = "/etc/OpenCL/vendors";
/// Drivers that by themselves offer MNN no device of type GPU.
const WITHOUT_GPU: &[&str] = &["mesa.icd", "rusticl.icd", "pocl.icd"];
/// Variables that make Mesa's rusticl offer its CPU device as a GPU.
const RUSTICL: [(&str, &str); 3] = [
    ("RUSTICL_ENABLE", "llvmpipe"),
    ("RUSTICL_DEVICE_TYPE", "gpu"),
    ("OCL_ICD_VENDORS", "/etc/OpenCL/vendors/rusticl.icd"),
];
/// Marks those variables as set by offby, not by the user.
const CHOSEN: &str = "OFFBY_CHOSE_RUSTICL";
/// Marks a worker that restarted on request and must answer.
const RESTARTED: &str = "OFFBY_WORKER_RESTARTED";

/// The OpenCL drivers registered on this machine, by the names of their `.icd` files.
pub fn opencl_drivers() -> BTreeSet<String> {
    let entries = fs::read_dir(VENDORS).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "icd")).collect()
}

/// Starts this process again with variables that give OpenCL a device. Does so only if rusticl is the only driver
/// and the user has not chosen otherwise.
///
/// # Errors
/// If the process cannot be started again.
pub(in crate::worker) fn choose_drivers() -> io::Result<()> {
    let given = ["OCL_ICD_VENDORS", "RUSTICL_ENABLE"].iter().any(|name| is_set(name));
    if given || !only_rusticl(&opencl_drivers()) {
        return Ok(());
    }
    let mut command = this_program()?;
    command.envs(RUSTICL).env(CHOSEN, "1");
    // On success, `exec` does not return.
    Err(command.exec())
}

/// Starts this process again with these variables. Returns only on failure, with the error.
pub(in crate::worker) fn start_again(variables: &BTreeMap<String, String>) -> io::Error {
    let mut command = match this_program() {
        Ok(command) => command,
        Err(error) => return error,
    };
    if is_set(CHOSEN) {
        // The variables may name a different driver, so the new process must choose again.
        for name in RUSTICL.map(|(name, _)| name).iter().chain([&CHOSEN]) {
            command.env_remove(name);
        }
    }
    command.envs(variables).env(RESTARTED, "1").exec()
}

/// Whether this process was started by [`start_again`].
pub(in crate::worker) fn was_restarted() -> bool {
    is_set(RESTARTED)
}

/// The line of evidence about the variables that offby set for OpenCL.
pub(in crate::worker) fn chosen_for_opencl() -> Option<String> {
    let set = RUSTICL.map(|(name, value)| format!("{name}={value}")).join(" ");
    is_set(CHOSEN)
        .then(|| format!("offby set {set} for the worker: rusticl is the only OpenCL driver here"))
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some()
}

/// This program with its own arguments.
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
