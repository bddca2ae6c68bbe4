//! Sends replies to the parent.

use crate::engine::RanOn;
use crate::walk::{Fallback, Walked};
use crate::worker::wire::protocol::{Reply, pack};
use crate::worker::wire::{WAITED_FOR_REFERENCE, WAITS_FOR_REFERENCE};
use std::io::{self, Write as _};

/// Sends one reply to the parent.
pub(in crate::worker) type Send<'a> = dyn FnMut(&Reply, &[u8]) -> io::Result<()> + 'a;

/// Says on stderr whether the target waits for the reference. Replies cannot be sent while the target waits.
pub(in crate::worker) fn say_waiting(waits: bool) {
    let line = if waits { WAITS_FOR_REFERENCE } else { WAITED_FOR_REFERENCE };
    // One write, on a line of its own: engines write to stderr at the same time. If stderr is gone, the parent is, too.
    let _ = io::stderr().write_all(format!("\n{line}\n").as_bytes());
}

/// Sends the results of a walk: measurements in the head, final outputs in the body.
pub(in crate::worker) fn send_walked(
    walked: Walked,
    fallback: Option<Fallback>,
    mut ran_on: RanOn,
    send: &mut Send<'_>,
) -> io::Result<()> {
    let Walked { trace, trust, runs, candidate, clean } = walked;
    for op in &trace.measured {
        *ran_on.operators.entry(op.backend.clone()).or_default() += 1;
    }
    let (outputs, mut body) = pack(candidate.iter().map(|output| (&output.name, &output.tensor)));
    let (reference, rest) = pack(clean.iter().map(|output| (&output.name, &output.tensor)));
    body.extend(rest);
    let fallback = fallback.map(Box::new);
    send(&Reply::Walked { trace, trust, runs, ran_on, fallback, outputs, reference }, &body)
}
