//! The parent's side of a child process: start it, talk to it, and name the way it ended.

use super::descendants::Descendants;
use super::ending::Ending;
use super::memory::Watch;
use super::program::WorkerProgram;
use super::stderr_log::{Lines, StderrLog};
use crate::engine::Ended;
use crate::worker::interruption::Interrupt;
use crate::worker::wire::frame::{FrameError, read_frame, skip_preface, write_frame};
use crate::worker::wire::protocol::{Ask, PROTOCOL, Reply, VERSION};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid,
};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read as _};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a child that closed its pipe may take to exit. Also how long the last words of an ended child may take
/// to arrive.
const GRACE: Duration = Duration::from_secs(2);
/// How long a killed child may take to exit: the kernel frees gigabytes page by page.
const DYING: Duration = Duration::from_secs(10);
/// How often the waiting thread checks that the child lives and that the user still waits.
const LOOK: Duration = Duration::from_millis(20);
/// How long the last messages of a dead child may take to arrive. The pipe need not end with the child: a process
/// that the child started may hold the pipe.
const LAST_MESSAGES: Duration = Duration::from_millis(200);

/// How long a child without further work may take to exit by itself.
const PARTING: Duration = Duration::from_millis(250);

type Message = Result<(Reply, Vec<u8>), FrameError>;

/// A running worker, or the command that reaches the worker.
pub(in crate::worker) struct Worker {
    child: Child,
    descendants: Option<Descendants>,
    memory: Option<Watch>,
    /// The child's stdin, available while no thread writes to the child.
    asks: Receiver<ChildStdin>,
    replies: Receiver<Message>,
    speaking: Arc<AtomicBool>,
    stderr_log: Option<StderrLog>,
    deadline: Instant,
    interrupt: Interrupt,
    /// Whether the worker keeps a network open, and takes feeds of other shapes.
    pub(in crate::worker) stays_open: bool,
    /// Whether the child was ended. Its process number may belong to a different process by now.
    is_over: bool,
}

/// The remains of an ended worker.
pub(in crate::worker) struct Remains {
    /// The stderr lines since they were last taken.
    pub(in crate::worker) said: Vec<String>,
    /// The process number, if even SIGKILL did not end the process.
    pub(in crate::worker) stuck: Option<u32>,
}

impl Worker {
    /// Starts and greets a worker. On failure, returns the ending and the worker's remains.
    pub(in crate::worker) fn start(
        program: &WorkerProgram,
        patience: Duration,
    ) -> Result<Self, (Ending, Remains)> {
        let nothing = |ending| (ending, Remains { said: Vec::new(), stuck: None });
        let (mut child, descendants) = program.spawn().map_err(nothing)?;
        let speaking = Arc::new(AtomicBool::new(false));
        let stderr_log = child.stderr.take().map(StderrLog::of);
        let lines = stderr_log.as_ref().map(StderrLog::lines).unwrap_or_default();
        let mut worker = Worker {
            descendants,
            memory: program.memory().map(|limit| Watch::over(Pid::from_child(&child), limit)),
            asks: slot(child.stdin.take()),
            replies: read_replies(child.stdout.take(), Arc::clone(&speaking), lines),
            speaking,
            interrupt: program.interrupt().clone(),
            stderr_log,
            deadline: Instant::now() + patience,
            stays_open: false,
            is_over: false,
            child,
        };
        match worker.meet(program.environment()) {
            Ok(()) => Ok(worker),
            Err(ending) => {
                let remains = worker.finish();
                Err((ending.before_greeting(remains.said.last()), remains))
            }
        }
    }

    /// Greets the worker and makes it set the environment. The worker restarts for that, because only a new process
    /// has the environment from its beginning.
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
            ended: Ended::Absent,
            why,
            hint: "set the variables in its command: ssh board env NAME=VALUE offby worker",
        })
    }

    fn greet(&mut self) -> Result<(), Ending> {
        match self.ask(&Ask::Hello { protocol: PROTOCOL }, Vec::new())? {
            (Reply::Hello { protocol: PROTOCOL, stays_open, .. }, _) => {
                self.stays_open = stays_open;
                Ok(())
            }
            (Reply::Hello { protocol, version, .. }, _) => Err(Ending::Absent {
                ended: Ended::Absent,
                why: format!(
                    "it is {version} and speaks protocol {protocol}; this is {VERSION} and speaks {PROTOCOL}"
                ),
                hint: "install the same version of offby on both sides",
            }),
            (other, _) => Err(Ending::Garbage(format!("it answered a greeting with {other:?}"))),
        }
    }

    /// Gives the worker this much time from now on.
    pub(in crate::worker) fn allow(&mut self, patience: Duration) {
        self.deadline = Instant::now() + patience;
    }

    /// Takes the stderr lines since the last call.
    pub(in crate::worker) fn take_evidence(&self) -> Vec<String> {
        self.stderr_log.as_ref().map(StderrLog::take).unwrap_or_default()
    }

    /// Sends a message and waits for the next reply.
    pub(in crate::worker) fn ask(
        &mut self,
        ask: &Ask,
        body: Vec<u8>,
    ) -> Result<(Reply, Vec<u8>), Ending> {
        self.send(ask, body)?;
        self.receive()
    }

    /// Writes on a separate thread and does not wait for it. A child that does not read must not block the parent,
    /// and a child that complains meanwhile is heard.
    fn send(&mut self, ask: &Ask, body: Vec<u8>) -> Result<(), Ending> {
        let Some(mut pipe) = self.wait_for(&self.asks)? else { return Ok(()) };
        let ask = ask.clone();
        let (sender, asks) = channel();
        self.asks = asks;
        thread::spawn(move || {
            // `receive` finds a child that died during the write, with its status.
            let _ = write_frame(&mut pipe, &ask, &body);
            let _ = sender.send(pipe);
        });
        Ok(())
    }

    /// Waits for the next message until the deadline.
    pub(in crate::worker) fn receive(&self) -> Result<(Reply, Vec<u8>), Ending> {
        match self.wait_for(&self.replies)? {
            Some(Ok(message)) => Ok(message),
            Some(Err(broken)) => Err(self.name_ending(&broken)),
            None => Err(self.name_ending(&FrameError::Ended)),
        }
    }

    /// The next item from one of our threads, or `None` if the thread has ended. Fails if the child ends, the
    /// deadline passes, or the user interrupts.
    fn wait_for<T>(&self, channel: &Receiver<T>) -> Result<Option<T>, Ending> {
        let mut dead_since = None;
        loop {
            if self.interrupt.is_set() {
                // An item that has already arrived is not lost.
                return channel.try_recv().map(Some).map_err(|_| Ending::Interrupted);
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            match channel.recv_timeout(left.min(LOOK)) {
                Ok(item) => return Ok(Some(item)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(ending) = self.death() {
                let since = dead_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= LAST_MESSAGES {
                    return Err(ending);
                }
            } else if left.is_zero() {
                return Err(Ending::TimedOut);
            }
        }
    }

    /// Names the ending. The exit status is read before the protocol is blamed.
    fn name_ending(&self, broken: &FrameError) -> Ending {
        let until = Instant::now() + GRACE;
        let mut death = self.death();
        while death.is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
            death = self.death();
        }
        match (death, broken) {
            (Some(Ending::Exit(0)), FrameError::Ended) => Ending::Exit(0),
            // If a child exited with status 0 after a broken frame, only the frame can be blamed.
            (Some(ending), _) if ending != Ending::Exit(0) => ending,
            (_, FrameError::Ended) => Ending::EarlyEof,
            (_, FrameError::Half) => Ending::HalfFrame,
            (_, broken) => Ending::Garbage(broken.to_string()),
        }
    }

    /// How the child died, if it is dead.
    fn death(&self) -> Option<Ending> {
        let status = status(&self.child)?;
        let exceeded = self.memory.as_ref().and_then(Watch::exceeded);
        Some(match (exceeded, status.terminating_signal(), status.exit_status()) {
            (Some((peak, limit)), ..) => Ending::OutOfMemory { peak, limit },
            (None, Some(signal), _) => Ending::Signal(signal),
            (None, None, code) => Ending::Exit(code.unwrap_or(-1)),
        })
    }

    /// Whether the child is in the middle of a message. If so, the child is past the operator that it announced last.
    pub(in crate::worker) fn is_speaking(&self) -> bool {
        self.speaking.load(Ordering::SeqCst)
    }

    /// Lets a child that has answered everything exit by itself. Its drivers may have caches to store, and a `tee`
    /// behind the child may have text to write. A child that takes too long is killed.
    pub(in crate::worker) fn dismiss(mut self) -> Remains {
        self.asks = slot(None);
        let until = Instant::now() + PARTING;
        while status(&self.child).is_none() && Instant::now() < until && !self.interrupt.is_set() {
            thread::sleep(Duration::from_millis(1));
        }
        self.finish()
    }

    /// Ends the child in any state, and returns its remains.
    pub(in crate::worker) fn finish(mut self) -> Remains {
        let stuck = self.end();
        if let Some(stderr_log) = &self.stderr_log {
            // A process that outlives the child may hold its stderr, such as a shared connection of ssh.
            stderr_log.wait(GRACE);
        }
        Remains { said: self.take_evidence(), stuck }
    }

    /// Kills the child. If the process remains, returns its number: its driver does not return from the kernel.
    fn end(&mut self) -> Option<u32> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        self.asks = slot(None);
        drop(self.memory.take());
        // The child is not reaped before this kill. Until then, no other process or group can get its number.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.kill();
        let until = Instant::now() + DYING;
        while status(&self.child).is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        if let Some(descendants) = self.descendants.take() {
            descendants.end();
        }
        match self.child.try_wait() {
            Ok(Some(_)) => None,
            _ => Some(self.child.id()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// A channel that holds one item, or none at all.
fn slot<T>(item: Option<T>) -> Receiver<T> {
    let (sender, slot) = channel();
    // Sending cannot fail: the receiver still exists.
    item.map(|item| sender.send(item));
    slot
}

/// The status of a dead child, which is not reaped.
fn status(child: &Child) -> Option<WaitIdStatus> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(child)), look).ok().flatten()
}

/// Reads frames on a separate thread until a read fails. The child is `speaking` from the first byte of a frame to
/// the last. Text before the first frame is evidence.
fn read_replies(
    stdout: Option<ChildStdout>,
    speaking: Arc<AtomicBool>,
    evidence: Lines,
) -> Receiver<Message> {
    let (sender, replies) = channel();
    if let Some(stdout) = stdout {
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let (preface, start) = skip_preface(&mut stdout);
            let lines = preface.lines().map(str::trim_end).filter(|line| !line.is_empty());
            lines.for_each(|line| evidence.keep(format!("on stdout: {line}")));
            match start {
                Ok(start) => pass_on(&mut start.chain(&mut stdout), &sender, &speaking),
                Err(error) => drop(sender.send(Err(error))),
            }
            // A child that sends other output must not die of a closed pipe.
            let _ = io::copy(&mut stdout, &mut io::sink());
        });
    }
    replies
}

/// Reads frames until one cannot be read or no one waits for it.
fn pass_on(stdout: &mut impl BufRead, replies: &Sender<Message>, speaking: &AtomicBool) {
    loop {
        let begins = stdout.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        speaking.store(begins, Ordering::SeqCst);
        let frame = read_frame(stdout);
        let last = frame.is_err();
        let began = matches!(frame, Err(FrameError::Half | FrameError::Unknown(_)));
        speaking.store(began, Ordering::SeqCst);
        if replies.send(frame).is_err() || last {
            break;
        }
    }
}
