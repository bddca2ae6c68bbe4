//! Engines that run in a child process, because drivers crash, hang and print what they like.
//!
//! The parent writes frames to the child's stdin and reads frames from its stdout; whatever else
//! the child says goes to stderr and becomes evidence. The parent holds the deadline.

mod cache;
mod conversation;
mod convert;
mod environment;
mod fell_back;
mod frame;
mod host;
#[cfg(feature = "mnn")]
mod mnn;
mod mnn_engine;
mod open;
mod protocol;
mod resident;
mod sim;
mod sim_engine;
mod supervise;

pub use cache::cache_folder;
pub use conversation::{Announced, Walked, Walker};
pub use convert::{ConvertError, Converter, find_converter};
pub use environment::opencl_drivers;
pub use host::serve;
pub use mnn_engine::{MnnEngine, probe};
pub use protocol::ProbeReport;
pub use sim_engine::SimEngine;
pub use supervise::WorkerProgram;
