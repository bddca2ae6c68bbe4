//! Documents in YAML: case files, simulated devices and named targets. A case file holds one divergence,
//! from the model and its inputs to the expected results of each target. Only this room sees YAML.

mod backend_tests;
mod builtin;
mod device;
mod document;
mod error;
mod expect;
mod set;
mod targets;
mod text;
mod yaml;

pub use backend_tests::{BackendTest, find_backend_tests, write_backend_test};
pub use device::{
    DeviceError, device_from, device_names, load_device, resolve, resolve_beside, write_device,
};
pub use document::{Allowed, Case, CaseCut, CaseKind, CaseTarget, Expectation, ExplainedBy, When};
pub use error::CaseError;
pub use expect::Said;
pub use set::load_cases;
pub use targets::{TargetsError, load_targets, targets_from};

#[cfg(test)]
mod tests;
