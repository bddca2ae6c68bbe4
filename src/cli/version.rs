//! What `offby --version` prints.

use crate::engine::TRACT_VERSION;
use crate::worker::MNN_VERSION;

/// The version with the versions of the compiled-in engines, the backends, and the commit if the build sets it.
pub(super) fn long_version() -> String {
    let mut version = env!("CARGO_PKG_VERSION").to_owned();
    if let Some(commit) = option_env!("OFFBY_COMMIT") {
        version.push_str(&format!(" ({commit})"));
    }
    let backends = [
        ("vulkan", cfg!(feature = "vulkan")),
        ("opencl", cfg!(feature = "opencl")),
        ("opengl", cfg!(feature = "opengl")),
    ];
    let backends: Vec<&str> =
        backends.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
    let mnn = match cfg!(feature = "mnn") {
        true => format!("MNN {MNN_VERSION}: cpu, {}", backends.join(", ")),
        false => "without MNN".to_owned(),
    };
    format!("{version}\ntract {}\n{mnn}", TRACT_VERSION)
}
