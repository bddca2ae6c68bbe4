//! Engines that run in a child process, because drivers crash, hang and print what they like.
//!
//! The parent writes frames to the child's stdin and reads frames from its stdout; whatever else
//! the child says goes to stderr and becomes evidence. The parent holds the deadline.

mod cache;
mod contents;
mod conversation;
mod convert;
mod ending;
mod environment;
mod ext_engine;
mod fell_back;
mod frame;
mod host;
#[cfg(feature = "mnn")]
mod mnn;
mod mnn_engine;
mod onnx;
mod open;
mod program;
mod protocol;
mod resident;
mod sim;
mod sim_engine;
mod supervise;

pub use cache::cache_folder;
pub use conversation::{Announced, Walked, Walker};
pub use convert::{ConvertError, Converter, find_converter};
pub use environment::opencl_drivers;
pub use ext_engine::ExtEngine;
pub use host::serve;
pub use mnn_engine::{MnnEngine, probe};
pub use program::WorkerProgram;
pub use protocol::ProbeReport;
pub use sim_engine::SimEngine;
