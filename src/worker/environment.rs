//! The environment a driver needs in the worker, and the words for what was set.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;

/// The folder the OpenCL loader reads, unless `OCL_ICD_VENDORS` names another.
const VENDORS: &str = "/etc/OpenCL/vendors";
/// Drivers that offer MNN no device of type GPU by themselves.
const WITHOUT_GPU: &[&str] = &["mesa.icd", "rusticl.icd", "pocl.icd"];

/// The OpenCL drivers registered on this machine, by the names of their `.icd` files.
pub fn opencl_drivers() -> BTreeSet<String> {
    let entries = fs::read_dir(VENDORS).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "icd")).collect()
}

/// The variables that make Mesa's rusticl offer its CPU device as a GPU, where it is the only
/// OpenCL driver and the user has not chosen otherwise.
pub(super) fn for_opencl() -> Vec<(String, String)> {
    let chosen =
        ["OCL_ICD_VENDORS", "RUSTICL_ENABLE"].iter().any(|name| env::var_os(name).is_some());
    if chosen || !only_rusticl(&opencl_drivers()) {
        return Vec::new();
    }
    [
        ("RUSTICL_ENABLE", "llvmpipe"),
        ("RUSTICL_DEVICE_TYPE", "gpu"),
        ("OCL_ICD_VENDORS", "/etc/OpenCL/vendors/rusticl.icd"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

fn only_rusticl(drivers: &BTreeSet<String>) -> bool {
    drivers.contains("rusticl.icd")
        && drivers.iter().all(|driver| WITHOUT_GPU.contains(&driver.as_str()))
}

/// The line of evidence that says what was set.
pub(super) fn describe(environment: &[(String, String)]) -> Option<String> {
    let set: Vec<String> =
        environment.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let set = set.join(" ");
    (!environment.is_empty())
        .then(|| format!("offby set {set} for the worker: rusticl is the only OpenCL driver here"))
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
