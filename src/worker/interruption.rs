//! Ends all waiting for workers, so that a command or a program can still report the findings so far.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A request to stop, which all its clones share.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// The command line's: Ctrl-C sets it.
    pub fn of_process() -> Self {
        static OURS: OnceLock<Interrupt> = OnceLock::new();
        OURS.get_or_init(Interrupt::default).clone()
    }

    /// Asks all work with this token to stop. Returns whether this is the first call.
    pub fn set(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// Whether the work should stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Whether the user ended the command.
pub fn interrupted() -> bool {
    Interrupt::of_process().is_set()
}
