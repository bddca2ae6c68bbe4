//! Engines that run in a child process, because drivers crash, hang and print text of their own.
//!
//! The parent writes frames to the child's stdin and reads frames from its stdout. All other output of the child goes
//! to stderr and becomes evidence. The parent enforces the deadline.

mod cache;
mod child;
mod convert;
mod features;
mod interruption;
mod parent;
mod wire;

pub use cache::cache_folder;
pub use child::device_run::{DeviceRun, NodeStop, Passed};
pub use child::environment::opencl_drivers;
pub use child::host::serve;
pub use convert::converted::{ConversionChange, compare_converted, converted_operators};
pub use convert::converter::{Converter, MNN_VERSION, find_converter};
pub use convert::error::ConvertError;
pub use features::missing_driver;
pub use interruption::{Interrupt, interrupted};
pub use parent::conversation::{Announced, Walker, WorkerWalk};
pub use parent::mnn_engine::{MnnEngine, probe};
pub use parent::onnx_engine::{OnnxBy, OnnxEngine};
pub use parent::program::WorkerProgram;
pub use parent::sim_engine::SimEngine;
#[cfg(fuzzing)]
pub use wire::hostile::hear;
pub use wire::protocol::ProbeReport;
