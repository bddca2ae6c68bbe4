//! The text of a YAML document, before anything of it is believed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The largest document believed, in bytes: ours have a few lines.
const LARGEST: u64 = 1 << 20;

/// Reads a document's text.
///
/// # Errors
/// When the system refuses, the bytes are no UTF-8, or the file is larger than 1 MiB.
pub(super) fn read_yaml(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        let why = "it is larger than 1 MiB, and a document of offby's is YAML of a few lines";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}
