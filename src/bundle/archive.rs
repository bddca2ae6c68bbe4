//! A folder as one `.tar.zst` file, and back. Going back, every entry is looked at before a byte of
//! it is written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Builder, EntryType, Header};
use thiserror::Error;

/// What an archive may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries.
    pub files: usize,
    /// Bytes of all files together, unpacked.
    pub bytes: u64,
}

/// What offby takes from strangers: far more than it writes itself.
pub const LIMITS: Limits = Limits { files: 1000, bytes: 2 << 30 };

/// How much of the text before it zstandard may refer to, as a power of two: 128 MiB.
const WINDOW: u32 = 27;
/// Between speed and size; bundles are written once.
const LEVEL: i32 = 9;

/// An archive that is not unpacked.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The file itself.
    #[error("read the bundle {path}: {source}")]
    Read {
        /// The bundle.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a bundle, or cut off.
    #[error("unpack the bundle: it is no .tar.zst file, or it is cut off: {0}")]
    Broken(String),
    /// An entry that would land elsewhere.
    #[error("unpack the bundle: `{0}` leads out of the bundle")]
    Escapes(String),
    /// A link, a device, a sparse file.
    #[error("unpack the bundle: `{path}` is {kind}, not a plain file")]
    NotPlain {
        /// The entry.
        path: String,
        /// What it is.
        kind: String,
    },
    /// Two entries of one name.
    #[error("unpack the bundle: `{0}` is there twice")]
    Twice(String),
    /// Too many entries.
    #[error("unpack the bundle: it has more than {0} files")]
    TooMany(usize),
    /// Too many bytes.
    #[error("unpack the bundle: it is larger than {0} bytes when unpacked")]
    TooLarge(u64),
    /// A file cannot be written here.
    #[error("unpack the bundle: {0}")]
    Write(io::Error),
}

impl ArchiveError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ArchiveError::Read { .. } => "check the path",
            ArchiveError::Broken(_) => "ask for the file again; `offby report bundle` writes them",
            ArchiveError::Write(_) => "see that the temporary folder has room (TMPDIR moves it)",
            _ => "offby writes no such bundle: somebody changed this one; nothing of it was used",
        };
        Some(hint.to_owned())
    }
}

/// Packs the files of a folder, all folders in it included. The same files give the same bytes: no
/// times, no owners, names in order.
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

/// The files under a folder by their names in it, in order; `inner` is where in it to begin.
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

/// The bytes of all files under a folder.
///
/// # Errors
/// When it cannot be read.
pub fn folder_size(folder: &Path) -> io::Result<u64> {
    let names = files_under(folder, Path::new(""))?;
    names.iter().map(|name| fs::metadata(folder.join(name)).map(|file| file.len())).sum()
}

/// Unpacks an archive into an empty folder.
///
/// # Errors
/// Whatever is not as offby writes it; the folder may then hold a part, and is to be thrown away.
pub fn unpack(archive: &Path, into: &Path, limits: Limits) -> Result<(), ArchiveError> {
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

/// Takes one file of an archive: its name, which is plain, and its bytes; gives how many it read.
type Take<'a> = dyn FnMut(&Path, &mut dyn Read) -> Result<u64, ArchiveError> + 'a;

/// Hands the files of an archive to `take`, each only when its head has been looked at.
///
/// # Errors
/// Whatever is not as offby writes it.
pub fn unpack_from(
    archive: impl Read,
    limits: Limits,
    take: &mut Take<'_>,
) -> Result<(), ArchiveError> {
    let mut decoder = zstd::Decoder::new(archive).map_err(broken)?;
    decoder.window_log_max(WINDOW).map_err(broken)?;
    files_of(decoder, limits, take)
}

/// The same of an archive that is no longer compressed.
///
/// # Errors
/// As [`unpack_from`].
pub fn files_of(
    archive: impl Read,
    limits: Limits,
    take: &mut Take<'_>,
) -> Result<(), ArchiveError> {
    // What the headers say is checked below; this stops what they do not say.
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

/// Reads on to the end of the stream: zstandard only notices there that something is missing.
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
    // Backslashes and drive letters are plain names here, and paths elsewhere.
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

fn refused(error: io::Error, limits: Limits) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => ArchiveError::TooLarge(limits.bytes),
        _ => broken(error),
    }
}

/// A reader that gives no more than it may.
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

    const SMALL: Limits = Limits { files: 3, bytes: 1000 };

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
        // By hand: the library itself refuses to write such names.
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
