//! The wire: frames, asks, replies, and the contents that travel once.

pub(in crate::worker) mod contents;
pub(in crate::worker) mod frame;
#[cfg(fuzzing)]
pub(in crate::worker) mod hostile;
pub(in crate::worker) mod protocol;

/// The line on stderr of a worker that dies in its reference.
pub(in crate::worker) const REFERENCE_DIED: &str =
    "offby: this signal comes from the reference's thread, not from the target's";
