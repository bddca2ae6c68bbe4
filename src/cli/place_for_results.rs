//! Checks that results can be written before hours of work, not after.

use super::args::OutputArgs;
use crate::session::Failure;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Bytes for a report and its page. Tensors need more; the command reports unwritten tensors at the end.
const ROOM: usize = 8 << 20;

/// Makes a folder for results and checks the free space in it: writes a file and removes it.
pub(super) fn can_hold_results(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::write(folder, error))?;
    probe(folder).map_err(|error| Failure::write(folder, error))
}

fn probe(folder: &Path) -> io::Result<()> {
    // The system deletes the file with its last handle, even after a crash.
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&vec![0; ROOM])?;
    file.sync_all()
}

/// Checks that a file can be written, without changing an existing file.
pub(super) fn can_hold_file(path: &Path) -> Result<(), Failure> {
    let tried = match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            tempfile::tempfile_in(folder.unwrap_or(Path::new("."))).map(drop)
        }
        other => other.map(drop),
    };
    tried.map_err(|error| Failure::write(path, error))
}

impl OutputArgs {
    /// Checks that the JSON can be written to the requested path.
    pub(super) fn can_be_written(&self) -> Result<(), Failure> {
        match &self.json {
            Some(path) if !self.json_to_stdout() => can_hold_file(path),
            _ => Ok(()),
        }
    }
}
