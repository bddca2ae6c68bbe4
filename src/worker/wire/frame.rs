//! Frames on a pipe: a magic, two lengths, a JSON head and a binary body.
//!
//! ```text
//! "OFBY" | head bytes: u32 LE | body bytes: u64 LE | head (JSON) | body
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, BufRead, Read, Write};
use thiserror::Error;

const MAGIC: &[u8; 4] = b"OFBY";
/// The longest accepted head, in bytes.
const HEAD_LIMIT: u32 = 64 << 20;
/// The longest accepted body, in bytes.
const BODY_LIMIT: u64 = 16 << 30;

/// A frame that could not be read.
#[derive(Debug, Error)]
pub(in crate::worker) enum FrameError {
    /// The pipe ended between two frames.
    #[error("the stream ended")]
    Ended,
    /// The pipe ended inside a frame.
    #[error("the stream ended inside a frame")]
    Half,
    /// The bytes are no frame of this protocol.
    #[error("the stream carries something that is no frame: {0}")]
    Garbage(String),
    /// A whole frame with an unknown head. The next frame may be known.
    #[error("the stream has a frame that does not belong here: {0}")]
    Unknown(String),
    /// The pipe broke.
    #[error("the stream broke: {0}")]
    Io(io::Error),
}

/// How many bytes of text a worker's command may print before the first frame: a login message, or the words of a
/// program that reserves a board.
const PREFACE_LIMIT: usize = 64 << 10;

/// Passes over the text before the first frame. Returns the text, and the start of the frame, which was read with it.
pub(in crate::worker) fn skip_preface(
    input: &mut impl BufRead,
) -> (String, Result<&'static [u8], FrameError>) {
    let mut read = Vec::new();
    let found = loop {
        // One byte at a time: the byte after the magic belongs to the frame.
        let mut byte = [0];
        match read_start(input, &mut byte) {
            Ok(()) => read.push(byte[0]),
            Err(FrameError::Ended) if !read.is_empty() => break Err(no_frame(&read)),
            Err(error) => break Err(error),
        }
        if read.ends_with(MAGIC) {
            read.truncate(read.len() - MAGIC.len());
            break Ok(&MAGIC[..]);
        }
        if read.len() >= PREFACE_LIMIT {
            break Err(no_frame(&read));
        }
    };
    (String::from_utf8_lossy(&read).into_owned(), found)
}

fn no_frame(bytes: &[u8]) -> FrameError {
    let start = &bytes[..bytes.len().min(80)];
    FrameError::Garbage(format!("it begins with {:?}", String::from_utf8_lossy(start)))
}

/// Writes one frame and flushes it.
pub(in crate::worker) fn write_frame(
    out: &mut impl Write,
    head: &impl Serialize,
    body: &[u8],
) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    out.write_all(MAGIC)?;
    out.write_all(&(head.len() as u32).to_le_bytes())?;
    out.write_all(&(body.len() as u64).to_le_bytes())?;
    out.write_all(&head)?;
    out.write_all(body)?;
    out.flush()
}

/// Reads one frame.
pub(in crate::worker) fn read_frame<T: DeserializeOwned>(
    input: &mut impl Read,
) -> Result<(T, Vec<u8>), FrameError> {
    let mut magic = [0u8; 4];
    read_start(input, &mut magic)?;
    if &magic != MAGIC {
        return Err(no_frame(&magic));
    }
    let head_length = u32::from_le_bytes(read_array(input)?);
    let body_length = u64::from_le_bytes(read_array(input)?);
    if head_length > HEAD_LIMIT || body_length > BODY_LIMIT {
        return Err(FrameError::Garbage("its lengths are beyond all measure".into()));
    }
    let head = read_exactly(input, u64::from(head_length))?;
    let body = read_exactly(input, body_length)?;
    let head =
        serde_json::from_slice(&head).map_err(|error| FrameError::Unknown(error.to_string()))?;
    Ok((head, body))
}

fn read_start(input: &mut impl Read, magic: &mut [u8]) -> Result<(), FrameError> {
    let first = loop {
        match input.read(&mut magic[..1]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => break other,
        }
    };
    match first {
        Ok(0) => Err(FrameError::Ended),
        Ok(_) => input.read_exact(&mut magic[1..]).map_err(half),
        Err(error) => Err(FrameError::Io(error)),
    }
}

fn read_array<const N: usize>(input: &mut impl Read) -> Result<[u8; N], FrameError> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(half)?;
    Ok(bytes)
}

/// Memory grows with the bytes that arrive, not with the claimed length.
fn read_exactly(input: &mut impl Read, length: u64) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes).map_err(FrameError::Io)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(FrameError::Half) }
}

fn half(error: io::Error) -> FrameError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        FrameError::Half
    } else {
        FrameError::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back() {
        let mut pipe = Vec::new();
        write_frame(&mut pipe, &"head", b"body").unwrap();
        write_frame(&mut pipe, &7, b"").unwrap();
        let mut reader = pipe.as_slice();
        assert_eq!(read_frame::<String>(&mut reader).unwrap(), ("head".into(), b"body".to_vec()));
        assert_eq!(read_frame::<u8>(&mut reader).unwrap(), (7, vec![]));
        assert!(matches!(read_frame::<u8>(&mut reader), Err(FrameError::Ended)));
    }

    #[test]
    fn what_means_nothing_is_passed_over() {
        let mut pipe = Vec::new();
        write_frame(&mut pipe, &"head", b"body").unwrap();
        write_frame(&mut pipe, &7, b"").unwrap();
        let mut reader = pipe.as_slice();
        assert!(matches!(read_frame::<u8>(&mut reader), Err(FrameError::Unknown(_))));
        assert_eq!(read_frame::<u8>(&mut reader).unwrap(), (7, vec![]));
    }

    #[test]
    fn text_before_the_first_frame_is_passed_over() {
        let mut pipe = b"Last login: today\nSelected role main\nOFB".to_vec();
        let text = String::from_utf8(pipe.clone()).unwrap();
        write_frame(&mut pipe, &7, b"body").unwrap();
        let mut reader = pipe.as_slice();
        let (skipped, start) = skip_preface(&mut reader);
        assert_eq!(skipped, text);
        let frame = read_frame::<u8>(&mut start.unwrap().chain(reader)).unwrap();
        assert_eq!(frame, (7, b"body".to_vec()));
        assert!(matches!(skip_preface(&mut &b""[..]).1, Err(FrameError::Ended)));
        assert!(matches!(skip_preface(&mut &b"no worker"[..]).1, Err(FrameError::Garbage(_))));
        assert!(matches!(
            skip_preface(&mut &vec![b'y'; 2 * PREFACE_LIMIT][..]).1,
            Err(FrameError::Garbage(_))
        ));
    }

    #[test]
    fn half_a_frame_and_garbage_are_told_apart() {
        let mut pipe = Vec::new();
        write_frame(&mut pipe, &"head", b"body").unwrap();
        for cut in 1..pipe.len() {
            assert!(
                matches!(read_frame::<String>(&mut &pipe[..cut]), Err(FrameError::Half)),
                "{cut}"
            );
        }
        assert!(matches!(read_frame::<u8>(&mut &b"hello world"[..]), Err(FrameError::Garbage(_))));
        let lengths = [&MAGIC[..], &[0xff; 12]].concat();
        assert!(matches!(read_frame::<u8>(&mut lengths.as_slice()), Err(FrameError::Garbage(_))));
    }
}
