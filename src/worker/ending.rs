//! The ways a worker can end, and the words for them.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

/// The ways a worker can end, other than by answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The deadline passed and it was killed.
    TimedOut,
    /// It died by a signal.
    Signal(i32),
    /// It left with a status, without having answered.
    Exit(i32),
    /// It lives, but speaks another language.
    Garbage(String),
    /// There is none: it could not be started, or did not greet as it should.
    Absent {
        /// What happened instead.
        why: String,
        /// What the user can do.
        hint: &'static str,
    },
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        match (status.signal(), status.code()) {
            (Some(signal), _) => Ending::Signal(signal),
            (None, code) => Ending::Exit(code.unwrap_or(-1)),
        }
    }
}

impl Ending {
    /// The sentence for the report.
    pub(super) fn describe(&self) -> String {
        match self {
            Ending::TimedOut => {
                "the worker did not answer before the deadline and was killed".into()
            }
            Ending::Signal(signal) => format!("the worker died by {}", signal_name(*signal)),
            Ending::Exit(code) => {
                format!("the worker left with status {code}{} without an answer", meaning(*code))
            }
            Ending::Garbage(what) => format!("the worker's answer cannot be read: {what}"),
            Ending::Absent { why, .. } => format!("no worker answers: {why}"),
        }
    }

    /// What an ending means before the worker has greeted: an engine was never reached. The last words
    /// are those of a shell or of `ssh`, and tell more than the status.
    pub(super) fn before_greeting(self, last_words: Option<&String>) -> Self {
        let hint = match &self {
            Ending::TimedOut | Ending::Absent { .. } => return self,
            Ending::Exit(NO_COMMAND) => {
                "the command was not found where it runs: install offby there, or write its whole path"
            }
            Ending::Garbage(_) => {
                "only frames may come from its stdout: let no start-up file of a shell print there"
            }
            Ending::Signal(_) | Ending::Exit(_) => {
                "run the worker's command by hand: it must ask for nothing, and wait in silence"
            }
        };
        let why = match &self {
            Ending::Exit(code) => format!("its command left with status {code}"),
            Ending::Signal(signal) => format!("its command died by {}", signal_name(*signal)),
            Ending::Garbage(what) => format!("what comes from its command is no greeting: {what}"),
            other => other.describe(),
        };
        let words = last_words.map(|words| format!(": {words}")).unwrap_or_default();
        Ending::Absent { why: why + &words, hint }
    }
}

/// The status of `ssh` where it cannot connect, where the connection breaks, and where what it runs dies by
/// a signal.
const LOST: i32 = 255;
/// A shell adds the signal that ended its command to this.
const BY_SIGNAL: i32 = 128;
/// The status of a shell that does not find a command.
const NO_COMMAND: i32 = 127;

/// What those in between mean by a status.
fn meaning(code: i32) -> String {
    match code {
        LOST => " (ssh: the connection broke, or the worker died by a signal)".into(),
        129..=159 => format!(" (a shell: it died by {})", signal_name(code - BY_SIGNAL)),
        _ => String::new(),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL",
        6 => "SIGABRT (an assertion or an uncaught exception)",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL (killed from outside, often for want of memory)",
        11 => "SIGSEGV (invalid memory access)",
        15 => "SIGTERM",
        _ => return format!("signal {signal}"),
    };
    name.into()
}
