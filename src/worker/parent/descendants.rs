//! Processes in other sessions and temporary files that a worker leaves behind. The end of the worker's process group
//! does not reach these processes. But each of them inherits the worker's environment, which contains the worker's
//! mark. The temporary files are in a separate folder, which is removed with the worker.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// The variable that holds the mark.
const MARK: &str = "OFFBY_WORKER_MARK";
/// The variable that holds the worker's own folder, which is also its `TMPDIR`.
const FOLDER: &str = "OFFBY_WORKER_FOLDER";
/// The most rounds of killing: marked processes may start new ones as fast as they are killed.
const ROUNDS: usize = 20;

/// A process that replaces itself by another program has no environment for a moment, so one look that finds no
/// process is not enough.
const EXEC: Duration = Duration::from_millis(2);

/// All processes that one worker started, known by the worker's mark, and all files in its folder.
#[derive(Debug)]
pub(in crate::worker) struct Descendants {
    mark: String,
    /// Absent if there is no room for a folder. The files then go to the common temporary folder.
    _folder: Option<TempDir>,
}

impl Descendants {
    /// Marks the processes of a command and gives them a temporary folder. The result can end and remove both.
    pub(in crate::worker) fn mark(command: &mut Command) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // The kernel reuses process numbers, so the mark also contains the time.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mark = format!("{}-{number}-{:x}", std::process::id(), since.as_nanos());
        command.env(MARK, &mark);
        let folder = tempfile::tempdir().ok();
        if let Some(folder) = &folder {
            command.env("TMPDIR", folder.path()).env(FOLDER, folder.path());
        }
        Descendants { mark: format!("{MARK}={mark}"), _folder: folder }
    }

    /// Kills all processes with the mark, and removes the folder.
    pub(in crate::worker) fn end(self) {
        let mut was_empty = false;
        for _ in 0..ROUNDS {
            let marked = self.processes();
            if marked.is_empty() {
                if was_empty {
                    return;
                }
                std::thread::sleep(EXEC);
            }
            was_empty = marked.is_empty();
            for process in marked {
                let _ = kill_process(process, Signal::KILL);
            }
        }
    }

    /// The processes with the mark. A dead process that is not yet reaped has no environment.
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

/// Removes this worker's own folder, if it has one, because the parent is gone.
pub(in crate::worker) fn remove_own_folder() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        // A driver may still write there. `end_everything` tries again.
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
        let descendants = Descendants::mark(&mut command);
        let mut other = Command::new("sleep");
        let others = Descendants::mark(&mut other);
        let (mut child, mut stranger) =
            (command.spawn().unwrap(), other.arg("60").spawn().unwrap());
        descendants.end();
        assert!(!child.wait().unwrap().success());
        assert_eq!(stranger.try_wait().unwrap(), None, "another's is left alone");
        others.end();
        assert!(!stranger.wait().unwrap().success());
    }
}
