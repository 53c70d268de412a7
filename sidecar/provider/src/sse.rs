//! Server-sent events as bytes: finds where frames end across chunk boundaries and reads one frame.
//!
//! It knows the framing alone (LF, CRLF, CR, comments, several `data` lines), never what an event means.

use std::borrow::Cow;

/// Finds frame ends in chunks that may be cut anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Splitter {
    is_line_empty: bool,
    is_after_cr: bool,
    is_between: bool,
}

/// One frame: the event's name, if it has one, and its data lines joined by line feeds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) event: Option<&'a [u8]>,
    pub(crate) data: Cow<'a, [u8]>,
}

/// Holds a stream back until each frame is whole.
#[derive(Debug)]
pub(crate) struct Gate {
    held: Vec<u8>,
    most_bytes: usize,
    is_too_long: bool,
    splitter: Splitter,
}

/// What a gate lets through.
#[derive(Debug)]
pub(crate) enum Passage<'a> {
    /// A whole frame with its blank line; at the end of the stream, what is left.
    Frame(&'a [u8]),
    /// Part of a frame too long to hold.
    Part(&'a [u8]),
}

/// The frames of a whole body; what follows the last blank line counts as a frame, as SDKs read it.
pub(crate) struct Frames<'a> {
    rest: &'a [u8],
    splitter: Splitter,
}

impl Splitter {
    pub(crate) const fn new() -> Self {
        Self {
            is_line_empty: true,
            is_after_cr: false,
            is_between: true,
        }
    }

    /// No byte has come since the last frame ended.
    pub(crate) const fn is_between(&self) -> bool {
        self.is_between
    }

    /// The offset just behind the blank line that ends the current frame, if `bytes` holds it.
    ///
    /// `None` means all of `bytes` belongs to the current frame; otherwise the caller goes on behind the offset.
    pub(crate) fn next_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = usize::from(self.is_after_cr && bytes.first() == Some(&b'\n'));
        self.is_after_cr &= bytes.is_empty();
        while let Some(length) = memchr::memchr2(b'\n', b'\r', bytes.get(at..)?) {
            let is_blank = self.is_line_empty && length == 0;
            let is_cr = bytes.get(at + length) == Some(&b'\r');
            at += length + 1;
            if is_cr {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.is_after_cr = true,
                }
            }
            self.is_line_empty = true;
            if is_blank {
                self.is_between = true;
                return Some(at);
            }
        }
        self.is_line_empty &= at == bytes.len();
        // The line feed of a CR LF that a chunk boundary parted belongs to the frame before.
        self.is_between &= self.is_line_empty && at <= 1;
        None
    }
}

impl<'a> Frame<'a> {
    /// Reads the frame in `bytes`; a frame without data has empty `data`.
    pub(crate) fn parse(bytes: &'a [u8]) -> Self {
        let mut rest = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let mut frame = Self {
            event: None,
            data: Cow::Borrowed(b""),
        };
        let mut has_data = false;
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            if let Some(value) = field(line, b"data") {
                if has_data {
                    let joined = frame.data.to_mut();
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                } else {
                    frame.data = Cow::Borrowed(value);
                    has_data = true;
                }
            } else if let Some(value) = field(line, b"event") {
                frame.event = Some(value);
            }
        }
        frame
    }
}

impl Gate {
    pub(crate) const fn new(most_bytes: usize) -> Self {
        Self {
            held: Vec::new(),
            most_bytes,
            is_too_long: false,
            splitter: Splitter::new(),
        }
    }

    pub(crate) fn feed(&mut self, chunk: &[u8], mut sink: impl FnMut(Passage<'_>)) {
        let mut rest = chunk;
        while let Some(end) = self.splitter.next_end(rest) {
            let (frame, tail) = rest.split_at(end);
            if self.is_too_long {
                sink(Passage::Part(frame));
                self.is_too_long = false;
            } else if self.held.is_empty() {
                sink(Passage::Frame(frame));
            } else {
                self.held.extend_from_slice(frame);
                sink(Passage::Frame(&self.held));
                self.held.clear();
            }
            rest = tail;
        }
        if !self.is_too_long && self.held.len() + rest.len() <= self.most_bytes {
            self.held.extend_from_slice(rest);
            return;
        }
        for part in [&std::mem::take(&mut self.held), rest] {
            if !part.is_empty() {
                sink(Passage::Part(part));
            }
        }
        self.is_too_long = true;
    }

    pub(crate) fn finish(self, mut sink: impl FnMut(Passage<'_>)) {
        if !self.held.is_empty() {
            sink(Passage::Frame(&self.held));
        }
    }
}

impl<'a> Frames<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self {
            rest: body,
            splitter: Splitter::new(),
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.splitter.next_end(self.rest).unwrap_or(self.rest.len());
        let (frame, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Frame::parse(frame))
    }
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        [] => Some(b""),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
