//! Chat streams where usage was asked for on the client's behalf: gives back the stream it would have got.
//!
//! Only the extra chunk without choices and the `"usage":null` of other chunks go; all else passes byte for byte.

use std::ops::Range;

use memchr::memmem;

use crate::answer::raw::{self, Members};
use crate::sse::{Frame, Gate, Passage};

/// Most bytes of one frame held back; a longer one passes unchanged.
const MOST_FRAME_BYTES: usize = 1 << 20;

const NAME: &[u8] = b"\"usage\"";

/// Removes usage from a Chat Completions stream, whose chunks may be cut anywhere.
#[derive(Debug)]
pub struct UsageFilter {
    gate: Gate,
}

impl Default for UsageFilter {
    fn default() -> Self {
        Self::new()
    }
}

impl UsageFilter {
    /// A filter at the start of a stream.
    pub const fn new() -> Self {
        Self {
            gate: Gate::new(MOST_FRAME_BYTES),
        }
    }

    /// Takes the next bytes and appends to `out` what the client may have now; a frame is held until it is whole.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.gate.feed(chunk, |passage| match passage {
            Passage::Frame(frame) => pass(frame, out),
            Passage::Part(part) => out.extend_from_slice(part),
        });
    }

    /// Appends what is still held when the stream has ended.
    pub fn finish(self, out: &mut Vec<u8>) {
        self.gate.finish(|passage| match passage {
            Passage::Frame(bytes) | Passage::Part(bytes) => out.extend_from_slice(bytes),
        });
    }
}

fn pass(frame: &[u8], out: &mut Vec<u8>) {
    match cut(frame) {
        Some(cut) => {
            out.extend_from_slice(frame.get(..cut.start).unwrap_or_default());
            out.extend_from_slice(frame.get(cut.end..).unwrap_or_default());
        }
        None => out.extend_from_slice(frame),
    }
}

/// What to leave out of a frame: all of it, the member, or nothing.
fn cut(frame: &[u8]) -> Option<Range<usize>> {
    for start in memmem::find_iter(frame, NAME) {
        let colon = skip_space(frame, start + NAME.len());
        let value = skip_space(frame, colon + 1);
        let rest = frame.get(value..)?;
        if frame.get(colon) != Some(&b':') {
            continue;
        }
        if rest.starts_with(b"null") && is_top_level(rest) {
            return member(frame, start, value + b"null".len());
        }
        if rest.starts_with(b"{") {
            return is_extra_chunk(frame).then_some(0..frame.len());
        }
    }
    None
}

/// The member's bytes with the comma that sets it apart, unless it stands alone or inside a string.
fn member(frame: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let before = frame.get(..start)?.trim_ascii_end();
    match before.last()? {
        b',' => Some(before.len() - 1..end),
        b'{' => {
            let comma = skip_space(frame, end);
            (frame.get(comma) == Some(&b',')).then_some(before.len()..comma + 1)
        }
        _ => None,
    }
}

/// True when the bytes from a member's value on close one object and no more: looking ahead is shorter than back.
fn is_top_level(rest: &[u8]) -> bool {
    let mut depth = 0_i32;
    let mut bytes = rest.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                while let Some(byte) = bytes.next().filter(|byte| **byte != b'"') {
                    if *byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            _ => {}
        }
    }
    depth == -1
}

/// The chunk that exists only because usage was asked for: no choices, and usage.
fn is_extra_chunk(frame: &[u8]) -> bool {
    let frame = Frame::parse(frame);
    let Ok(chunk) = serde_json::from_slice::<Members<'_>>(&frame.data) else {
        return false;
    };
    let choices = chunk.find("choices").and_then(raw::items);
    let usage = chunk.find("usage").and_then(Members::read);
    choices.is_some_and(|choices| choices.is_empty()) && usage.is_some()
}

fn skip_space(frame: &[u8], at: usize) -> usize {
    let rest = frame.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_ascii_start().len()
}
