//! The parent's side of a child process: start it, talk to it, and name the way it ended.

use super::chatter::Chatter;
use super::ending::Ending;
use super::frame::{FrameError, read_frame, write_frame};
use super::interruption::interrupted;
use super::kin::Kin;
use super::memory::Watch;
use super::program::WorkerProgram;
use super::protocol::{Ask, PROTOCOL, Reply, VERSION};
use crate::engine::Ended;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid,
};
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a child that closed its pipe may take to leave a status, one that was killed to end, and its
/// last words to come.
const GRACE: Duration = Duration::from_secs(2);
/// How long one that was killed may take to be gone: the kernel takes back gigabytes page by page.
const DYING: Duration = Duration::from_secs(10);
/// How often the one who waits looks whether the child lives, and whether the user still waits.
const LOOK: Duration = Duration::from_millis(20);
/// How long messages of a child that is dead may be on their way. Its pipe need not end with it: what it
/// started may hold it.
const LAST_MESSAGES: Duration = Duration::from_millis(200);

/// How long a child that is not needed any more may take to leave by itself.
const PARTING: Duration = Duration::from_millis(250);

type Message = Result<(Reply, Vec<u8>), FrameError>;

/// A running worker, or the command that reaches it.
pub(super) struct Worker {
    child: Child,
    kin: Option<Kin>,
    memory: Option<Watch>,
    /// Its stdin, whenever nothing is being written there.
    asks: Receiver<ChildStdin>,
    replies: Receiver<Message>,
    speaking: Arc<AtomicBool>,
    chatter: Option<Chatter>,
    deadline: Instant,
    /// Whether it was ended: its number may be another's by now.
    is_over: bool,
}

/// What is left of a worker when it is gone.
pub(super) struct Remains {
    /// What it said since that was last asked.
    pub(super) said: Vec<String>,
    /// Its process, where even being killed did not end it.
    pub(super) stuck: Option<u32>,
}

impl Worker {
    /// Starts a worker and greets it; what remained of it where that fails.
    pub(super) fn start(
        program: &WorkerProgram,
        patience: Duration,
    ) -> Result<Self, (Ending, Remains)> {
        let nothing = |ending| (ending, Remains { said: Vec::new(), stuck: None });
        let (mut child, kin) = program.spawn().map_err(nothing)?;
        let speaking = Arc::new(AtomicBool::new(false));
        let mut worker = Worker {
            kin,
            memory: program.memory().map(|limit| Watch::over(Pid::from_child(&child), limit)),
            asks: slot(child.stdin.take()),
            replies: read_replies(child.stdout.take(), Arc::clone(&speaking)),
            speaking,
            chatter: child.stderr.take().map(Chatter::of),
            deadline: Instant::now() + patience,
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
            ended: Ended::Absent,
            why,
            hint: "set the variables in its command: ssh board env NAME=VALUE offby worker",
        })
    }

    fn greet(&mut self) -> Result<(), Ending> {
        match self.ask(&Ask::Hello { protocol: PROTOCOL }, Vec::new())? {
            (Reply::Hello { protocol: PROTOCOL, .. }, _) => Ok(()),
            (Reply::Hello { protocol, version }, _) => Err(Ending::Absent {
                ended: Ended::Absent,
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
        self.chatter.as_ref().map(Chatter::take).unwrap_or_default()
    }

    /// Sends a message and waits for the next one back.
    pub(super) fn ask(&mut self, ask: &Ask, body: Vec<u8>) -> Result<(Reply, Vec<u8>), Ending> {
        self.send(ask, body)?;
        self.receive()
    }

    /// Writing happens on a thread of its own, and is not waited for: a child that does not read must not hold
    /// us up, and one that complains meanwhile is heard.
    fn send(&mut self, ask: &Ask, body: Vec<u8>) -> Result<(), Ending> {
        let Some(mut pipe) = self.wait_for(&self.asks)? else { return Ok(()) };
        let ask = ask.clone();
        let (sender, asks) = channel();
        self.asks = asks;
        thread::spawn(move || {
            // A child that died while we wrote is found dead by `receive`, with its status.
            let _ = write_frame(&mut pipe, &ask, &body);
            let _ = sender.send(pipe);
        });
        Ok(())
    }

    /// Waits for the next message until the deadline.
    pub(super) fn receive(&self) -> Result<(Reply, Vec<u8>), Ending> {
        match self.wait_for(&self.replies)? {
            Some(Ok(message)) => Ok(message),
            Some(Err(broken)) => Err(self.name_ending(&broken)),
            None => Err(self.name_ending(&FrameError::Ended)),
        }
    }

    /// What a thread of ours sends, or `None` where that has ended. The child may end meanwhile, the deadline
    /// pass, or the user lose patience.
    fn wait_for<T>(&self, channel: &Receiver<T>) -> Result<Option<T>, Ending> {
        let mut dead_since = None;
        loop {
            if interrupted() {
                // What has come already is not lost.
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

    /// The exit status is read before the protocol is blamed.
    fn name_ending(&self, broken: &FrameError) -> Ending {
        let until = Instant::now() + GRACE;
        let mut death = self.death();
        while death.is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
            death = self.death();
        }
        match (death, broken) {
            (Some(Ending::Exit(0)), FrameError::Ended) => Ending::Exit(0),
            // One that said something else and left in peace has only that to blame.
            (Some(ending), _) if ending != Ending::Exit(0) => ending,
            (_, FrameError::Ended) => Ending::EarlyEof,
            (_, FrameError::Half) => Ending::HalfFrame,
            (_, broken) => Ending::Garbage(broken.to_string()),
        }
    }

    /// How the child died, if it did.
    fn death(&self) -> Option<Ending> {
        let status = status(&self.child)?;
        let exceeded = self.memory.as_ref().and_then(Watch::exceeded);
        Some(match (exceeded, status.terminating_signal(), status.exit_status()) {
            (Some((peak, limit)), ..) => Ending::OutOfMemory { peak, limit },
            (None, Some(signal), _) => Ending::Signal(signal),
            (None, None, code) => Ending::Exit(code.unwrap_or(-1)),
        })
    }

    /// Whether it is in the middle of a message: then it has left the operator it announced last.
    pub(super) fn is_speaking(&self) -> bool {
        self.speaking.load(Ordering::SeqCst)
    }

    /// Lets a child go that has answered everything: its drivers may have caches to store, a `tee` behind it words
    /// to write. It is ended all the same when that takes long.
    pub(super) fn dismiss(mut self) -> Remains {
        self.asks = slot(None);
        let until = Instant::now() + PARTING;
        while status(&self.child).is_none() && Instant::now() < until && !interrupted() {
            thread::sleep(Duration::from_millis(1));
        }
        self.finish()
    }

    /// Ends the child, whatever it does, and gives what it said on the way.
    pub(super) fn finish(mut self) -> Remains {
        let stuck = self.end();
        if let Some(chatter) = &self.chatter {
            // Its stderr may have been inherited by what outlives it: a shared connection of ssh's.
            chatter.wait(GRACE);
        }
        Remains { said: self.take_evidence(), stuck }
    }

    /// Gives the process that killing did not end: one whose driver does not come back from the kernel.
    fn end(&mut self) -> Option<u32> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        self.asks = slot(None);
        drop(self.memory.take());
        // It is not reaped before: until then its number, and that of the group, is nobody else's.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.kill();
        let until = Instant::now() + DYING;
        while status(&self.child).is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        if let Some(kin) = self.kin.take() {
            kin.end();
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

/// A channel in which something lies, or nothing ever will.
fn slot<T>(item: Option<T>) -> Receiver<T> {
    let (sender, slot) = channel();
    // Its other end is at hand.
    item.map(|item| sender.send(item));
    slot
}

/// The status of a child that is dead; it is not reaped.
fn status(child: &Child) -> Option<WaitIdStatus> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(child)), look).ok().flatten()
}

/// Reads frames on a thread of its own, until one cannot be read. Between the first byte of a frame and its last
/// the child is `speaking`.
fn read_replies(stdout: Option<ChildStdout>, speaking: Arc<AtomicBool>) -> Receiver<Message> {
    let (sender, replies) = channel();
    if let Some(stdout) = stdout {
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            loop {
                let begins = stdout.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
                speaking.store(begins, Ordering::SeqCst);
                let frame = read_frame(&mut stdout);
                let last = frame.is_err();
                let began = matches!(frame, Err(FrameError::Half | FrameError::Unknown(_)));
                speaking.store(began, Ordering::SeqCst);
                if sender.send(frame).is_err() || last {
                    break;
                }
            }
            // Whoever says something else is not to die of being heard no longer.
            let _ = io::copy(&mut stdout, &mut io::sink());
        });
    }
    replies
}
