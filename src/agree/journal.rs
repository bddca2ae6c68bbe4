//! The journal of a run, one line per event: which input is about to run on which lane, and how it ended. After
//! a run was killed, the next run adds up the same lines and continues after them. The file is read line by
//! line, for it may be larger than memory.

use super::record::Record;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// How often an input is begun on one lane before the run gives it up: an input that ended the command twice
/// may be the cause.
const ATTEMPTS: usize = 2;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// The identity of the run: a different key makes the file useless.
    Key(String),
    /// The input is about to run.
    Start(Position),
    /// The input finished.
    Done(Box<Record>),
    /// The user ended the input, not a failure: the next command runs it again.
    Withdrawn(Position),
    /// The whole run finished; the next command starts afresh.
    Finished,
}

/// One input on one lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The input's number, from 0.
    pub input: usize,
    /// The target; absent for the reference.
    pub target: Option<String>,
}

/// The journal of one run; without a file it records nothing.
#[derive(Debug, Default)]
pub struct RunJournal {
    file: Option<File>,
    /// Why the journal is no longer written.
    failure: Option<io::Error>,
    done: Option<Position>,
    attempts: Option<(Position, usize)>,
}

/// The content of an unfinished journal.
#[derive(Default)]
struct Earlier {
    /// Where the last whole line ends.
    end: u64,
    /// The position of the last record.
    done: Option<Position>,
    /// The position that was begun after that record, and how often.
    attempts: Option<(Position, usize)>,
}

impl RunJournal {
    /// Opens the journal at `path`. If an unfinished command of the same `key` left records, each is passed to
    /// `absorb`, in order; anything else is overwritten.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(path: &Path, key: &str, absorb: &mut dyn FnMut(Record)) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        // A finished run is not continued: the first pass looks for its end before any record is taken over.
        let wanted = read(&mut file, key, &mut |_| ())?.is_some();
        let earlier = if wanted { read(&mut file, key, absorb)? } else { None };
        let Earlier { end, done, attempts } = earlier.unwrap_or_default();
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        let mut journal = RunJournal { file: Some(file), failure: None, done, attempts };
        if end == 0 {
            journal.write(&Line::Key(key.to_owned()), false);
        }
        journal.failure.take().map_or(Ok(journal), Err)
    }

    /// The position of the last record in the file: the run continues after it.
    pub fn done(&self) -> Option<&Position> {
        self.done.as_ref()
    }

    /// Whether earlier commands died at this position as often as allowed.
    pub fn is_deadly(&self, position: &Position) -> bool {
        self.attempts.as_ref().is_some_and(|(at, count)| at == position && *count >= ATTEMPTS)
    }

    /// Records that a position is about to run. Returns once this line and all lines before it are on the disk.
    pub fn start(&mut self, position: &Position) {
        self.write(&Line::Start(position.clone()), true);
    }

    /// Records how the position ended.
    pub fn record(&mut self, record: Record) {
        self.write(&Line::Done(Box::new(record)), false);
    }

    /// Records that the user ended the position.
    pub fn withdraw(&mut self, position: &Position) {
        self.write(&Line::Withdrawn(position.clone()), true);
    }

    /// Records that the whole run finished.
    pub fn finish(&mut self) {
        self.write(&Line::Finished, true);
    }

    /// Why the journal is no longer written, if writing failed.
    pub fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    fn write(&mut self, line: &Line, sync: bool) {
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut bytes| {
            bytes.push(b'\n');
            file.write_all(&bytes)?;
            if sync { file.sync_data() } else { Ok(()) }
        });
        if let Err(error) = written {
            (self.file, self.failure) = (None, Some(error));
        }
    }
}

/// Reads from the start; `None` if the file holds no records to take over. A last line that was cut off while
/// being written is ignored: its event has not happened.
fn read(file: &mut File, key: &str, absorb: &mut dyn FnMut(Record)) -> io::Result<Option<Earlier>> {
    file.seek(SeekFrom::Start(0))?;
    let mut lines = BufReader::new(file);
    let mut earlier = Earlier::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let length = lines.read_until(b'\n', &mut bytes)?;
        let Ok(line) = serde_json::from_slice::<Line>(&bytes) else { break };
        if !bytes.ends_with(b"\n") {
            break;
        }
        match line {
            Line::Key(found) if earlier.end == 0 && found == key => {}
            Line::Start(at) if earlier.end > 0 => {
                let before = earlier.attempts.take().filter(|(known, _)| *known == at);
                earlier.attempts = Some((at, before.map_or(1, |(_, count)| count + 1)));
            }
            Line::Done(record) if earlier.end > 0 => {
                let target = record.target.clone();
                earlier.done = Some(Position { input: record.input, target });
                earlier.attempts = None;
                absorb(*record);
            }
            Line::Withdrawn(_) if earlier.end > 0 => earlier.attempts = None,
            _ => return Ok(None),
        }
        earlier.end += length as u64;
    }
    Ok((earlier.end > 0).then_some(earlier))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(input: usize) -> Position {
        Position { input, target: Some("mnn:cpu".into()) }
    }

    fn open(path: &Path, key: &str) -> (RunJournal, Vec<usize>) {
        let mut seen = Vec::new();
        let journal = RunJournal::open(path, key, &mut |record| seen.push(record.input)).unwrap();
        (journal, seen)
    }

    #[test]
    fn what_was_cut_off_is_taken_over_up_to_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let (mut journal, _) = open(&path, "k");
        for input in [0, 1] {
            journal.start(&position(input));
            journal.record(Record::completed(input));
        }
        journal.start(&position(2));
        drop(journal);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"done\":{\"in").unwrap();
        let (mut journal, seen) = open(&path, "k");
        assert_eq!((seen, journal.done()), (vec![0, 1], Some(&position(1))));
        assert!(!journal.is_deadly(&position(2)));
        journal.start(&position(2));
        drop(journal);
        let (journal, _) = open(&path, "k");
        assert!(journal.is_deadly(&position(2)) && !journal.is_deadly(&position(1)));
        let mut journal = journal;
        journal.withdraw(&position(2));
        assert!(!open(&path, "k").0.is_deadly(&position(2)));
    }

    #[test]
    fn a_finished_or_foreign_journal_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let (mut journal, _) = open(&path, "k");
        journal.record(Record::completed(0));
        drop(journal);
        assert!(open(&path, "other").1.is_empty());
        let (mut journal, _) = open(&path, "k");
        journal.record(Record::completed(0));
        journal.finish();
        assert!(open(&path, "k").1.is_empty());
    }
}
