//! A worker's stderr lines, and the text on its stdout before its greeting, kept as evidence up to a limit.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How many lines are kept: one half from the start, one half from the end.
const LINES: usize = 200;
/// How many bytes of a line are kept.
const LINE: usize = 4096;

/// The lines that are kept, shared between the threads that add to them.
#[derive(Clone, Default)]
pub(in crate::worker) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Keeps a line unless it is empty.
    pub(in crate::worker) fn keep(&self, text: String) {
        if text.is_empty() {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.remove(LINES / 2);
        }
        lines.push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The lines of a stream, read on a separate thread.
pub(in crate::worker) struct StderrLog {
    lines: Lines,
    thread: JoinHandle<()>,
}

impl StderrLog {
    /// Reads until the stream ends.
    pub(in crate::worker) fn of(mut stderr: impl Read + Send + 'static) -> Self {
        let lines = Lines::default();
        let kept = lines.clone();
        let thread = thread::spawn(move || {
            let mut line = Line::default();
            let mut chunk = [0u8; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut chunk) {
                let mut parts = chunk[..count].split(|&byte| byte == b'\n');
                line.add(parts.next().unwrap_or_default());
                for part in parts {
                    kept.keep(std::mem::take(&mut line).text());
                    line.add(part);
                }
            }
            kept.keep(line.text());
        });
        StderrLog { lines, thread }
    }

    /// The lines, for a thread that has more to keep.
    pub(in crate::worker) fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Takes the lines since the last call.
    pub(in crate::worker) fn take(&self) -> Vec<String> {
        self.lines.take()
    }

    /// Waits for the end of the stream, but at most this long.
    pub(in crate::worker) fn wait(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// An unfinished line. A line without end does not fill our memory.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    left_out: usize,
}

impl Line {
    fn add(&mut self, bytes: &[u8]) {
        let (kept, left_out) = bytes.split_at(bytes.len().min(LINE - self.bytes.len()));
        self.bytes.extend_from_slice(kept);
        self.left_out += left_out.len();
    }

    /// The text of the line. Bytes that are not UTF-8 become replacement characters.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).trim_end().to_owned();
        match self.left_out {
            0 => text,
            more => format!("{text}… and {more} bytes more on this line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: Vec<u8>) -> Vec<String> {
        let stderr_log = StderrLog::of(std::io::Cursor::new(said));
        stderr_log.wait(Duration::from_secs(10));
        stderr_log.take()
    }

    #[test]
    fn lines_are_kept_the_first_and_the_last() {
        assert_eq!(heard(b"one\n\n two \xff\nthree".to_vec()), ["one", " two \u{fffd}", "three"]);
        let many: String = (0..1000).map(|number| format!("{number}\n")).collect();
        let kept = heard(many.into_bytes());
        assert_eq!((kept.len(), &*kept[0], &*kept[99], &*kept[199]), (LINES, "0", "99", "999"));
    }

    #[test]
    fn a_line_without_end_is_cut_off() {
        let kept = heard([&[b'x'; 1 << 20][..], b"\nlast"].concat());
        assert_eq!(kept.len(), 2);
        assert!(kept[0].len() < LINE + 60 && kept[0].ends_with("1044480 bytes more on this line"));
    }
}
