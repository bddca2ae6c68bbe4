//! The worker that goes wrong: offby's own worker, with a saboteur on its pipes. The saboteur counts messages,
//! and does the planted deed at the planned moment.

use crate::plan::{KINDS, Kind, STAGES, Stage};
use rustix::process::{Signal, getpgid, getpid, getsid, kill_process, setsid};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A process that is left behind exits by itself after this time.
const LINGER: Duration = Duration::from_secs(120);

/// The planted failure, as given on the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deed {
    pub(crate) kind: Kind,
    pub(crate) stage: Stage,
    /// How many operators are announced before it, if the deed happens in an operator.
    pub(crate) ops: usize,
}

impl Deed {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let kind = KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, name)| name);
        let stage = STAGES.iter().find(|(at, _)| *at == self.stage).map_or("", |(_, name)| name);
        ["worker", kind, stage, &self.ops.to_string()].map(str::to_owned).to_vec()
    }

    fn read(arguments: &[String]) -> Option<Self> {
        let [kind, stage, ops] = arguments else { return None };
        let (kind, _) = KINDS.iter().find(|(_, name)| name == kind)?;
        let (stage, _) = STAGES.iter().find(|(_, name)| name == stage)?;
        Some(Deed { kind: *kind, stage: *stage, ops: ops.parse().ok()? })
    }
}

/// The pipe to the parent, and the state that both threads share.
struct Pipes {
    deed: Deed,
    out: Mutex<Option<File>>,
    is_deaf: AtomicBool,
}

/// Serves like `offby worker`, up to the planned moment.
pub(crate) fn serve(arguments: &[String]) -> io::Result<()> {
    let deed = Deed::read(arguments).ok_or(io::ErrorKind::InvalidInput)?;
    let asks = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let out = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
    let (own_asks, to_own) = io::pipe()?;
    let (from_own, own_replies) = io::pipe()?;
    rustix::stdio::dup2_stdin(&own_asks)?;
    rustix::stdio::dup2_stdout(&own_replies)?;
    drop((own_asks, own_replies));
    let is_deaf = AtomicBool::new(false);
    let pipes = Arc::new(Pipes { deed, out: Mutex::new(Some(out)), is_deaf });
    let listening = Arc::clone(&pipes);
    thread::spawn(move || listening.pass_asks(asks, to_own));
    thread::spawn(move || pipes.pass_replies(from_own));
    offby::worker::serve()
}

impl Pipes {
    fn pass_asks(&self, mut asks: File, mut to_own: impl Write) {
        let mut given = 0;
        while let Some(mut frame) = Frame::begin(&mut asks) {
            if self.is_deaf.load(Ordering::SeqCst) {
                sleep();
            }
            if !frame.read_head(&mut asks) {
                break;
            }
            if frame.name("ask") == "keep" {
                given += 1;
                if given == 1 && self.deed.stage == Stage::Contents {
                    self.act();
                }
            }
            if !frame.read_body(&mut asks) || to_own.write_all(&frame.bytes).is_err() {
                break;
            }
        }
        if self.deed.stage == Stage::Parting {
            self.act();
        }
    }

    fn pass_replies(&self, mut from_own: impl Read) {
        let mut ops = 0;
        let is_operator = [Stage::Op, Stage::Later, Stage::Trial].contains(&self.deed.stage);
        while let Some(mut frame) = Frame::begin(&mut from_own) {
            if !frame.read_head(&mut from_own) || !frame.read_body(&mut from_own) {
                break;
            }
            let name = frame.name("reply");
            ops += usize::from(name == "op");
            let (before, after) = match name.as_str() {
                "hello" => (Some(Stage::Greeting), Some(Stage::Greeted)),
                "opened" => (Some(Stage::Opening), Some(Stage::Opened)),
                "op" if ops == self.deed.ops && is_operator => (None, Some(self.deed.stage)),
                "ran" | "walked" => (Some(Stage::Answering), Some(Stage::Answered)),
                _ => (None, None),
            };
            let due = |stage: Option<Stage>| stage == Some(self.deed.stage);
            if due(before) {
                self.begin_answer(&frame);
                self.act();
            }
            if due(after) && self.deed.kind == Kind::Deaf {
                // Set before the parent can answer.
                self.is_deaf.store(true, Ordering::SeqCst);
            }
            let rest = if self.has_begun(&frame) { frame.bytes.len() / 2 } else { 0 };
            self.send(&frame.bytes[rest..]);
            if due(after) {
                self.act();
            }
        }
        *self.out.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the first half of a frame is sent before the deed.
    fn has_begun(&self, frame: &Frame) -> bool {
        let is_answer = ["ran", "walked"].contains(&frame.name("reply").as_str());
        self.deed.stage == Stage::Answering && is_answer && self.deed.kind != Kind::Huge
    }

    /// Sends the first half of an answer; for garbage, a whole meaningless frame.
    fn begin_answer(&self, frame: &Frame) {
        if !self.has_begun(frame) {
            return;
        }
        match self.deed.kind {
            Kind::Garbage => {
                let mut spoiled = frame.bytes.clone();
                spoiled[20..40].fill(0xff);
                self.send(&spoiled);
            }
            _ => self.send(&frame.bytes[..frame.bytes.len() / 2]),
        }
    }

    fn send(&self, bytes: &[u8]) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(out) = out.as_mut() {
            // If the parent is gone, stdin shows that.
            let _ = out.write_all(bytes);
        }
    }

    /// Does the planted deed. Returns only if the deed is harmless.
    fn act(&self) {
        // Leaves a file, as kernel compilers do. Only offby's own worker has a folder that is deleted with it.
        if std::env::var_os("OFFBY_WORKER_FOLDER").is_some() {
            let _ = tempfile::NamedTempFile::new().map(tempfile::NamedTempFile::keep);
        }
        match self.deed.kind {
            Kind::Exit => exit(3),
            Kind::Abort => {
                say(b"geometry.cpp:120: stride(): Assertion `stride > 0' failed.\n");
                std::process::abort();
            }
            Kind::Segv => die_by(Signal::SEGV),
            Kind::Bus => die_by(Signal::BUS),
            Kind::Fpe => die_by(Signal::FPE),
            Kind::Ill => die_by(Signal::ILL),
            Kind::Kill => die_by(Signal::KILL),
            Kind::Stopped => die_by(Signal::STOP),
            Kind::Hang => sleep(),
            Kind::Busy => loop {
                std::hint::spin_loop();
            },
            Kind::Deaf => {
                self.is_deaf.store(true, Ordering::SeqCst);
                if [Stage::Greeting, Stage::Contents].contains(&self.deed.stage) {
                    sleep();
                }
            }
            Kind::Memory => use_memory(),
            Kind::Chatter => chatter(),
            Kind::Flood => say(&vec![b'.'; 8 << 20]),
            Kind::Garbage | Kind::Huge | Kind::Half | Kind::EarlyEof => self.break_stream(),
            Kind::Held => {
                self.leave_behind("stay");
                exit(4)
            }
            Kind::Escaped => {
                self.leave_behind("escape");
                exit(4)
            }
            Kind::Stuck => {
                self.leave_behind("escape");
                sleep()
            }
        }
    }

    fn break_stream(&self) {
        let is_answering = self.deed.stage == Stage::Answering;
        match self.deed.kind {
            Kind::Garbage if !is_answering => self.send(b"Vulkan: device created\n"),
            Kind::Huge => self.send(&[&b"OFBY"[..], &[0xff; 12]].concat()),
            Kind::Half => {
                if !is_answering {
                    self.send(b"OFBY\x40\0\0\0\0\0\0\0\0\0\0\0{\"reply\":");
                }
                exit(0);
            }
            Kind::EarlyEof => *self.out.lock().unwrap_or_else(PoisonError::into_inner) = None,
            _ => {}
        }
        sleep();
    }

    /// Starts a process that holds all pipes and ignores all signals it can.
    #[expect(clippy::zombie_processes, reason = "it outlives this one on purpose")]
    fn leave_behind(&self, how: &str) {
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let stdout = out.as_ref().and_then(|out| out.try_clone().ok());
        let program = std::env::current_exe().expect("this program has a file");
        let mut command = Command::new(program);
        command.args(["linger", how]).stdin(Stdio::null());
        command.stdout(stdout.map_or_else(Stdio::null, Stdio::from));
        let child = command.spawn().expect("this program starts again");
        let left = rustix::process::Pid::from_child(&child);
        let escaped = || getsid(Some(left)).ok() != getsid(None).ok();
        let stays = || getpgid(Some(left)).ok() == getpgid(None).ok();
        while !(if how == "escape" { escaped() } else { stays() }) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Runs the process that a dying worker leaves behind.
pub(crate) fn linger(how: &str) {
    if how == "escape" {
        setsid().expect("whoever leads no group may leave it");
    }
    // Ignores SIGTERM, SIGINT and SIGHUP; the process may be killed before this line.
    let _ = ctrlc::set_handler(|| ());
    thread::sleep(LINGER);
}

fn sleep() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// The first SIGSEGV or SIGBUS only removes Rust's own handler.
fn die_by(signal: Signal) -> ! {
    loop {
        let _ = kill_process(getpid(), signal);
        thread::sleep(Duration::from_millis(1));
    }
}

fn use_memory() -> ! {
    let mut used = Vec::new();
    // A supervisor that does not stop the worker at 2 GiB does not stop it at all.
    for _ in 0..256 {
        used.push(std::hint::black_box(vec![1u8; 8 << 20]));
    }
    sleep()
}

/// All that a driver may print; stdout was redirected to stderr long before.
fn chatter() {
    for number in 0..400 {
        let line = format!("OFBY driver: pass {number} \u{1b}[31mwarning\u{1b}[0m\n");
        say(line.as_bytes());
        let _ = io::stdout().write_all(line.as_bytes());
    }
    let _ = io::stdout().write_all(&[0, 0xff, b'O', b'F', b'B', b'Y', 0xff, b'\n']);
    let _ = io::stdout().flush();
}

fn say(words: &[u8]) {
    // The worker continues even if the parent no longer reads.
    let _ = io::stderr().write_all(words);
}

/// A frame in transit, byte for byte.
struct Frame {
    bytes: Vec<u8>,
    head: usize,
    body: usize,
}

impl Frame {
    /// Reads the frame's start, which contains the length of the rest.
    fn begin(input: &mut impl Read) -> Option<Self> {
        let mut start = [0; 16];
        input.read_exact(&mut start).ok()?;
        let head = u32::from_le_bytes(start[4..8].try_into().ok()?) as usize;
        let body = u64::from_le_bytes(start[8..].try_into().ok()?) as usize;
        Some(Frame { bytes: start.to_vec(), head, body })
    }

    fn read_head(&mut self, input: &mut impl Read) -> bool {
        self.read(self.head, input)
    }

    fn read_body(&mut self, input: &mut impl Read) -> bool {
        self.read(self.body, input)
    }

    fn read(&mut self, count: usize, input: &mut impl Read) -> bool {
        let at = self.bytes.len();
        self.bytes.resize(at + count, 0);
        input.read_exact(&mut self.bytes[at..]).is_ok()
    }

    /// The name of the ask or the reply.
    fn name(&self, key: &str) -> String {
        let head: Value =
            serde_json::from_slice(&self.bytes[16..16 + self.head]).unwrap_or_default();
        head[key].as_str().unwrap_or_default().to_owned()
    }
}
