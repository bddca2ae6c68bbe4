//! Says when a signal comes from the reference's thread: the target is then not to blame for the end of the process.

use crate::worker::wire::REFERENCE_DIED;
use std::cell::Cell;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// The signals of a program that fails.
const FAILURES: [c_int; 5] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

thread_local! {
    /// Whether this thread belongs to the reference.
    static IS_REFERENCE: Cell<bool> = const { Cell::new(false) };
}

/// What handled the signals before, in the order of [`FAILURES`].
static BEFORE: OnceLock<[libc::sigaction; FAILURES.len()]> = OnceLock::new();

/// Makes this thread one of the reference's.
pub(super) fn mark_thread() {
    IS_REFERENCE.set(true);
    BEFORE.get_or_init(|| FAILURES.map(take_over));
}

/// Handles a signal from now on, and returns what handled it before.
fn take_over(signal: c_int) -> libc::sigaction {
    let mut before = MaybeUninit::zeroed();
    // SAFETY: zeroes are a valid `sigaction`, and both pointers are valid through the call. The handler calls only
    // functions that a handler may call.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handle as extern "C" fn(c_int) as usize;
        // Rust gives its threads a stack of their own for signals.
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(signal, &action, before.as_mut_ptr());
        before.assume_init()
    }
}

/// Says so if the thread is the reference's, and leaves the signal to what handled it before: the failing instruction
/// runs again when this returns.
extern "C" fn handle(signal: c_int) {
    let line = REFERENCE_DIED.as_bytes();
    let at = FAILURES.iter().position(|failure| *failure == signal);
    // SAFETY: `write`, `sigaction` and `raise` may be called in a handler, and the pointers are valid.
    unsafe {
        if IS_REFERENCE.get() {
            libc::write(libc::STDERR_FILENO, c"\n".as_ptr().cast(), 1);
            libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len());
            libc::write(libc::STDERR_FILENO, c"\n".as_ptr().cast(), 1);
        }
        if let Some(before) = at.and_then(|at| BEFORE.get()?.get(at)) {
            libc::sigaction(signal, before, std::ptr::null_mut());
        }
        libc::raise(signal);
    }
}
