//! MNN's log messages. mnn-sys sends them to `tracing`. This module forwards them to stderr, which the parent reads
//! as evidence.

use super::bindings::find;
use libloading::Library;
use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::Once;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Metadata, Subscriber, dispatcher};

/// Starts listening, once per process.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only if a different subscriber listens already.
        let _ = dispatcher::set_global_default(Dispatch::new(ToStderr));
    });
}

/// Listens to an MNN in a library. A library of another build of MNN prints its messages itself.
pub(super) fn listen_to(library: &Library) -> Result<(), String> {
    type Heard = unsafe extern "C" fn(*const c_char);
    extern "C" fn heard(message: *const c_char) {
        // SAFETY: the library passes a text that ends with a zero and lives through this call.
        keep(&unsafe { CStr::from_ptr(message) }.to_string_lossy());
    }
    // SAFETY: `library.cpp` declares the function with this type.
    unsafe { find::<unsafe extern "C" fn(Heard)>(library, "offby_listen")?(heard) };
    Ok(())
}

/// Keeps a message as evidence, and the reason in it.
fn keep(message: &str) {
    let text = message.trim_end();
    if let Some(plain) = in_plain_words(text) {
        REASON.with_borrow_mut(|reason| {
            reason.get_or_insert(plain);
        });
    }
    if !text.is_empty() {
        // If stderr is gone, there is no stream for a complaint.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

thread_local! {
    /// The first reason that MNN logged since the reason was last taken. The target and its reference have a thread each.
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Takes the reason that MNN named on this thread, in plain words.
pub(super) fn take_reason() -> Option<String> {
    REASON.with_borrow_mut(Option::take)
}

/// The plain words for a line of MNN about an operator that it cannot run.
fn in_plain_words(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("Compute Shape Error for ") {
        return Some(format!("MNN cannot compute the shape of `{name}`"));
    }
    if let Some(rest) = line.strip_prefix("Resize error for type = ") {
        let (op_type, name) = rest.split_once(", name = ")?;
        return Some(format!("MNN cannot prepare `{}` ({op_type})", name.trim()));
    }
    let op_type = line.strip_prefix("Don't support type [")?.strip_suffix(']')?;
    Some(format!("MNN has no {op_type} for this backend"))
}

struct ToStderr;

impl Subscriber for ToStderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "mnn_ffi_emit"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        keep(&message.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, _: &Field, value: &str) {
        self.0.push_str(value);
    }
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{value:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mnn_cannot_do_is_said_in_plain_words() {
        let said = |line| in_plain_words(line).unwrap();
        assert_eq!(said("Compute Shape Error for pool"), "MNN cannot compute the shape of `pool`");
        assert_eq!(
            said("Resize error for type = Convolution, name = c1 "),
            "MNN cannot prepare `c1` (Convolution)"
        );
        assert_eq!(said("Don't support type [Svd]"), "MNN has no Svd for this backend");
        assert_eq!(in_plain_words("The device supports: fp16:0"), None);
    }
}
