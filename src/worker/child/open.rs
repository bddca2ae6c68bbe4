//! A network that stays open in the child. One ask opens and runs the network. The next asks run it again, on the
//! same feeds or on other feeds.

use super::reply::Send;
use crate::engine::{Output, RanOn, Runs, same_bytes};
use crate::graph::ValueName;
use crate::worker::wire::protocol::{Reply, pack};
use std::io;
use std::time::Instant;

/// An open network on a backend, with its feeds.
pub(in crate::worker) trait OpenNetwork {
    /// Replaces the feeds with other feeds of the same shapes.
    fn feed(&mut self, feeds: Vec<Output>) -> Result<(), String>;

    /// Writes the feeds, runs the network once, and reads the outputs.
    fn run(&mut self) -> Result<Vec<Output>, String>;

    /// The engine and the device of the run. Asked after a run, to keep the call out of the run's time.
    fn ran_on(&mut self) -> Result<RanOn, String>;
}

/// The network of the last ask, while that network is open.
pub(in crate::worker) type KeptNetwork = Option<Box<dyn OpenNetwork>>;

/// Why a network did not open or did not finish.
pub(in crate::worker) enum Stop {
    /// The engine's own words.
    Refused(String),
    /// This machine lacks the engine.
    Unavailable { reason: String, hint: String },
    /// The network would run on a different backend, and `Opened` has reported that.
    #[cfg(feature = "mnn")]
    FellBack,
    /// The parent is gone.
    Pipe(io::Error),
}

impl Stop {
    /// Reports the reason to the parent.
    pub(in crate::worker) fn answer(self, send: &mut Send<'_>) -> io::Result<()> {
        match self {
            Stop::Refused(reason) => send(&Reply::Rejected { reason }, &[]),
            Stop::Unavailable { reason, hint } => send(&Reply::Unavailable { reason, hint }, &[]),
            #[cfg(feature = "mnn")]
            Stop::FellBack => Ok(()),
            Stop::Pipe(error) => Err(error),
        }
    }
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Stop::Refused(reason)
    }
}

/// Opens a network, runs it, answers, and keeps the network open.
pub(in crate::worker) fn open_and_run(
    kept: &mut KeptNetwork,
    repeats: usize,
    send: &mut Send<'_>,
    open: impl FnOnce(&mut Send<'_>) -> Result<Box<dyn OpenNetwork>, Stop>,
) -> io::Result<()> {
    let started = Instant::now();
    match open(send) {
        Ok(network) => {
            let open_seconds = started.elapsed().as_secs_f64();
            run(kept.insert(network).as_mut(), repeats, open_seconds, send)
        }
        Err(stop) => stop.answer(send),
    }
}

/// Runs the open network again, and answers.
pub(in crate::worker) fn run_again(
    kept: &mut KeptNetwork,
    repeats: usize,
    send: &mut Send<'_>,
) -> io::Result<()> {
    match kept {
        Some(network) => run(network.as_mut(), repeats, 0.0, send),
        None => Stop::Refused("no network is open".into()).answer(send),
    }
}

/// Runs the open network on other feeds, and answers.
pub(in crate::worker) fn run_next(
    kept: &mut KeptNetwork,
    feeds: Vec<Output>,
    repeats: usize,
    send: &mut Send<'_>,
) -> io::Result<()> {
    match kept.as_mut().map(|network| network.feed(feeds)) {
        Some(Err(reason)) => Stop::Refused(reason).answer(send),
        _ => run_again(kept, repeats, send),
    }
}

/// Replaces the feeds, if every input is fed again.
pub(in crate::worker) fn replace_named(
    feeds: &mut Vec<Output>,
    next: Vec<Output>,
) -> Result<(), String> {
    let is_fed = |name: &ValueName| next.iter().any(|next| next.name == *name);
    match feeds.iter().find(|before| !is_fed(&before.name)) {
        Some(before) => Err(format!("input `{}` is not fed", before.name)),
        None => {
            *feeds = next;
            Ok(())
        }
    }
}

/// Replaces the feeds, if the new feeds have the same shapes.
#[cfg(feature = "mnn")]
pub(in crate::worker) fn replace(feeds: &mut Vec<Output>, next: Vec<Output>) -> Result<(), String> {
    for before in feeds.iter() {
        let shape =
            next.iter().find(|next| next.name == before.name).map(|next| next.tensor.shape());
        if shape != Some(before.tensor.shape()) {
            return Err(format!(
                "input `{}` is not fed, or is fed with a different shape",
                before.name
            ));
        }
    }
    *feeds = next;
    Ok(())
}

fn run(
    network: &mut dyn OpenNetwork,
    repeats: usize,
    open_seconds: f64,
    send: &mut Send<'_>,
) -> io::Result<()> {
    let ran = run_timed(network, repeats.max(1), open_seconds);
    match ran.and_then(|ran| Ok((ran, network.ran_on()?))) {
        Ok(((outputs, runs), ran_on)) => {
            let (outputs, body) = pack(outputs.iter().map(|output| (&output.name, &output.tensor)));
            send(&Reply::Ran { outputs, runs, ran_on }, &body)
        }
        Err(reason) => Stop::Refused(reason).answer(send),
    }
}

/// The outputs of the first run, and whether the other runs returned the same bytes.
fn run_timed(
    network: &mut dyn OpenNetwork,
    repeats: usize,
    open_seconds: f64,
) -> Result<(Vec<Output>, Runs), String> {
    let mut first: Option<Vec<Output>> = None;
    let (mut identical, mut seconds) = (true, Vec::new());
    for _ in 0..repeats {
        let started = Instant::now();
        let outputs = network.run()?;
        seconds.push(started.elapsed().as_secs_f64());
        match &first {
            Some(first) => identical &= same_bytes(first, &outputs),
            None => first = Some(outputs),
        }
    }
    Ok((first.unwrap_or_default(), Runs { repeats, identical, open_seconds, seconds }))
}
