//! Both ends of the pipe as a stranger sees them, for fuzzing only. No network runs.

use super::contents::Store;
use super::frame::read_frame;
use super::protocol::{Ask, Reply, unpack};

/// Reads a stream of frames as the parent does, and as a worker does.
pub fn hear(stream: &[u8]) {
    hear_replies(stream);
    hear_asks(stream);
}

/// Reads a worker's replies and unpacks their outputs.
fn hear_replies(mut stream: &[u8]) {
    while let Ok((reply, body)) = read_frame::<Reply>(&mut stream) {
        let heads = match reply {
            Reply::Ran { outputs, .. } => outputs,
            Reply::Walked { outputs, reference, .. } => {
                outputs.into_iter().chain(reference).collect()
            }
            _ => continue,
        };
        let _ = unpack(heads, &body);
    }
}

/// Reads a parent's asks, keeps their contents, and makes tensors from them.
fn hear_asks(mut stream: &[u8]) {
    let mut store = Store::default();
    while let Ok((ask, body)) = read_frame::<Ask>(&mut stream) {
        let _ = store.missing(&ask);
        let _ = store.tensors(ask.feeds());
        if let Some(plan) = ask.plan() {
            let _ = store.plan(plan);
        }
        if let Ask::Keep { contents } = ask {
            let _ = store.keep(contents, body);
        }
    }
}
