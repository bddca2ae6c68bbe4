//! Reads the text of a YAML document, before any of it is trusted.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The largest accepted document, in bytes. offby's own documents have a few lines.
const LARGEST: u64 = 1 << 20;

/// Reads a document's text.
///
/// # Errors
/// When the system refuses, the bytes are not UTF-8, or the file is larger than 1 MiB.
pub(super) fn read_yaml(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        let why = "it is larger than 1 MiB, and a document of offby's is YAML of a few lines";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}
