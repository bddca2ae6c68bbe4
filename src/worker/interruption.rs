//! Records that the user ended the command. Every wait for a worker then stops, and the command can still report the
//! findings so far.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ends all waiting for workers, from now on and in the whole process. Returns whether this is the first call.
pub fn interrupt() -> bool {
    !INTERRUPTED.swap(true, Ordering::SeqCst)
}

/// Whether the user ended the command.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
