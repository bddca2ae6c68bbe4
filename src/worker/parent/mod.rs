//! The parent: it starts workers, asks them, holds the deadline, and ends what they leave behind.

pub(in crate::worker) mod conversation;
pub(in crate::worker) mod descendants;
mod ending;
mod fell_back;
mod memory;
pub(in crate::worker) mod mnn_engine;
pub(in crate::worker) mod onnx_engine;
pub(in crate::worker) mod program;
pub(in crate::worker) mod sim_engine;
mod stderr_log;
mod supervise;
