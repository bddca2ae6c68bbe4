//! Packs a folder into one `.tar.zst` file, and unpacks it. Every entry is checked before a
//! byte of it is written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Builder, EntryType, Header};
use thiserror::Error;

/// The limits of an archive.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveLimits {
    /// The most entries.
    pub files: usize,
    /// The most bytes of all unpacked files together.
    pub bytes: u64,
}

/// The limits for a stranger's archive: far more than offby itself writes.
pub const LIMITS: ArchiveLimits = ArchiveLimits { files: 1000, bytes: 2 << 30 };

/// How far back zstandard may refer in the text, as a power of two: 128 MiB.
const WINDOW: u32 = 27;
/// A compromise between speed and size; a bundle is written once.
const LEVEL: i32 = 9;

/// An archive that cannot be unpacked.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The file cannot be read.
    #[error("read the bundle {path}: {source}")]
    Read {
        /// The bundle.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not a bundle, or is cut off.
    #[error("unpack the bundle: it is no .tar.zst file, or it is cut off: {0}")]
    Broken(String),
    /// An entry leads out of the bundle.
    #[error("unpack the bundle: `{0}` leads out of the bundle")]
    Escapes(String),
    /// An entry is a link, a device or a sparse file.
    #[error("unpack the bundle: `{path}` is {kind}, not a plain file")]
    NotPlain {
        /// The entry.
        path: String,
        /// The entry's kind.
        kind: String,
    },
    /// Two entries have the same name.
    #[error("unpack the bundle: `{0}` is there twice")]
    Twice(String),
    /// The archive has too many entries.
    #[error("unpack the bundle: it has more than {0} files")]
    TooMany(usize),
    /// The archive has too many bytes.
    #[error("unpack the bundle: it is larger than {0} bytes when unpacked")]
    TooLarge(u64),
    /// A file cannot be written on this machine.
    #[error("unpack the bundle: {0}")]
    Write(io::Error),
}

impl ArchiveError {
    /// The advice for the user.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ArchiveError::Read { .. } => "check the path",
            ArchiveError::Broken(_) => "ask for the file again; `offby report bundle` writes them",
            ArchiveError::Write(_) => "see that the temporary folder has room (TMPDIR moves it)",
            _ => "offby writes no such bundle, so it was changed later; offby used no part of it",
        };
        Some(hint.to_owned())
    }
}

/// Packs the files of a folder and of all folders in it. The same files always make the same bytes:
/// no times, no owners, names in order.
///
/// # Errors
/// When a file cannot be read or the archive cannot be written.
pub fn pack(folder: &Path, to: &Path) -> io::Result<()> {
    let encoder = zstd::Encoder::new(File::create(to)?, LEVEL)?.auto_finish();
    let mut builder = Builder::new(encoder);
    for name in files_under(folder, Path::new(""))? {
        let bytes = fs::read(folder.join(&name))?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        builder.append_data(&mut header, &name, bytes.as_slice())?;
    }
    builder.into_inner()?;
    Ok(())
}

/// The files under a folder in order, by their names in the folder. The search begins at `inner`.
pub(super) fn files_under(folder: &Path, inner: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join(inner))? {
        let entry = entry?;
        let name = inner.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            names.extend(files_under(folder, &name)?);
        } else {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The size of all files under a folder, in bytes.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub fn folder_size(folder: &Path) -> io::Result<u64> {
    let names = files_under(folder, Path::new(""))?;
    names.iter().map(|name| fs::metadata(folder.join(name)).map(|file| file.len())).sum()
}

/// Unpacks an archive into an empty folder.
///
/// # Errors
/// When the archive is not as offby writes it. The folder may then hold some of the files; delete it.
pub fn unpack(archive: &Path, into: &Path, limits: ArchiveLimits) -> Result<(), ArchiveError> {
    let read = |source| ArchiveError::Read { path: archive.to_owned(), source };
    unpack_from(File::open(archive).map_err(read)?, limits, &mut |name, entry| {
        let target = into.join(name);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(ArchiveError::Write)?;
        }
        let mut file = File::create_new(&target).map_err(ArchiveError::Write)?;
        io::copy(entry, &mut file).map_err(|error| refused(error, limits))
    })
}

/// Takes the plain name and the bytes of one file of an archive. Returns the number of bytes read.
type Take<'a> = dyn FnMut(&Path, &mut dyn Read) -> Result<u64, ArchiveError> + 'a;

/// Passes the files of an archive to `take`, each after a check of its header.
///
/// # Errors
/// When the archive is not as offby writes it.
pub fn unpack_from(
    archive: impl Read,
    limits: ArchiveLimits,
    take: &mut Take<'_>,
) -> Result<(), ArchiveError> {
    let mut decoder = zstd::Decoder::new(archive).map_err(broken)?;
    decoder.window_log_max(WINDOW).map_err(broken)?;
    files_of(decoder, limits, take)
}

/// Does the same as [`unpack_from`] for an archive that is no longer compressed.
///
/// # Errors
/// As [`unpack_from`].
pub fn files_of(
    archive: impl Read,
    limits: ArchiveLimits,
    take: &mut Take<'_>,
) -> Result<(), ArchiveError> {
    // The sizes in the headers are checked below. This limit stops bytes that no header declares.
    let most = limits.bytes.saturating_add(limits.files as u64 * 2048);
    let mut archive = Archive::new(Counted { inner: archive, left: most, ended: false });
    let mut seen = BTreeSet::new();
    let mut left = limits.bytes;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(|error| refused(error, limits))?;
        if entry.header().entry_type() == EntryType::Directory {
            continue;
        }
        let path = entry.path().map_err(broken)?.into_owned();
        let name = path.display().to_string();
        check_kind(&name, entry.header().entry_type())?;
        check_path(&name, &path)?;
        left = left.checked_sub(entry.size()).ok_or(ArchiveError::TooLarge(limits.bytes))?;
        if seen.len() >= limits.files {
            return Err(ArchiveError::TooMany(limits.files));
        }
        if !seen.insert(path.clone()) {
            return Err(ArchiveError::Twice(name));
        }
        let expected = entry.size();
        if take(&path, &mut entry)? != expected {
            return Err(ArchiveError::Broken(format!("`{name}` is cut off")));
        }
    }
    if seen.is_empty() {
        return Err(ArchiveError::Broken("it holds no file".into()));
    }
    finish(&mut archive.into_inner())
}

/// Reads on to the end of the stream, because zstandard notices missing bytes only there.
fn finish(rest: &mut impl Read) -> Result<(), ArchiveError> {
    io::copy(rest, &mut io::sink()).map(|_| ()).map_err(broken)
}

fn check_kind(name: &str, kind: EntryType) -> Result<(), ArchiveError> {
    let kind = match kind {
        EntryType::Regular | EntryType::Continuous => return Ok(()),
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::GNUSparse => "a sparse file",
        _ => "something special",
    };
    Err(ArchiveError::NotPlain { path: name.to_owned(), kind: kind.to_owned() })
}

fn check_path(name: &str, path: &Path) -> Result<(), ArchiveError> {
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    // Backslashes and drive letters are plain names on this system, and paths on other systems.
    let portable = !name.contains(['\\', ':', '\0']);
    if plain && portable && !name.is_empty() {
        Ok(())
    } else {
        Err(ArchiveError::Escapes(name.to_owned()))
    }
}

fn broken(error: io::Error) -> ArchiveError {
    ArchiveError::Broken(error.to_string())
}

fn refused(error: io::Error, limits: ArchiveLimits) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => ArchiveError::TooLarge(limits.bytes),
        _ => broken(error),
    }
}

/// A reader that returns at most `left` bytes.
struct Counted<R> {
    inner: R,
    left: u64,
    ended: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        self.ended = count == 0 && !buffer.is_empty();
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: ArchiveLimits = ArchiveLimits { files: 3, bytes: 1000 };

    fn archive(folder: &Path, build: impl Fn(&mut Builder<&mut Vec<u8>>)) -> PathBuf {
        let mut bytes = Vec::new();
        let mut builder = Builder::new(&mut bytes);
        build(&mut builder);
        builder.into_inner().unwrap();
        let path = folder.join("x.tar.zst");
        fs::write(&path, zstd::encode_all(bytes.as_slice(), 3).unwrap()).unwrap();
        path
    }

    fn add(builder: &mut Builder<&mut Vec<u8>>, name: &str, kind: EntryType, size: u64) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        // Written by hand, because the library refuses to write such names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if kind == EntryType::Symlink {
            header.set_link_name("elsewhere").unwrap();
        }
        if kind == EntryType::GNUSparse {
            header.as_gnu_mut().unwrap().set_real_size(0);
        }
        header.set_cksum();
        builder.append(&header, io::repeat(7).take(size)).unwrap();
    }

    #[test]
    fn what_is_packed_comes_back_and_packs_alike() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("inner")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("a"), "1").unwrap();
        fs::write(from.join("inner/b"), "22").unwrap();
        let (first, second) = (folder.path().join("1"), folder.path().join("2"));
        pack(&from, &first).unwrap();
        pack(&from, &second).unwrap();
        assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
        unpack(&first, &to, LIMITS).unwrap();
        assert_eq!(fs::read_to_string(to.join("inner/b")).unwrap(), "22");
    }

    #[test]
    fn whatever_is_not_plain_is_refused() {
        let regular = EntryType::Regular;
        let cases: &[(&str, EntryType, u64, &str)] = &[
            ("../out", regular, 1, "leads out"),
            ("/out", regular, 1, "leads out"),
            ("a/../../out", regular, 1, "leads out"),
            ("c:\\out", regular, 1, "leads out"),
            ("link", EntryType::Symlink, 0, "symbolic link"),
            ("hard", EntryType::Link, 0, "hard link"),
            ("sparse", EntryType::GNUSparse, 0, "sparse"),
            ("device", EntryType::Block, 0, "special"),
            ("large", regular, 1001, "larger than 1000"),
        ];
        for (name, kind, size, words) in cases {
            let folder = tempfile::tempdir().unwrap();
            let inner = folder.path().join("inner");
            fs::create_dir(&inner).unwrap();
            let path = archive(folder.path(), |builder| add(builder, name, *kind, *size));
            let error = unpack(&path, &inner, SMALL).unwrap_err().to_string();
            assert!(error.contains(words), "{name}: {error}");
            assert!(!folder.path().join("out").exists(), "{name}");
        }
    }

    #[test]
    fn too_many_twice_and_cut_off_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let go = |path: &Path| {
            let inner = tempfile::tempdir().unwrap();
            unpack(path, inner.path(), SMALL).unwrap_err().to_string()
        };
        let many = archive(folder.path(), |builder| {
            ["a", "b", "c", "d"].iter().for_each(|name| add(builder, name, EntryType::Regular, 1));
        });
        assert!(go(&many).contains("more than 3 files"));
        let twice = archive(folder.path(), |builder| {
            ["a", "a"].iter().for_each(|name| add(builder, name, EntryType::Regular, 1));
        });
        assert!(go(&twice).contains("twice"));
        let whole = fs::read(&twice).unwrap();
        for length in 0..whole.len() {
            fs::write(&twice, &whole[..length]).unwrap();
            let error = go(&twice);
            assert!(error.contains("cut off") || error.contains("twice"), "{length}: {error}");
        }
        fs::write(&twice, "no archive").unwrap();
        assert!(go(&twice).contains("no .tar.zst"));
    }
}
