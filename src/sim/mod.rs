//! Simulated devices: the reference with a declared storage format and declared faults.
//!
//! A [`Device`] is data, read from a document; a [`Simulator`] runs one device. The simulator never computes
//! a network: the caller passes every ONNX node's inputs and right outputs, and the simulator returns the
//! device's outputs. Physical effects are computed, not scripted: a NaN in GELU results from an exponential
//! that `f16` cannot hold. Every fault found on such a device was planted.

mod condition;
mod elementwise;
mod fault;
mod inject;
mod layout;
mod naive;
mod norm;
mod operation;
mod simulator;
mod spots;
mod storage;
mod sums;
mod window;

pub use condition::{Condition, Extent};
pub use fault::{Before, During, Fault, Planted};
pub use operation::{CurrentRun, NodeFacts};
pub use simulator::{Breakdown, Simulator};
pub use storage::{Overflow, StorageRules, Subnormals};

use crate::bounds::Arithmetic;
use crate::tensor::Format;
use serde::{Deserialize, Serialize};

/// A device to simulate, as its document declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The device's name, as in `sim:NAME`.
    pub name: String,
    /// The imitated device; reports put "simulated" before this text.
    pub describes: String,
    /// How the device stores values.
    #[serde(default)]
    pub storage: StorageRules,
    /// The arithmetic of sums in matrix products, convolutions, reductions, norms and pooling.
    #[serde(default)]
    pub accumulate: Accumulate,
    /// The number of bits for weights of matrix products and convolutions, symmetric about zero, with one
    /// scale for each tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_bits: Option<u8>,
    /// The device's faults, in the order of their effect on a node.
    #[serde(default)]
    pub faults: Vec<Planted>,
}

/// The arithmetic of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accumulate {
    /// The reference's arithmetic.
    #[default]
    F32,
    /// Every partial sum rounded to the nearest `f16`, in row-major order.
    F16,
}

impl Device {
    /// A device without faults that stores `f32`.
    pub fn honest() -> Self {
        Device {
            name: "honest-f32".into(),
            describes: "honest device that keeps f32".into(),
            storage: StorageRules::default(),
            accumulate: Accumulate::F32,
            weight_bits: None,
            faults: Vec::new(),
        }
    }

    /// The device's title in reports: always with "simulated".
    pub fn title(&self) -> String {
        format!("simulated {}", self.describes)
    }

    /// The declared storage format, if that format is narrower than the model's own.
    pub fn declared_storage(&self) -> Option<Format> {
        Some(self.storage.format).filter(|format| *format != Format::F32)
    }

    /// How the device computes and stores; a device declares all of that.
    pub fn arithmetic(&self) -> Arithmetic {
        Arithmetic {
            format: self.storage.format,
            rounding: Some(self.storage.rounding),
            accumulate: Some(match self.accumulate {
                Accumulate::F32 => Format::F32,
                Accumulate::F16 => Format::F16,
            }),
            flushes: Some(self.storage.subnormals == Subnormals::Flush),
        }
    }

    /// Checks that names and numbers make sense, which the types cannot check.
    ///
    /// # Errors
    /// Fails with a sentence that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.describes.is_empty() {
            return Err("`name` and `describes` must say something".into());
        }
        match self.weight_bits {
            Some(bits) if !(2..=16).contains(&bits) => {
                Err(format!("`weight_bits` is 2 to 16, not {bits}"))
            }
            _ => Ok(()),
        }
    }
}
