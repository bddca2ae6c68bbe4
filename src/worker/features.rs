//! What this build of offby lacks.

use crate::engine::Backend;

/// How to install the driver that a backend needs.
pub fn missing_driver(backend: Backend) -> Option<&'static str> {
    match backend {
        Backend::Cpu => None,
        Backend::Vulkan => {
            Some("apt-get install libvulkan-dev mesa-vulkan-drivers, or the GPU's own driver")
        }
        Backend::Opencl => {
            Some("apt-get install ocl-icd-opencl-dev mesa-opencl-icd, or the GPU's own driver")
        }
        Backend::Opengl => {
            Some("apt-get install libegl1 libgles2 libegl-mesa0, or the GPU's own driver")
        }
        Backend::Cuda => Some(
            "install NVIDIA's driver, and build MNN's CUDA backend: `scripts/mnn-library --cuda 90` for compute capability 9.0",
        ),
    }
}

/// The reason and the remedy if this build lacks a backend; `None` if the build has the backend.
pub(in crate::worker) fn missing_from_build(backend: Backend) -> Option<(String, String)> {
    let built = match backend {
        Backend::Cpu => cfg!(feature = "mnn"),
        Backend::Vulkan => cfg!(feature = "vulkan"),
        Backend::Opencl => cfg!(feature = "opencl"),
        Backend::Opengl => cfg!(feature = "opengl"),
        // A library that the worker opens at run time.
        Backend::Cuda => cfg!(feature = "mnn"),
    };
    if built {
        return None;
    }
    if !cfg!(feature = "mnn") {
        return Some(without_mnn());
    }
    let hint = format!("build with `cargo build --release --features {backend}`");
    Some((format!("this build of offby has no MNN on {backend}"), hint))
}

fn without_mnn() -> (String, String) {
    (
        "this build of offby has no MNN".into(),
        "build with the default features: `cargo build --release`".into(),
    )
}

/// The reason and the remedy if tract cannot run on CUDA here.
pub(in crate::worker) fn missing_tract_cuda() -> Option<(String, String)> {
    #[cfg(feature = "tract-cuda")]
    {
        let reason = crate::engine::missing_cuda()?;
        let hint = "tract needs NVIDIA's driver and the libraries cudart, nvrtc, cublas and cudnn of CUDA 13, in LD_LIBRARY_PATH";
        Some((reason, hint.to_owned()))
    }
    #[cfg(not(feature = "tract-cuda"))]
    Some((
        "this build of offby has no tract on CUDA".into(),
        "build with `cargo build --release --features tract-cuda`".into(),
    ))
}
