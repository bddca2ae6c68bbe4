//! The built-in devices: the program needs no folder of device files.

macro_rules! built_in {
    ($($name:literal,)+) => {
        &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/devices/", $name, ".yaml")),
        )),+]
    };
}

/// The names and documents of the devices, in the order of the names.
pub(super) const BUILTIN: &[(&str, &str)] = built_in![
    "adreno830-vulkan",
    "apple-ane",
    "broadcast-packed",
    "concat-offset",
    "crash",
    "edge2-android-opencl",
    "edge2-android-vulkan",
    "edge2-linux-opencl",
    "edge2-linux-opengl-g13",
    "edge2-linux-opengl-panfrost",
    "hang",
    "honest-bf16",
    "honest-f16",
    "honest-f16-toward-zero",
    "honest-f32",
    "honest-tf32",
    "liar",
    "lost",
    "mix2s-opencl",
    "mix2s-vulkan",
    "mlp-opengl",
    "mlp-vulkan",
    "nan",
    "orin-vulkan",
    "packed-by-4",
    "pads-swapped",
    "power-of-two",
    "random",
    "rpi4-vulkan",
    "s20-opencl",
    "s20-vulkan",
    "scale",
    "second-run-nan",
    "second-run-zero",
    "squares-f32",
    "stale",
    "tile-64",
    "tile-padding",
    "transpose-ignored",
    "vim3-android-opencl",
    "vim3-android-opengl",
    "vim3-android-vulkan",
    "vim3-android-vulkan-unsynced",
    "vim3-linux-vulkan",
    "weights-int8",
    "zero",
];
