//! The parent's side of a child process: start it, talk to it, and name the way it ended.

use super::ending::Ending;
use super::frame::{FrameError, read_frame, write_frame};
use super::program::WorkerProgram;
use super::protocol::{Ask, PROTOCOL, Reply, VERSION};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How many lines of the child's chatter are kept; the first half and the last half of them.
const EVIDENCE_LINES: usize = 200;
/// How long a child that closed its pipe may take to leave a status, and its last words to come.
const GRACE: Duration = Duration::from_secs(2);

/// A running worker, or the command that reaches it.
pub(super) struct Worker {
    child: Child,
    asks: Option<ChildStdin>,
    replies: Receiver<Result<(Reply, Vec<u8>), FrameError>>,
    evidence: Arc<Mutex<Vec<String>>>,
    chatter: Option<JoinHandle<()>>,
    deadline: Instant,
}

impl Worker {
    /// Starts a worker and greets it; what it said is evidence where that fails.
    pub(super) fn start(
        program: &WorkerProgram,
        patience: Duration,
    ) -> Result<Self, (Ending, Vec<String>)> {
        let mut child = program.spawn().map_err(|ending| (ending, Vec::new()))?;
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
                // Whoever says something else is not to die of being heard no longer.
                let _ = io::copy(&mut stdout, &mut io::sink());
            });
        }
        let evidence = Arc::new(Mutex::new(Vec::new()));
        let chatter = child.stderr.take().map(|stderr| listen(stderr, Arc::clone(&evidence)));
        let deadline = Instant::now() + patience;
        let mut worker = Worker { child, asks, replies, evidence, chatter, deadline };
        match worker.meet(program.environment()) {
            Ok(()) => Ok(worker),
            Err(ending) => {
                let said = worker.finish();
                Err((ending.before_greeting(said.last()), said))
            }
        }
    }

    /// Greets, and has the environment set: only a new process has it from its beginning.
    fn meet(&mut self, environment: &BTreeMap<String, String>) -> Result<(), Ending> {
        self.greet()?;
        if environment.is_empty() {
            return Ok(());
        }
        let why =
            match self.ask(&Ask::Environment { variables: environment.clone() }, Vec::new())? {
                (Reply::Restarted, _) => return self.greet(),
                (Reply::Rejected { reason }, _) => format!("it takes no environment: {reason}"),
                (other, _) => format!("it answered an environment with {other:?}"),
            };
        Err(Ending::Absent {
            why,
            hint: "set the variables in its command: ssh board env NAME=VALUE offby worker",
        })
    }

    fn greet(&mut self) -> Result<(), Ending> {
        match self.ask(&Ask::Hello { protocol: PROTOCOL }, Vec::new())? {
            (Reply::Hello { protocol: PROTOCOL, .. }, _) => Ok(()),
            (Reply::Hello { protocol, version }, _) => Err(Ending::Absent {
                why: format!(
                    "it is {version} and speaks protocol {protocol}; this is {VERSION} and speaks {PROTOCOL}"
                ),
                hint: "install the same version of offby on both sides",
            }),
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
                // One that printed something else and left in peace has only that to blame.
                Ok(Some(status))
                    if status.success() && matches!(broken, FrameError::Garbage(_)) =>
                {
                    break;
                }
                Ok(Some(status)) => return status.into(),
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Err(_) => break,
            }
        }
        Ending::Garbage(broken.to_string())
    }

    /// Ends the child, whatever it does, and gives what it said on the way.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.end();
        let until = Instant::now() + GRACE;
        // Its stderr may have been inherited by what outlives it: a shared connection of ssh's.
        while self.chatter.as_ref().is_some_and(|chatter| !chatter.is_finished())
            && Instant::now() < until
        {
            thread::sleep(Duration::from_millis(1));
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
