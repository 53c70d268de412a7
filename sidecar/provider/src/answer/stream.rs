//! Reads a streamed answer while it passes: what it has used, whether it ended, and the bytes to assemble it from.
//!
//! The hot path splits frames and copies them; what a frame says is `seen.rs`'s business.

use bytes::Bytes;

use super::seen::{Seen, State};
use super::{Answer, NotAnswer, anthropic, chat, read_plain, responses};
use crate::Endpoint;
use crate::sse::{Frame, Splitter};
use crate::usage::{Billing, Usage};

/// Most bytes of one frame held for its usage when the stream itself is no longer kept.
const MOST_FRAME_BYTES: usize = 4 << 20;

/// An incremental reader of one streamed answer.
#[derive(Debug)]
pub struct StreamReader {
    endpoint: Endpoint,
    keep: usize,
    /// The whole stream while it is kept, else the current frame alone.
    held: Vec<u8>,
    frame_start: usize,
    is_kept: bool,
    is_frame_lost: bool,
    splitter: Splitter,
    seen: Seen,
}

impl StreamReader {
    /// A reader that keeps at most `keep` bytes of the raw stream for assembling; 0 reads usage alone.
    ///
    /// A raw stream is about ten times as large as the answer it carries. Past `keep` only the current frame is
    /// held, 4 MiB at most, and `finish` reports `TooLarge`.
    pub const fn new(endpoint: Endpoint, keep: usize) -> Self {
        Self {
            endpoint,
            keep,
            held: Vec::new(),
            frame_start: 0,
            is_kept: keep > 0,
            is_frame_lost: false,
            splitter: Splitter::new(),
            seen: Seen::new(),
        }
    }

    /// Takes the next bytes of the stream, cut anywhere.
    pub fn feed(&mut self, chunk: &[u8]) {
        if chunk.is_empty() {
            return;
        }
        if self.is_kept && self.held.len() + chunk.len() > self.keep {
            self.is_kept = false;
            self.held.drain(..self.frame_start);
            self.held.shrink_to_fit();
            self.frame_start = 0;
        }
        self.reserve(chunk.len());
        let mut rest = chunk;
        while let Some(end) = self.splitter.next_end(rest) {
            let (frame, tail) = rest.split_at(end);
            self.end_frame(frame);
            rest = tail;
        }
        let has_room = self.is_kept || self.held.len() + rest.len() <= MOST_FRAME_BYTES;
        self.is_frame_lost |= !has_room;
        if self.is_frame_lost {
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(rest);
        }
    }

    /// What the stream has said of its usage so far; also good for a cancelled stream.
    pub fn usage(&self) -> Option<(Usage, Billing)> {
        self.seen.usage(self.endpoint)
    }

    /// The model that answers, once the stream has named it.
    pub fn model(&self) -> Option<&str> {
        self.seen.model.as_deref()
    }

    /// Bytes of generated text so far (thinking and tool arguments included), to estimate output tokens from.
    pub const fn output_bytes(&self) -> u64 {
        self.seen.output_bytes
    }

    /// The terminal event has passed: `message_stop`, `[DONE]`, `response.completed`, `incomplete` or `failed`.
    pub const fn is_finished(&self) -> bool {
        matches!(self.seen.state, State::Finished)
    }

    /// The provider has reported an error inside the stream.
    pub const fn is_error(&self) -> bool {
        matches!(self.seen.state, State::Errored)
    }

    /// The last byte ended a frame, so that an event of our own may follow.
    pub const fn is_between_frames(&self) -> bool {
        self.splitter.is_between()
    }

    /// The stream has ended: what follows its last blank line counts as a frame, as SDKs read it.
    pub fn end(&mut self) {
        if self.held.len() > self.frame_start {
            self.end_frame(b"");
        }
    }

    /// Assembles the plain answer; ask for `usage` before, an unfinished stream has one too.
    pub fn finish(mut self) -> Result<Answer, NotAnswer> {
        self.end();
        match self.seen.state {
            State::Open => return Err(NotAnswer::Unfinished),
            State::Errored => return Err(NotAnswer::ErrorEvent),
            State::Finished => {}
        }
        if !self.is_kept {
            return Err(NotAnswer::TooLarge);
        }
        let body = match self.endpoint {
            Endpoint::AnthropicMessages => anthropic::assemble(&self.held)?,
            Endpoint::AnthropicCountTokens | Endpoint::OpenAiEmbeddings => Bytes::new(),
            Endpoint::OpenAiChat => chat::assemble(&self.held)?,
            Endpoint::OpenAiResponses => responses::assemble(&self.held)?,
        };
        read_plain(self.endpoint, body)
    }

    #[cfg(test)]
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Bytes of memory held now.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// Grows by doubling, yet never past the bound.
    fn reserve(&mut self, more: usize) {
        let needed = self.held.len() + more;
        if self.is_kept && needed > self.held.capacity() {
            let target = self.held.capacity().saturating_mul(2).clamp(needed, self.keep);
            self.held.reserve_exact(target - self.held.len());
        }
    }

    fn end_frame(&mut self, tail: &[u8]) {
        if self.is_frame_lost {
            self.is_frame_lost = false;
            return;
        }
        if !self.is_kept && self.held.is_empty() {
            return self.seen.read(self.endpoint, &Frame::parse(tail));
        }
        self.held.extend_from_slice(tail);
        let frame = Frame::parse(self.held.get(self.frame_start..).unwrap_or_default());
        self.seen.read(self.endpoint, &frame);
        if self.is_kept {
            self.frame_start = self.held.len();
        } else {
            self.held.clear();
        }
    }
}
