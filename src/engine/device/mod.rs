//! Simulated devices: the reference with a declared storage format and declared faults.
//!
//! A [`Device`] is data, read from a document; a [`Simulator`] is one device at work. It never computes a
//! network itself: it is handed every ONNX node's inputs and right outputs, and says what the device
//! makes of them. What is physical is computed, not scripted: a NaN in GELU comes out of an
//! exponential that `f16` cannot hold. Whatever is found on such a device was planted.

mod condition;
mod elementwise;
mod fault;
mod layout;
mod naive;
mod norm;
mod operation;
mod run;
mod simulator;
mod spoil;
mod spots;
mod storage;
mod sums;
mod window;

pub use condition::Condition;
pub use fault::{Before, During, Fault, Planted};
pub use operation::NodeFacts;
pub use run::{DeviceRun, Passed, Stop};
pub use simulator::{Breakdown, Moment, Simulator};
pub use storage::{Overflow, StorageRules, Subnormals};

use crate::bounds::Arithmetic;
use crate::tensor::Format;
use serde::{Deserialize, Serialize};

/// A device to simulate, as its document declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its name, as `sim:NAME` asks for it.
    pub name: String,
    /// What it imitates; reports put "simulated" before it.
    pub describes: String,
    /// How it keeps values.
    #[serde(default)]
    pub storage: StorageRules,
    /// The arithmetic of its sums, in matrix products, convolutions, reductions, norms and pooling.
    #[serde(default)]
    pub accumulate: Accumulate,
    /// Weights of matrix products and convolutions are kept in so many bits, symmetric about zero, one
    /// scale for each tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_bits: Option<u8>,
    /// What is wrong with it, in the order in which it happens to a node.
    #[serde(default)]
    pub faults: Vec<Planted>,
}

/// The arithmetic of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accumulate {
    /// The reference's.
    #[default]
    F32,
    /// Every partial sum rounded to the nearest `f16`, in row-major order.
    F16,
}

impl Device {
    /// A device without a fault that keeps `f32`.
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

    /// What reports call it: always "simulated".
    pub fn title(&self) -> String {
        format!("simulated {}", self.describes)
    }

    /// The format it declares to keep values in, where that is narrower than the model's own.
    pub fn declared_storage(&self) -> Option<Format> {
        Some(self.storage.format).filter(|format| *format != Format::F32)
    }

    /// How it computes and stores: all of that is declared.
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

    /// Checks what the types cannot: that every number means something.
    ///
    /// # Errors
    /// What is wrong, in words.
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
