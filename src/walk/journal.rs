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

/// The journal of one search; without a file it keeps nothing.
#[derive(Debug)]
pub struct Journal<T> {
    file: Option<File>,
    earlier: BTreeMap<String, Known<T>>,
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Journal { file: None, earlier: BTreeMap::new() }
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
        let mut journal = Journal { file: Some(file?), earlier };
        if !keep {
            journal.write(&Line::Key(key.to_owned()))?;
        } else if !text.ends_with('\n') {
            // The last line was cut off in the middle of being written.
            journal.raw(b"\n")?;
        }
        Ok(journal)
    }

    /// What is known of a probe.
    pub fn known(&self, probe: &str) -> Known<T> {
        self.earlier.get(probe).cloned().unwrap_or(Known::New)
    }

    /// Says that a probe is about to run; on the disk before this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn start(&mut self, probe: &str) -> io::Result<()> {
        self.write(&Line::Start(probe.to_owned()))
    }

    /// Says what came of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn done(&mut self, probe: &str, result: &T) -> io::Result<()> {
        self.write(&Line::Done(probe.to_owned(), result.clone()))
    }

    /// Says that all came to its end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.write(&Line::Finished)
    }

    fn write(&mut self, line: &Line<T>) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.raw(&bytes)
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(bytes)?;
        file.sync_data()
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
        journal.start("a").unwrap();
        journal.done("a", &1).unwrap();
        journal.start("b").unwrap();
        drop(journal);
        // Cut off in the middle of a line, as a machine that dies does.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"done\":[\"b\"").unwrap();
        let mut journal: Journal<u32> = Journal::open(&path, "k").unwrap();
        assert_eq!(journal.known("a"), Known::Done(1));
        assert_eq!(journal.known("b"), Known::Interrupted);
        assert_eq!(journal.known("c"), Known::New);
        journal.start("c").unwrap();
        journal.done("c", &3).unwrap();
        drop(journal);
        let journal: Journal<u32> = Journal::open(&path, "k").unwrap();
        assert_eq!(journal.known("c"), Known::Done(3));
    }

    #[test]
    fn a_finished_or_foreign_journal_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal: Journal<u32> = Journal::open(&path, "k").unwrap();
        journal.start("a").unwrap();
        assert_eq!(Journal::<u32>::open(&path, "other").unwrap().known("a"), Known::New);
        let mut journal: Journal<u32> = Journal::open(&path, "k").unwrap();
        journal.done("a", &1).unwrap();
        journal.finish().unwrap();
        assert_eq!(Journal::<u32>::open(&path, "k").unwrap().known("a"), Known::New);
    }
}
