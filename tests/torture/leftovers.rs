//! What may be left after all workers are gone: no process, no file, no shared memory.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The environment variable of all processes of one torture.
pub(crate) const MARK: &str = "OFFBY_TORTURE";
/// How long the last processes may take to exit.
const GRACE: Duration = Duration::from_secs(5);

/// The machine's state before the torture.
pub(crate) struct Surroundings {
    pub(crate) mark: String,
    folder: PathBuf,
    shared: BTreeSet<String>,
}

impl Surroundings {
    pub(crate) fn now(folder: &Path) -> Self {
        let mark =
            folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
        Surroundings { mark, folder: folder.to_owned(), shared: shared_memory() }
    }

    /// New processes, files and shared memory that do not disappear within the grace time.
    pub(crate) fn left(&self) -> Vec<String> {
        let until = Instant::now() + GRACE;
        loop {
            let left = self.look();
            if left.is_empty() || Instant::now() > until {
                return left;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn look(&self) -> Vec<String> {
        let files = names(&self.folder).into_iter().map(|name| format!("temporary file {name}"));
        let new = shared_memory().into_iter().filter(|name| !self.shared.contains(name));
        let shared = new.map(|name| format!("shared memory {name}"));
        processes(&format!("{MARK}={}", self.mark)).into_iter().chain(files).chain(shared).collect()
    }
}

/// The processes with a variable in their environment, by number and command.
pub(crate) fn processes(variable: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let others = names(Path::new("/proc")).into_iter().filter(|name| *name != own);
    let marked = others.filter(|name| {
        let environment = fs::read(format!("/proc/{name}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
    });
    let described = marked.map(|name| {
        let command = fs::read(format!("/proc/{name}/cmdline")).unwrap_or_default();
        format!("process {name} {}", String::from_utf8_lossy(&command).replace('\0', " "))
    });
    described.collect()
}

/// Files in /dev/shm and segments of System V.
fn shared_memory() -> BTreeSet<String> {
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let ids = segments.lines().filter_map(|line| line.split_whitespace().nth(1));
    ids.map(|id| format!("segment {id}")).chain(names(Path::new("/dev/shm"))).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The resources that this process holds.
pub(crate) struct Resources {
    files: usize,
    threads: usize,
}

impl Resources {
    pub(crate) fn now() -> Self {
        let count = |folder: &str| names(Path::new(folder)).len();
        Resources { files: count("/proc/self/fd"), threads: count("/proc/self/task") }
    }

    /// The resources that this process gained, and does not release within the grace time.
    pub(crate) fn grown(&self) -> Option<String> {
        let until = Instant::now() + GRACE;
        loop {
            let now = Resources::now();
            if now.files <= self.files && now.threads <= self.threads {
                return None;
            }
            if Instant::now() > until {
                return Some(format!(
                    "{} open files became {}, {} threads {}",
                    self.files, now.files, self.threads, now.threads
                ));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}
