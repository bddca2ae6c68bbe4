//! Documents in YAML: case files, one divergence from the model and its inputs to what each target is
//! expected to say; and simulated devices. The only room that sees YAML.

mod builtin;
mod device;
mod document;
mod error;
mod expect;
mod set;
mod text;

pub use device::{DeviceError, device_names, load_device, resolve, write_device};
pub use document::{Case, CaseCut, CaseKind, CaseTarget, Expectation, ExplainedBy, When};
pub use error::CaseError;
pub use expect::Said;
pub use set::load_cases;

#[cfg(test)]
mod tests;
