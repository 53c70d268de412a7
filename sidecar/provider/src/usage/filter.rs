//! Chat streams where usage was asked for on the client's behalf: gives back the stream it would have got.
//!
//! Only the extra chunk without choices and the `"usage":null` of other chunks go; all else passes byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use serde_json::value::RawValue;

use crate::answer::raw::{self, Members};
use crate::sse::{Frame, Splitter};

/// Most bytes of one frame held back; a longer one passes unchanged.
const MOST_FRAME_BYTES: usize = 1 << 20;

/// Removes usage from a Chat Completions stream, whose chunks may be cut anywhere.
#[derive(Debug)]
pub struct UsageFilter {
    held: Vec<u8>,
    is_passing: bool,
    splitter: Splitter,
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
            held: Vec::new(),
            is_passing: false,
            splitter: Splitter::new(),
        }
    }

    /// Takes the next bytes and appends to `out` what the client may have now; a frame is held until it is whole.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut rest = chunk;
        while let Some(end) = self.splitter.next_end(rest) {
            let (frame, tail) = rest.split_at(end);
            if self.is_passing {
                out.extend_from_slice(frame);
                self.is_passing = false;
            } else if self.held.is_empty() {
                pass(frame, out);
            } else {
                self.held.extend_from_slice(frame);
                pass(&self.held, out);
                self.held.clear();
            }
            rest = tail;
        }
        if self.is_passing {
            out.extend_from_slice(rest);
            return;
        }
        self.held.extend_from_slice(rest);
        if self.held.len() > MOST_FRAME_BYTES {
            out.append(&mut self.held);
            self.held = Vec::new();
            self.is_passing = true;
        }
    }

    /// Appends what is still held when the stream has ended.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.held);
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
    memmem::find(frame, b"\"usage\"")?;
    let parsed = Frame::parse(frame);
    // Data on several lines is nothing this provider sends; offsets into it would not be the frame's.
    let Cow::Borrowed(data) = parsed.data else {
        return None;
    };
    let chunk: Members<'_> = serde_json::from_slice(data).ok()?;
    let at = chunk.0.iter().position(|(name, _)| name == "usage")?;
    let (_, usage) = chunk.0.get(at)?;
    if usage.get().starts_with('{') {
        let choices = chunk.find("choices")?;
        let is_extra = raw::items(choices).is_some_and(|choices| choices.is_empty());
        return is_extra.then_some(0..frame.len());
    }
    if usage.get() != "null" {
        return None;
    }
    let end = range(frame, usage).end;
    if let Some(before) = at.checked_sub(1) {
        let (_, previous) = chunk.0.get(before)?;
        return Some(range(frame, previous).end..end);
    }
    let comma = frame.get(end..)?.iter().position(|byte| *byte == b',')?;
    let start = frame.iter().position(|byte| *byte == b'{')? + 1;
    (chunk.0.len() > 1).then_some(start..end + comma + 1)
}

fn range(frame: &[u8], value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - frame.as_ptr().addr();
    start..start + value.get().len()
}
