//! The parent's side of a child process: start it, talk to it, and name the way it ended.

use super::frame::{FrameError, read_frame, write_frame};
use super::protocol::{Ask, PROTOCOL, Reply};
use std::io::{BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How many lines of the child's chatter are kept; the first half and the last half of them.
const EVIDENCE_LINES: usize = 200;
/// How long a child that closed its pipe may take to leave a status.
const GRACE: Duration = Duration::from_secs(2);

/// How to start a worker: this program again, or another that speaks the protocol.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl WorkerProgram {
    /// `offby worker`, for the program at `path`.
    pub fn offby(path: PathBuf) -> Self {
        WorkerProgram { program: path, arguments: vec!["worker".into()] }
    }
}

/// The ways a child can end, other than by answering.
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
    /// It could not be started.
    NotStarted(String),
}

impl Ending {
    /// The sentence for the report.
    pub(super) fn describe(&self) -> String {
        match self {
            Ending::TimedOut => {
                "the worker did not answer before the deadline and was killed".into()
            }
            Ending::Signal(signal) => format!("the worker died by {}", signal_name(*signal)),
            Ending::Exit(code) => format!("the worker left with status {code} without an answer"),
            Ending::Garbage(what) => format!("the worker's answer cannot be read: {what}"),
            Ending::NotStarted(why) => format!("the worker could not be started: {why}"),
        }
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

/// A running child.
pub(super) struct Worker {
    child: Child,
    asks: Option<ChildStdin>,
    replies: Receiver<Result<(Reply, Vec<u8>), FrameError>>,
    evidence: Arc<Mutex<Vec<String>>>,
    chatter: Option<JoinHandle<()>>,
    deadline: Instant,
}

impl Worker {
    /// Starts a child and greets it.
    pub(super) fn start(
        program: &WorkerProgram,
        environment: &[(String, String)],
        patience: Duration,
    ) -> Result<Self, Ending> {
        let mut child = Command::new(&program.program)
            .args(&program.arguments)
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| {
                Ending::NotStarted(format!("{}: {error}", program.program.display()))
            })?;
        let asks = child.stdin.take();
        let (sender, replies) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let mut stdout = BufReader::new(stdout);
                loop {
                    let frame = read_frame(&mut stdout);
                    let last = frame.is_err();
                    if sender.send(frame).is_err() || last {
                        break;
                    }
                }
            });
        }
        let evidence = Arc::new(Mutex::new(Vec::new()));
        let chatter = child.stderr.take().map(|stderr| listen(stderr, Arc::clone(&evidence)));
        let deadline = Instant::now() + patience;
        let mut worker = Worker { child, asks, replies, evidence, chatter, deadline };
        worker.greet()?;
        Ok(worker)
    }

    fn greet(&mut self) -> Result<(), Ending> {
        match self.ask(&Ask::Hello { protocol: PROTOCOL }, Vec::new())? {
            (Reply::Hello { protocol: PROTOCOL, .. }, _) => Ok(()),
            (Reply::Hello { protocol, version }, _) => Err(Ending::Garbage(format!(
                "it is offby {version} and speaks protocol {protocol}, not {PROTOCOL}"
            ))),
            (other, _) => Err(Ending::Garbage(format!("it answered a greeting with {other:?}"))),
        }
    }

    /// Gives it this much time from now on.
    pub(super) fn allow(&mut self, patience: Duration) {
        self.deadline = Instant::now() + patience;
    }

    /// What it has said since this was last asked.
    pub(super) fn take_evidence(&self) -> Vec<String> {
        std::mem::take(&mut *self.evidence.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a message and waits for the next one back.
    pub(super) fn ask(&mut self, ask: &Ask, body: Vec<u8>) -> Result<(Reply, Vec<u8>), Ending> {
        self.send(ask, body);
        self.receive()
    }

    /// Writing happens on a thread of its own: a child that does not read must not hold us up.
    fn send(&mut self, ask: &Ask, body: Vec<u8>) {
        let Some(mut pipe) = self.asks.take() else { return };
        let ask = ask.clone();
        let (sender, written) = channel();
        thread::spawn(move || {
            // A child that died while we wrote is found dead by `receive`, with its status.
            let _ = write_frame(&mut pipe, &ask, &body);
            let _ = sender.send(pipe);
        });
        let patience = self.deadline.saturating_duration_since(Instant::now());
        self.asks = written.recv_timeout(patience).ok();
    }

    /// Waits for the next message until the deadline.
    pub(super) fn receive(&mut self) -> Result<(Reply, Vec<u8>), Ending> {
        let patience = self.deadline.saturating_duration_since(Instant::now());
        match self.replies.recv_timeout(patience) {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(broken)) => Err(self.name_ending(&broken)),
            Err(RecvTimeoutError::Timeout) => Err(Ending::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(self.name_ending(&FrameError::Ended)),
        }
    }

    /// The exit status is read before the protocol is blamed.
    fn name_ending(&mut self, broken: &FrameError) -> Ending {
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(Some(status)) => return from_status(status),
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Err(_) => break,
            }
        }
        Ending::Garbage(broken.to_string())
    }

    /// Ends the child, whatever it does, and gives what it said on the way.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.end();
        if let Some(chatter) = self.chatter.take() {
            let _ = chatter.join();
        }
        self.take_evidence()
    }

    fn end(&mut self) {
        drop(self.asks.take());
        let _ =
            rustix::process::kill_process_group(group(&self.child), rustix::process::Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

fn group(child: &Child) -> rustix::process::Pid {
    rustix::process::Pid::from_child(child)
}

fn from_status(status: ExitStatus) -> Ending {
    match (status.signal(), status.code()) {
        (Some(signal), _) => Ending::Signal(signal),
        (None, code) => Ending::Exit(code.unwrap_or(-1)),
    }
}

/// Collects the child's lines. Bytes that are no UTF-8 are kept as replacement characters.
fn listen(
    mut stderr: impl Read + Send + 'static,
    evidence: Arc<Mutex<Vec<String>>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut pending = Vec::new();
        let mut chunk = [0u8; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut chunk) {
            pending.extend_from_slice(&chunk[..count]);
            while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                keep(&evidence, &line);
            }
            // A child that never ends its line must not fill our memory.
            if pending.len() > 64 << 10 {
                keep(&evidence, &std::mem::take(&mut pending));
            }
        }
        keep(&evidence, &pending);
    })
}

fn keep(evidence: &Mutex<Vec<String>>, line: &[u8]) {
    let text = String::from_utf8_lossy(line).trim_end().to_owned();
    if text.is_empty() {
        return;
    }
    let mut lines = evidence.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.len() == EVIDENCE_LINES {
        lines.remove(EVIDENCE_LINES / 2);
    }
    lines.push(text);
}
