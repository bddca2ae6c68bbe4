//! Explains a silent fallback: the text that MNN logged when it gave up the backend, and the remedy.

use crate::engine::{Backend, Execution, Outcome, RanOn};

/// The text that MNN logs when it gives up a backend, the cause in words for the user, and the remedy.
const FALLBACKS: &[(&str, &str, &str)] = &[
    (
        "Load vulkan library error",
        "the Vulkan loader libvulkan.so is missing",
        "apt-get install libvulkan-dev (MNN opens libvulkan.so, which only the -dev package has)",
    ),
    (
        "Invalide device for support vulkan",
        "the Vulkan loader finds no device",
        "install the GPU's Vulkan driver, or apt-get install mesa-vulkan-drivers for the software one; look at VK_DRIVER_FILES",
    ),
    (
        "OpenCL init error",
        "OpenCL could not be set up: no driver offers a device of type GPU",
        "install the GPU's OpenCL driver, or apt-get install ocl-icd-opencl-dev mesa-opencl-icd for the software one",
    ),
    (
        "Parsing OpenCL symbols error",
        "the OpenCL loader libOpenCL.so is missing",
        "apt-get install ocl-icd-opencl-dev",
    ),
    ("Can't Find type", "MNN found no usable driver for it", "see `offby doctor`"),
];

/// The execution of a session that landed on a different backend than asked.
pub(in crate::worker) fn explain(
    asked: Option<Backend>,
    ran_on: Option<RanOn>,
    evidence: Vec<String>,
) -> Execution {
    let really = ran_on.as_ref().map_or("another backend", |ran_on| ran_on.backend.as_str());
    let said = |pattern: &str| evidence.iter().any(|line| line.contains(pattern));
    let known = FALLBACKS.iter().find(|(pattern, _, _)| said(pattern));
    let (why, hint) =
        known.map_or(("MNN does not say why", "see `offby doctor`"), |(_, why, hint)| (why, hint));
    let Some(asked) = asked else {
        let reason =
            format!("the worker says that it runs on the {really}, not as it was asked to");
        let execution = Execution::without_outputs(Outcome::FellBack, reason);
        return Execution { ran_on, evidence, ..execution };
    };
    let reason = format!(
        "MNN was asked for {asked} and would have run on the {really} without an error: {why}; nothing was compared"
    );
    let execution = Execution::without_outputs(Outcome::FellBack, reason).with_hint(hint);
    Execution { ran_on, evidence, ..execution }
}
