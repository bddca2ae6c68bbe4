//! Written before the jump: what is about to run, and what came of it, line by line on the disk.
//! A run that took the machine with it is found here by the next one, which goes on behind it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line<T> {
    /// What the whole is about: a line of another key makes the file worthless.
    Key(String),
    /// About to run.
    Start(String),
    /// Came to its end.
    Done(String, T),
    /// Was ended by the user: nothing is known of it.
    Withdrawn(String),
    /// All came to its end; the next command starts anew.
    Finished,
}

/// What an earlier command left about one probe.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<T> {
    /// Nothing.
    New,
    /// It came to its end.
    Done(T),
    /// It was running when the command ended: it may have been what ended it.
    Interrupted,
}

/// The journal of one search; without a file it keeps nothing. When its file cannot be written any more, the search
/// goes on without it: what it finds is worth more.
#[derive(Debug)]
pub struct Journal<T> {
    file: Option<File>,
    failure: Option<io::Error>,
    earlier: BTreeMap<String, Known<T>>,
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Journal { file: None, failure: None, earlier: BTreeMap::new() }
    }
}

impl<T: Serialize + DeserializeOwned + Clone> Journal<T> {
    /// Opens the journal at `path`. What an unfinished command of the same `key` left is taken
    /// over; anything else is overwritten.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, key: &str) -> io::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let earlier = read(&text, key);
        let keep = !earlier.is_empty();
        let file =
            OpenOptions::new().create(true).write(true).truncate(!keep).append(keep).open(path);
        let mut journal = Journal { file: Some(file?), failure: None, earlier };
        if !keep {
            journal.write(&Line::Key(key.to_owned()));
        } else if !text.ends_with('\n') {
            // The last line was cut off in the middle of being written.
            journal.raw(b"\n");
        }
        match journal.failure.take() {
            Some(error) => Err(error),
            None => Ok(journal),
        }
    }

    /// What is known of a probe.
    pub fn known(&self, probe: &str) -> Known<T> {
        self.earlier.get(probe).cloned().unwrap_or(Known::New)
    }

    /// Says that a probe is about to run; on the disk before this returns.
    pub fn start(&mut self, probe: &str) {
        self.write(&Line::Start(probe.to_owned()));
    }

    /// Says what came of it.
    pub fn done(&mut self, probe: &str, result: &T) {
        self.write(&Line::Done(probe.to_owned(), result.clone()));
    }

    /// Says that the user ended it: the next command begins it anew.
    pub fn withdraw(&mut self, probe: &str) {
        self.write(&Line::Withdrawn(probe.to_owned()));
    }

    /// Says that all came to its end.
    pub fn finish(&mut self) {
        self.write(&Line::Finished);
    }

    /// Why it is not written any more, where that happened.
    pub fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    fn write(&mut self, line: &Line<T>) {
        match serde_json::to_vec(line) {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                self.raw(&bytes);
            }
            Err(error) => self.failure = Some(error.into()),
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_data()) {
            (self.file, self.failure) = (None, Some(error));
        }
    }
}

fn read<T: DeserializeOwned>(text: &str, key: &str) -> BTreeMap<String, Known<T>> {
    let mut known = BTreeMap::new();
    // A line that cannot be read is one that was cut off: what it would say has not happened.
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Line<T>>(line).ok());
    if !matches!(lines.next(), Some(Line::Key(found)) if found == key) {
        return known;
    }
    for line in lines {
        match line {
            Line::Start(probe) => known.insert(probe, Known::Interrupted),
            Line::Done(probe, result) => known.insert(probe, Known::Done(result)),
            Line::Withdrawn(probe) => known.insert(probe, Known::New),
            Line::Finished | Line::Key(_) => return BTreeMap::new(),
        };
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_journal_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal: Journal<u32> = Journal::open(&path, "k").unwrap();
        journal.start("a");
        journal.done("a", &1);
        journal.start("b");
        drop(journal);
        // Cut off in the middle of a line, as a machine that dies does.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"done\":[\"b\"").unwrap();
        let mut journal: Journal<u32> = Journal::open(&path, "k").unwrap();
        assert_eq!(journal.known("a"), Known::Done(1));
        assert_eq!(journal.known("b"), Known::Interrupted);
        assert_eq!(journal.known("c"), Known::New);
        journal.start("c");
        journal.done("c", &3);
        drop(journal);
        let journal: Journal<u32> = Journal::open(&path, "k").unwrap();
        assert_eq!(journal.known("c"), Known::Done(3));
    }

    #[test]
    fn a_finished_or_foreign_journal_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal: Journal<u32> = Journal::open(&path, "k").unwrap();
        journal.start("a");
        assert_eq!(Journal::<u32>::open(&path, "other").unwrap().known("a"), Known::New);
        let mut journal: Journal<u32> = Journal::open(&path, "k").unwrap();
        journal.done("a", &1);
        journal.finish();
        assert_eq!(Journal::<u32>::open(&path, "k").unwrap().known("a"), Known::New);
    }

    #[test]
    fn what_the_user_ended_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal: Journal<u32> = Journal::open(&path, "k").unwrap();
        journal.start("a");
        journal.withdraw("a");
        assert_eq!(Journal::<u32>::open(&path, "k").unwrap().known("a"), Known::New);
    }

    #[test]
    fn a_disk_that_is_full_ends_the_journal_and_nothing_else() {
        let file = OpenOptions::new().write(true).open("/dev/full").ok();
        let mut journal: Journal<u32> = Journal { file, ..Journal::default() };
        journal.start("a");
        journal.done("a", &1);
        assert!(journal.failure().is_some());
    }
}
