//! The wire: frames, asks, replies, and the contents that travel once.

pub(in crate::worker) mod contents;
pub(in crate::worker) mod frame;
#[cfg(fuzzing)]
pub(in crate::worker) mod hostile;
pub(in crate::worker) mod protocol;

/// The line on stderr of a worker that dies in its reference.
pub(in crate::worker) const REFERENCE_DIED: &str =
    "offby: this signal comes from the reference's thread, not from the target's";

/// The line on stderr of a worker whose target mostly waits for the reference, and the line when it no longer does.
pub(in crate::worker) const WAITS_FOR_REFERENCE: &str = "offby: the target waits for the reference";
pub(in crate::worker) const WAITED_FOR_REFERENCE: &str =
    "offby: the target no longer waits for the reference";
