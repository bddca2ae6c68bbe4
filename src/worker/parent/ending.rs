//! The ways a worker can end, and the words for them.

use crate::engine::Ended;
use crate::worker::wire::{REFERENCE_DIED, WAITED_FOR_REFERENCE, WAITS_FOR_REFERENCE};

/// The ways a worker can end without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worker) enum Ending {
    /// The deadline passed, and the parent killed the worker.
    TimedOut,
    /// The worker used more memory than its limit and was killed. Both numbers are in bytes.
    OutOfMemory { peak: u64, limit: u64 },
    /// A signal killed the worker.
    Signal(i32),
    /// The worker exited with a status, without an answer.
    Exit(i32),
    /// The worker does not speak this protocol.
    Garbage(String),
    /// The worker stopped in the middle of a frame.
    HalfFrame,
    /// The worker closed its pipe and still runs.
    EarlyEof,
    /// The user ended the command.
    Interrupted,
    /// There is no worker: it could not be started, or did not greet as expected.
    Absent {
        /// How the worker's command ended, if the command started at all.
        ended: Ended,
        /// What happened instead.
        why: String,
        /// What the user can do.
        hint: &'static str,
    },
}

impl Ending {
    /// The name of the ending in reports.
    pub(in crate::worker) fn ended(&self) -> Ended {
        match self {
            Ending::TimedOut => Ended::Deadline,
            Ending::OutOfMemory { .. } => Ended::OutOfMemory,
            Ending::Signal(_) => Ended::Signal,
            Ending::Exit(_) => Ended::Exit,
            Ending::Garbage(_) => Ended::Garbage,
            Ending::HalfFrame => Ended::HalfFrame,
            Ending::EarlyEof => Ended::EarlyEof,
            Ending::Interrupted => Ended::Interrupted,
            Ending::Absent { ended, .. } => *ended,
        }
    }

    /// The sentence for the report.
    pub(in crate::worker) fn describe(&self) -> String {
        match self {
            Ending::TimedOut => {
                "the worker did not answer before the deadline and was killed".into()
            }
            Ending::OutOfMemory { peak, limit } => format!(
                "out of memory: the worker used {} where --memory gives it {}, and was killed",
                size(*peak),
                size(*limit)
            ),
            Ending::Signal(signal) => format!("the worker died by {}", signal_name(*signal)),
            Ending::Exit(code) => {
                format!("the worker left with status {code}{} without an answer", meaning(*code))
            }
            Ending::Garbage(what) => format!("the worker's answer cannot be read: {what}"),
            Ending::HalfFrame => "the worker's answer broke off in the middle of a frame".into(),
            Ending::EarlyEof => "the worker closed its pipe without an answer and went on".into(),
            Ending::Interrupted => "the command was interrupted".into(),
            Ending::Absent { why, .. } => format!("no worker answers: {why}"),
        }
    }

    /// The sentence, with the words of an assertion if the worker died of an assertion.
    pub(in crate::worker) fn describe_with(&self, said: &[String]) -> String {
        if !matches!(self, Ending::TimedOut) && self.is_in_reference(said) {
            return format!("{} in offby's own reference, and not in the target", self.describe());
        }
        let words = match self {
            Ending::Signal(_) | Ending::Exit(_) => assertion(said),
            _ => None,
        };
        self.describe() + &words.map(|words| format!(": {words}")).unwrap_or_default()
    }

    /// Whether the worker died in its reference, or its target waited for the reference to the end.
    pub(in crate::worker) fn is_in_reference(&self, said: &[String]) -> bool {
        match self {
            // A shell or `ssh` gives a status in place of the signal.
            Ending::Signal(_) | Ending::Exit(_) => said.iter().any(|line| line == REFERENCE_DIED),
            Ending::TimedOut => said
                .iter()
                .rfind(|line| is_of_waits(line))
                .is_some_and(|line| line == WAITS_FOR_REFERENCE),
            _ => false,
        }
    }

    /// The meaning of an ending before the worker's greeting: no engine was reached. The last words come from a shell
    /// or from `ssh`, and say more than the status.
    pub(in crate::worker) fn before_greeting(self, last_words: Option<&String>) -> Self {
        let ended = self.ended();
        let hint = match &self {
            Ending::TimedOut
            | Ending::OutOfMemory { .. }
            | Ending::Interrupted
            | Ending::Absent { .. } => return self,
            Ending::Exit(NO_COMMAND) => {
                "the command was not found on that machine: install offby there, or write its whole path"
            }
            Ending::Garbage(_) => {
                "the command must start `offby worker`: its stdout has text and no greeting"
            }
            Ending::Signal(_) | Ending::Exit(_) | Ending::HalfFrame | Ending::EarlyEof => {
                "run the worker's command by hand: it must not ask questions, and must wait without output"
            }
        };
        let why = match &self {
            Ending::Exit(code) => format!("its command left with status {code}"),
            Ending::Signal(signal) => format!("its command died by {}", signal_name(*signal)),
            Ending::Garbage(what) => format!("what comes from its command is no greeting: {what}"),
            Ending::HalfFrame => "its command broke off in the middle of its greeting".into(),
            Ending::EarlyEof => "its command closed its stdout without a greeting".into(),
            other => other.describe(),
        };
        let words = last_words.map(|words| format!(": {words}")).unwrap_or_default();
        Ending::Absent { ended, why: why + &words, hint }
    }
}

/// A worker's words without its lines about waits. These come with the time that a machine takes, and only matter if
/// the worker ends in between.
pub(in crate::worker) fn without_waits(mut said: Vec<String>) -> Vec<String> {
    said.retain(|line| !is_of_waits(line));
    said
}

fn is_of_waits(line: &str) -> bool {
    [WAITS_FOR_REFERENCE, WAITED_FOR_REFERENCE].contains(&line)
}

/// Text that programs print when a check of their own fails, in lower case: C, C++, glib, Rust.
const ASSERTIONS: &[&str] =
    &["assert", "terminate called", "what():", "panicked at", "check failed", "fatal error"];
/// The most characters of a quotation in a sentence.
const QUOTED: usize = 240;

/// The last assertion in a worker's words. Rust prints the reason on the next line.
fn assertion(said: &[String]) -> Option<String> {
    let failed = |line: &String| {
        let line = line.to_lowercase();
        ASSERTIONS.iter().any(|words| line.contains(words))
    };
    let at = said.iter().rposition(failed)?;
    let reason = said.get(at + 1).filter(|_| said[at].contains("panicked at"));
    let words = [Some(&said[at]), reason].into_iter().flatten().map(|line| line.trim());
    let words = words.collect::<Vec<_>>().join(" ");
    // The sentence continues after the quotation.
    Some(words.trim_end_matches('.').chars().take(QUOTED).collect())
}

/// A number of bytes as a readable size: `1.50 GiB`.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{:.2} {unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes} bytes"),
    }
}

/// The exit status of `ssh` if it cannot connect, if the connection breaks, or if its remote command dies by a
/// signal.
const LOST: i32 = 255;
/// A shell exits with this number plus the signal that ended its command.
const BY_SIGNAL: i32 = 128;
/// The exit status of a shell that does not find a command.
const NO_COMMAND: i32 = 127;

/// The meaning of a status from `ssh` or from a shell.
fn meaning(code: i32) -> String {
    match code {
        LOST => " (ssh: the connection broke, or the worker died by a signal)".into(),
        129..=159 => format!(" (a shell: it died by {})", signal_name(code - BY_SIGNAL)),
        _ => String::new(),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL (an instruction this processor does not have)",
        6 => "SIGABRT (an assertion or an uncaught exception)",
        7 => "SIGBUS (memory that is not there)",
        8 => "SIGFPE (a division by zero)",
        9 => "SIGKILL (killed from outside, often for want of memory)",
        11 => "SIGSEGV (invalid memory access)",
        15 => "SIGTERM",
        _ => return format!("signal {signal}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_assertion_is_quoted() {
        let quoted = |said: &[&str]| {
            let said: Vec<String> = said.iter().map(|&line| line.to_owned()).collect();
            Ending::Signal(6).describe_with(&said)
        };
        let died = "the worker died by SIGABRT (an assertion or an uncaught exception)";
        let failed = "x.cpp:7: f(): Assertion `n > 0' failed.";
        let words = failed.trim_end_matches('.');
        assert_eq!(quoted(&["loading", failed, "Aborted"]), format!("{died}: {words}"));
        assert_eq!(
            quoted(&["terminate called after throwing an instance", "  what():  no device"]),
            format!("{died}: what():  no device")
        );
        assert_eq!(
            quoted(&["thread 'main' panicked at src/x.rs:1:2:", "no device", "note: run with"]),
            format!("{died}: thread 'main' panicked at src/x.rs:1:2: no device")
        );
        assert_eq!(quoted(&["all is well"]), died);
        let own = format!("{died} in offby's own reference, and not in the target");
        assert_eq!(quoted(&["all is well", REFERENCE_DIED]), own);
        assert!(Ending::Exit(139).is_in_reference(&[REFERENCE_DIED.to_owned()]));
    }

    #[test]
    fn a_deadline_that_passes_in_the_reference_is_its_own() {
        let is_own = |said: &[&str]| {
            let said: Vec<String> = said.iter().map(|&line| line.to_owned()).collect();
            Ending::TimedOut.is_in_reference(&said)
        };
        assert!(is_own(&["loading", WAITS_FOR_REFERENCE, "a line of the engine"]));
        assert!(!is_own(&[WAITS_FOR_REFERENCE, WAITED_FOR_REFERENCE, "a line"]));
        assert!(!is_own(&["loading"]));
        let said = ["loading", WAITS_FOR_REFERENCE, WAITED_FOR_REFERENCE].map(str::to_owned);
        assert_eq!(without_waits(said.into()), ["loading"]);
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!((size(1000), size(3 << 29)), ("1000 bytes".into(), "1.50 GiB".into()));
    }
}
