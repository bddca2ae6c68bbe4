//! Documents in YAML, read into what other rooms run.

mod builtin;
mod device;

pub use device::{DeviceError, device_names, load_device, resolve};
