//! Records each probe on the disk before it runs, and its result afterwards, line by line. A run may take the machine
//! down with it. The next command finds that run here and continues after it.

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
    /// The subject of the search. A line with a different key makes the file worthless.
    Key(String),
    /// A probe is about to run.
    Start(String),
    /// A probe completed with a result.
    Done(String, T),
    /// The user ended a probe, so its result is unknown.
    Withdrawn(String),
    /// All probes completed. The next command starts anew.
    Finished,
}

/// An earlier command's record of one probe.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<T> {
    /// The earlier command left no record.
    New,
    /// The probe completed.
    Done(T),
    /// The probe was running when the command ended, and may have caused that end.
    Interrupted,
}

/// The journal of one search. Without a file it keeps no records. If the file can no longer be written, the search
/// continues without it, because the findings are worth more.
#[derive(Debug)]
pub struct SearchJournal<T> {
    file: Option<File>,
    failure: Option<io::Error>,
    earlier: BTreeMap<String, Known<T>>,
}

impl<T> Default for SearchJournal<T> {
    fn default() -> Self {
        SearchJournal { file: None, failure: None, earlier: BTreeMap::new() }
    }
}

impl<T: Serialize + DeserializeOwned + Clone> SearchJournal<T> {
    /// Opens the journal at `path`. The records of an unfinished command with the same `key` are kept. Anything else is
    /// overwritten.
    ///
    /// # Errors
    /// Fails if the file cannot be read or written.
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
        let mut journal = SearchJournal { file: Some(file?), failure: None, earlier };
        if !keep {
            journal.write(&Line::Key(key.to_owned()));
        } else if !text.ends_with('\n') {
            // The last line was cut off during the write.
            journal.raw(b"\n");
        }
        match journal.failure.take() {
            Some(error) => Err(error),
            None => Ok(journal),
        }
    }

    /// The earlier command's record of a probe.
    pub fn known(&self, probe: &str) -> Known<T> {
        self.earlier.get(probe).cloned().unwrap_or(Known::New)
    }

    /// Records that a probe is about to run. The record is on the disk before this method returns.
    pub fn start(&mut self, probe: &str) {
        self.write(&Line::Start(probe.to_owned()));
    }

    /// Records the result of a probe.
    pub fn done(&mut self, probe: &str, result: &T) {
        self.write(&Line::Done(probe.to_owned(), result.clone()));
    }

    /// Records that the user ended a probe. The next command begins the probe anew.
    pub fn withdraw(&mut self, probe: &str) {
        self.write(&Line::Withdrawn(probe.to_owned()));
    }

    /// Records that all probes completed.
    pub fn finish(&mut self) {
        self.write(&Line::Finished);
    }

    /// The error that stopped the journal, if there was one.
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
    // An unreadable line was cut off, so the event it records has not happened.
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
        let mut journal: SearchJournal<u32> = SearchJournal::open(&path, "k").unwrap();
        journal.start("a");
        journal.done("a", &1);
        journal.start("b");
        drop(journal);
        // The file is cut off in the middle of a line, as on a machine that dies.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"done\":[\"b\"").unwrap();
        let mut journal: SearchJournal<u32> = SearchJournal::open(&path, "k").unwrap();
        assert_eq!(journal.known("a"), Known::Done(1));
        assert_eq!(journal.known("b"), Known::Interrupted);
        assert_eq!(journal.known("c"), Known::New);
        journal.start("c");
        journal.done("c", &3);
        drop(journal);
        let journal: SearchJournal<u32> = SearchJournal::open(&path, "k").unwrap();
        assert_eq!(journal.known("c"), Known::Done(3));
    }

    #[test]
    fn a_finished_or_foreign_journal_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal: SearchJournal<u32> = SearchJournal::open(&path, "k").unwrap();
        journal.start("a");
        assert_eq!(SearchJournal::<u32>::open(&path, "other").unwrap().known("a"), Known::New);
        let mut journal: SearchJournal<u32> = SearchJournal::open(&path, "k").unwrap();
        journal.done("a", &1);
        journal.finish();
        assert_eq!(SearchJournal::<u32>::open(&path, "k").unwrap().known("a"), Known::New);
    }

    #[test]
    fn what_the_user_ended_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal: SearchJournal<u32> = SearchJournal::open(&path, "k").unwrap();
        journal.start("a");
        journal.withdraw("a");
        assert_eq!(SearchJournal::<u32>::open(&path, "k").unwrap().known("a"), Known::New);
    }

    #[test]
    fn a_disk_that_is_full_ends_the_journal_and_nothing_else() {
        let file = OpenOptions::new().write(true).open("/dev/full").ok();
        let mut journal: SearchJournal<u32> = SearchJournal { file, ..SearchJournal::default() };
        journal.start("a");
        journal.done("a", &1);
        assert!(journal.failure().is_some());
    }
}
