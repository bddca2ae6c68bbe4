//! MNN's own words. mnn-sys sends them to `tracing`; from here they go to stderr, where the
//! parent takes them for evidence.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::Once;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Metadata, Subscriber, dispatcher};

/// Starts listening; once for the process.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A second subscriber would mean that somebody else listens already.
        let _ = dispatcher::set_global_default(Dispatch::new(ToStderr));
    });
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
        let text = message.0.trim_end();
        if !text.is_empty() {
            // Nothing is left to complain to when stderr is gone.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
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
