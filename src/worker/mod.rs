//! Engines that run in a child process, because drivers crash, hang and print text of their own.
//!
//! The parent writes frames to the child's stdin and reads frames from its stdout. All other output of the child goes
//! to stderr and becomes evidence. The parent enforces the deadline.

mod cache;
mod chatter;
mod contents;
mod conversation;
mod convert;
mod converted;
mod ending;
mod environment;
mod fell_back;
mod frame;
mod host;
#[cfg(fuzzing)]
mod hostile;
mod interruption;
mod kin;
mod memory;
#[cfg(feature = "mnn")]
mod mnn;
mod mnn_engine;
mod onnx;
mod onnx_engine;
mod open;
mod ort;
mod program;
mod protocol;
mod resident;
mod sim;
mod sim_engine;
mod supervise;

pub use cache::cache_folder;
pub use conversation::{Announced, Walked, Walker};
pub use convert::{ConvertError, Converter, MNN_VERSION, find_converter};
pub use converted::{Change, compare_converted, converted_operators};
pub use environment::opencl_drivers;
pub use host::serve;
#[cfg(fuzzing)]
pub use hostile::hear;
pub use interruption::{interrupt, interrupted};
pub use mnn_engine::{MnnEngine, probe};
pub use onnx_engine::OnnxEngine;
pub use program::WorkerProgram;
pub use protocol::ProbeReport;
pub use sim_engine::SimEngine;
