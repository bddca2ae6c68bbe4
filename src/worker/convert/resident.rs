//! A converter that stays loaded: MNN's Python module, loaded once for many small models in a row.

use super::error::ConvertError;
use crate::worker::interruption::Interrupt;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Answers each line of arguments with a line on the original stdout. The converter itself prints to stderr.
/// The script calls the converter's own entry, which does not phone home.
const SCRIPT: &str = "
import json, os, sys
answers = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)
import _tools
for line in sys.stdin:
    _tools.mnnconvert(['-c'] + json.loads(line))
    print('done', file=answers, flush=True)
";

/// How often the waiting thread checks that the user still waits.
const LOOK: Duration = Duration::from_millis(20);

/// A Python process with the converter loaded.
pub(in crate::worker) struct Resident {
    child: Child,
    asks: ChildStdin,
    answers: Receiver<()>,
    words: PathBuf,
    workspace: TempDir,
}

impl Resident {
    /// Starts Python. The first conversion shows whether the module is installed.
    pub(in crate::worker) fn start(python: &Path) -> Result<Self, ConvertError> {
        let workspace = tempfile::tempdir()?;
        let words = workspace.path().join("words");
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&words)?)
            .process_group(0)
            .spawn()?;
        let asks = child.stdin.take().expect("its stdin was asked for");
        let stdout = child.stdout.take().expect("its stdout was asked for");
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if line.is_err() || sender.send(()).is_err() {
                    break;
                }
            }
        });
        Ok(Resident { child, asks, answers, words, workspace })
    }

    /// The paths of the next conversion's source and result. Each conversion overwrites the files of the last.
    pub(in crate::worker) fn files(&self) -> (PathBuf, PathBuf) {
        let path = |name: &str| self.workspace.path().join(name);
        (path("model.onnx"), path("model.mnn"))
    }

    /// Converts with these arguments and returns the converter's output. After an `Err`, this converter is unusable.
    pub(in crate::worker) fn convert(
        &mut self,
        arguments: &[String],
        patience: Duration,
        interrupt: &Interrupt,
    ) -> Result<String, ConvertError> {
        let before = fs::metadata(&self.words)?.len();
        let line = serde_json::to_string(arguments).expect("strings are JSON");
        let lost = |words: String| ConvertError::Refused {
            reason: "its process ended in the middle of the conversion".into(),
            words: words.lines().map(str::to_owned).collect(),
        };
        if writeln!(self.asks, "{line}").and_then(|()| self.asks.flush()).is_err() {
            return Err(lost(self.said(before)?));
        }
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(left.min(LOOK)) {
                Ok(()) => return self.said(before),
                Err(RecvTimeoutError::Disconnected) => return Err(lost(self.said(before)?)),
                Err(RecvTimeoutError::Timeout) if interrupt.is_set() => {
                    return Err(ConvertError::Interrupted);
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    return Err(ConvertError::TimedOut);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn said(&self, since: u64) -> Result<String, ConvertError> {
        let bytes = fs::read(&self.words)?;
        let since = usize::try_from(since).unwrap_or(usize::MAX).min(bytes.len());
        Ok(String::from_utf8_lossy(&bytes[since..]).into_owned())
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
