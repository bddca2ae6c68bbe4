//! What this build of offby lacks.

use crate::engine::Backend;

/// The reason and the remedy if this build lacks a backend; `None` if the build has the backend.
pub(in crate::worker) fn missing_from_build(backend: Backend) -> Option<(String, String)> {
    let built = match backend {
        Backend::Cpu => cfg!(feature = "mnn"),
        Backend::Vulkan => cfg!(feature = "vulkan"),
        Backend::Opencl => cfg!(feature = "opencl"),
        Backend::Opengl => cfg!(feature = "opengl"),
        Backend::Cuda => false,
    };
    if built {
        return None;
    }
    if !cfg!(feature = "mnn") {
        return Some(without_mnn());
    }
    let hint = match backend {
        Backend::Cuda => {
            "offby does not build MNN's CUDA backend; use mnn:vulkan or mnn:opencl on the same card"
                .into()
        }
        other => format!("build with `cargo build --release --features {other}`"),
    };
    Some((format!("this build of offby has no MNN on {backend}"), hint))
}

fn without_mnn() -> (String, String) {
    (
        "this build of offby has no MNN".into(),
        "build with the default features: `cargo build --release`".into(),
    )
}
