//! What the proxy and the embedder's process say to each other: frames of a length (four bytes, little-endian) and that
//! many bytes. First a hello and whether the model opened, then one text and one answer at a time.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{TextError, Vector};

/// Far over what either side sends; what claims more is no frame of ours.
const MOST_BYTES: usize = 64 << 10;

const DONE: u8 = 0;
const TOO_LONG: u8 = 1;
const FAILED: u8 = 2;

/// The first frame, to the child.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hello {
    /// The model folder.
    pub(super) folder: PathBuf,
    /// The cap of its data (heap and private mappings), in bytes.
    pub(super) memory_bytes: u64,
}

/// The child's first answer: the space of its model, or why there is none.
pub(super) type Opened = Result<String, String>;

/// The child's answer to a text.
pub(super) type Answer = Result<Vector, TextError>;

/// Writes a frame.
pub(super) fn send(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&framed(bytes)?)
}

/// Reads a frame; `None` when the other side has closed the connection between two.
pub(super) fn receive(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; 4];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut bytes = vec![0; length(head)?];
    from.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a frame and reads one, from the side that does not block.
pub(super) async fn ask<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(&framed(bytes)?).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let mut bytes = vec![0; length(head)?];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// The bytes of the child's first answer.
pub(super) fn opened_bytes(opened: &Opened) -> Vec<u8> {
    match opened {
        Ok(space) => tagged(DONE, space.as_bytes()),
        Err(reason) => tagged(FAILED, shortened(reason)),
    }
}

/// The child's first answer; an error when the bytes are none.
pub(super) fn read_opened(bytes: &[u8]) -> io::Result<Opened> {
    let (tag, rest) = bytes.split_first().ok_or_else(garbage)?;
    let text = String::from_utf8_lossy(rest).into_owned();
    match *tag {
        DONE => Ok(Ok(text)),
        FAILED => Ok(Err(text)),
        _ => Err(garbage()),
    }
}

/// The bytes of an answer.
pub(super) fn answer_bytes(answer: &Answer) -> Vec<u8> {
    match answer {
        Ok(vector) => {
            let numbers: Vec<u8> = vector
                .numbers()
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect();
            tagged(DONE, &numbers)
        }
        Err(TextError::TooLong) => vec![TOO_LONG],
        Err(TextError::Failed(reason)) => tagged(FAILED, shortened(reason)),
    }
}

/// An answer; an error when the bytes are none.
pub(super) fn read_answer(bytes: &[u8]) -> io::Result<Answer> {
    let (tag, rest) = bytes.split_first().ok_or_else(garbage)?;
    match *tag {
        DONE => read_vector(rest).map(Ok).ok_or_else(garbage),
        TOO_LONG => Ok(Err(TextError::TooLong)),
        FAILED => Ok(Err(TextError::Failed(String::from_utf8_lossy(rest).into_owned()))),
        _ => Err(garbage()),
    }
}

fn read_vector(bytes: &[u8]) -> Option<Vector> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    if rest.is_empty() { Vector::new(&numbers) } else { None }
}

fn framed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(bytes.len()).map_err(|_| garbage())?;
    let mut frame = Vec::with_capacity(4 + bytes.len());
    frame.extend(length.to_le_bytes());
    frame.extend(bytes);
    Ok(frame)
}

fn length(head: [u8; 4]) -> io::Result<usize> {
    usize::try_from(u32::from_le_bytes(head))
        .ok()
        .filter(|length| *length <= MOST_BYTES)
        .ok_or_else(garbage)
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut tagged = vec![tag];
    tagged.extend(bytes);
    tagged
}

/// A reason is for people: its first 4 KiB will do, and a frame holds them.
fn shortened(reason: &str) -> &[u8] {
    let bytes = reason.as_bytes();
    &bytes[..bytes.len().min(4096)]
}

fn garbage() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a frame of the embedder")
}
