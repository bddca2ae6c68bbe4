//! The memory of a worker, watched from outside: the memory of all processes of its group together.
//!
//! A kernel limit does not work here. `RLIMIT_AS` and `RLIMIT_DATA` count mapped memory, and a driver maps much memory
//! that it never touches. Each program also fails in its own way at such a limit. The watch counts the memory in use
//! instead. It kills a worker above the limit, with that as the reason. The watch does not see device memory.

use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The shortest pause between two looks. Looking takes a tenth of the time at most.
const INTERVAL: Duration = Duration::from_millis(10);
/// The memory that a process owns. Mapped files do not count, because processes share them.
const OWN: &[&str] = &["RssAnon:", "RssShmem:", "VmSwap:"];

/// A watch over one group of processes, until the watch is dropped.
#[derive(Debug)]
pub(in crate::worker) struct Watch {
    limit: u64,
    seen: Arc<WatchedMemory>,
    thread: Option<JoinHandle<()>>,
}

/// State shared by the watching thread and the thread that waits for the worker.
#[derive(Debug, Default)]
struct WatchedMemory {
    peak: AtomicU64,
    over: AtomicBool,
}

impl Watch {
    /// Kills the group when it uses more than `limit` bytes.
    pub(in crate::worker) fn over(group: Pid, limit: u64) -> Self {
        let seen = Arc::new(WatchedMemory::default());
        let shared = Arc::clone(&seen);
        let thread = thread::spawn(move || watch(group, limit, &shared));
        Watch { limit, seen, thread: Some(thread) }
    }

    /// The peak and the limit in bytes, if the peak exceeds the limit.
    pub(in crate::worker) fn exceeded(&self) -> Option<(u64, u64)> {
        let peak = self.seen.peak.load(Ordering::SeqCst);
        (peak > self.limit).then_some((peak, self.limit))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // The thread ends after at most one pause, and does not panic.
            let _ = thread.join();
        }
    }
}

fn watch(group: Pid, limit: u64, seen: &WatchedMemory) {
    while !seen.over.load(Ordering::SeqCst) {
        let started = Instant::now();
        let used = in_use(group);
        seen.peak.fetch_max(used, Ordering::SeqCst);
        if used > limit {
            let _ = kill_process_group(group, Signal::KILL);
        }
        thread::sleep(INTERVAL.max(started.elapsed() * 10));
    }
}

/// The bytes that the processes of a group own.
fn in_use(group: Pid) -> u64 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    processes.filter(|process| group_of(*process) == Some(group)).map(of_process).sum()
}

/// The group of a process: the third field after the name in brackets.
fn group_of(process: u32) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let group = stat.rsplit_once(')')?.1.split_whitespace().nth(2)?;
    Pid::from_raw(group.parse().ok()?)
}

fn of_process(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let own = status.lines().filter(|line| OWN.iter().any(|name| line.starts_with(name)));
    let kibibytes = own.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.sum::<u64>() << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_uses_is_seen() {
        let used = std::hint::black_box(vec![1u8; 64 << 20]);
        let seen = of_process(std::process::id());
        assert!(seen >= 64 << 20, "{seen} where there are {} bytes", used.len());
        assert_eq!(group_of(std::process::id()), Some(rustix::process::getpgrp()));
    }
}
