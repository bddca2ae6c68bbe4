//! The wire: frames, asks, replies, and the contents that travel once.

pub(in crate::worker) mod contents;
pub(in crate::worker) mod frame;
#[cfg(fuzzing)]
pub(in crate::worker) mod hostile;
pub(in crate::worker) mod protocol;
