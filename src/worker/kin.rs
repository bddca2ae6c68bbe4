//! What a worker leaves behind: processes in other sessions, and temporary files. The end of its group does not
//! reach the former; but whatever it started has its environment, and in it the mark of that worker. The latter lie
//! in a folder of their own, which goes with it.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// The variable that holds the mark.
const MARK: &str = "OFFBY_WORKER_MARK";
/// The variable that holds the folder of a worker's own, which is its `TMPDIR`, too.
const FOLDER: &str = "OFFBY_WORKER_FOLDER";
/// Whoever starts others as fast as they are killed is not chased for ever.
const ROUNDS: usize = 20;

/// All that was started by one worker, known by a mark of its own, and all that was put into its folder.
#[derive(Debug)]
pub(super) struct Kin {
    mark: String,
    /// Absent where there is no room for one; then the files lie where all others do.
    _folder: Option<TempDir>,
}

impl Kin {
    /// Marks what a command starts, gives it a folder for temporary files, and says what is to be ended with it.
    pub(super) fn mark(command: &mut Command) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Process numbers come again; not with the same time.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mark = format!("{}-{number}-{:x}", std::process::id(), since.as_nanos());
        command.env(MARK, &mark);
        let folder = tempfile::tempdir().ok();
        if let Some(folder) = &folder {
            command.env("TMPDIR", folder.path()).env(FOLDER, folder.path());
        }
        Kin { mark: format!("{MARK}={mark}"), _folder: folder }
    }

    /// Kills all that bears the mark, and takes the folder away.
    pub(super) fn end(self) {
        for _ in 0..ROUNDS {
            let marked = self.processes();
            if marked.is_empty() {
                return;
            }
            for process in marked {
                let _ = kill_process(process, Signal::KILL);
            }
        }
    }

    /// The processes that bear the mark. One that is dead and only waits to be reaped has no environment.
    fn processes(&self) -> Vec<Pid> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let marked = entries.filter(|entry| {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes())
        });
        let numbers = marked.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter_map(Pid::from_raw).collect()
    }
}

/// Takes this worker's folder away, where it has one of its own: its parent is gone.
pub(super) fn remove_own_folder() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        // What a driver still writes there is tried again.
        let _ = fs::remove_dir_all(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    #[test]
    fn whoever_bears_the_mark_is_ended_wherever_it_is() {
        let mut command = Command::new("setsid");
        command.args(["sleep", "60"]).stdin(Stdio::null()).stdout(Stdio::null());
        let kin = Kin::mark(&mut command);
        let mut other = Command::new("sleep");
        let others = Kin::mark(&mut other);
        let (mut child, mut stranger) =
            (command.spawn().unwrap(), other.arg("60").spawn().unwrap());
        kin.end();
        assert!(!child.wait().unwrap().success());
        assert_eq!(stranger.try_wait().unwrap(), None, "another's is left alone");
        others.end();
        assert!(!stranger.wait().unwrap().success());
    }
}
