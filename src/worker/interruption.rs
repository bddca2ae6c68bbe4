//! The user ends the command: whoever waits for a worker stops waiting, so that what was found by then can
//! still be told.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ends all waiting for workers, from now on and in the whole process. Whether it is the first time.
pub fn interrupt() -> bool {
    !INTERRUPTED.swap(true, Ordering::SeqCst)
}

/// Whether the user ended the command.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
