//! The child: it opens engines, runs them, and answers with replies.

pub(in crate::worker) mod device_run;
pub(in crate::worker) mod environment;
pub(in crate::worker) mod host;
#[cfg(feature = "mnn")]
mod mnn;
mod onnx;
mod onnx_file;
mod open;
mod ort;
mod reply;
mod sim;
