//! The worker protocol as its document describes it, implemented a second time: a worker is not tested by its
//! own code.
#![allow(dead_code, reason = "every test file uses a part of it")]

use offby::tensor::Digest;
use serde_json::{Value, json};
use std::io::{self, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The protocol version under test.
pub(crate) const PROTOCOL: u32 = 4;

/// A head and a body.
pub(crate) type Frame = (Value, Vec<u8>);

/// How long a worker may take to answer: Python must load its libraries.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bytes of a frame.
pub(crate) fn frame(head: &[u8], body: &[u8]) -> Vec<u8> {
    let lengths = ((head.len() as u32).to_le_bytes(), (body.len() as u64).to_le_bytes());
    [b"OFBY", &lengths.0[..], &lengths.1[..], head, body].concat()
}

/// The next frame; `None` at the end of the input.
pub(crate) fn read(input: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut start = [0; 16];
    match input.read(&mut start)? {
        0 => return Ok(None),
        some => input.read_exact(&mut start[some..])?,
    }
    let garbage = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if &start[..4] != b"OFBY" {
        return Err(garbage("no magic"));
    }
    let head = u32::from_le_bytes(start[4..8].try_into().expect("four bytes"));
    let body = u64::from_le_bytes(start[8..].try_into().expect("eight bytes"));
    let mut head = vec![0; head as usize];
    let mut body = vec![0; body as usize];
    input.read_exact(&mut head)?;
    input.read_exact(&mut body)?;
    let head = serde_json::from_slice(&head).map_err(|_| garbage("a head that is no JSON"))?;
    Ok(Some((head, body)))
}

/// A worker to talk to.
pub(crate) struct Speaker {
    child: Child,
    asks: Option<ChildStdin>,
    replies: Receiver<io::Result<Option<Frame>>>,
}

impl Speaker {
    /// Starts a worker by its command.
    pub(crate) fn start(command: &[String]) -> Self {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the worker starts");
        let mut stdout = child.stdout.take().expect("stdout is piped");
        let (sender, replies) = channel();
        thread::spawn(move || {
            loop {
                let frame = read(&mut stdout);
                let last = !matches!(frame, Ok(Some(_)));
                if sender.send(frame).is_err() || last {
                    break;
                }
            }
        });
        Speaker { asks: child.stdin.take(), child, replies }
    }

    /// Writes bytes, whether they are a frame or not.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // If the worker has exited, its exit status shows that.
        let _ = self.asks.as_mut().expect("stdin is open").write_all(bytes);
    }

    /// Closes the worker's stdin.
    pub(crate) fn hang_up(&mut self) {
        self.asks = None;
    }

    /// Sends an ask with a body and returns the next reply.
    pub(crate) fn ask_with(&mut self, head: &Value, body: &[u8]) -> Frame {
        self.write(&frame(head.to_string().as_bytes(), body));
        self.next()
    }

    /// Sends an ask and returns the next reply's head.
    pub(crate) fn ask(&mut self, head: &Value) -> Value {
        self.ask_with(head, &[]).0
    }

    /// The next reply.
    pub(crate) fn next(&mut self) -> Frame {
        match self.replies.recv_timeout(PATIENCE) {
            Ok(Ok(Some(frame))) => frame,
            other => panic!("no reply, but {other:?}"),
        }
    }

    /// Greets the worker as the protocol demands.
    pub(crate) fn greet(&mut self) -> Value {
        self.ask(&json!({"ask": "hello", "protocol": PROTOCOL}))
    }

    /// Sends contents that the worker must keep.
    pub(crate) fn keep(&mut self, contents: &[&[u8]]) -> Value {
        let heads: Vec<Value> = contents
            .iter()
            .map(|content| json!({"digest": Digest::of([*content]), "bytes": content.len()}))
            .collect();
        self.ask_with(&json!({"ask": "keep", "contents": heads}), &contents.concat()).0
    }

    /// The worker's exit status, after it sent no further message.
    pub(crate) fn end(mut self, within: Duration) -> ExitStatus {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                match self.replies.recv_timeout(PATIENCE) {
                    Ok(Ok(None)) | Err(RecvTimeoutError::Disconnected) => return status,
                    said => panic!("it said {said:?}"),
                }
            }
            assert!(Instant::now() < until, "the worker does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
