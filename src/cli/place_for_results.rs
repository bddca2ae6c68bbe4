//! Whether results can be written, found out before hours of work and not after.

use super::args::OutputArgs;
use crate::session::Failure;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// What a report with its page may take. Tensors take more; what does not fit then is told at the end.
const ROOM: usize = 8 << 20;

/// Makes a folder for results, and sees that there is room in it: a file is written, and taken away again.
pub(super) fn can_hold_results(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::write(folder, error))?;
    probe(folder).map_err(|error| Failure::write(folder, error))
}

fn probe(folder: &Path) -> io::Result<()> {
    // It is gone with its last handle, whatever happens.
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&vec![0; ROOM])?;
    file.sync_all()
}

/// Sees that a file can be written, without a change to what is there.
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
    /// Sees that the JSON can be written where it is wanted.
    pub(super) fn can_be_written(&self) -> Result<(), Failure> {
        match &self.json {
            Some(path) if !self.json_to_stdout() => can_hold_file(path),
            _ => Ok(()),
        }
    }
}
