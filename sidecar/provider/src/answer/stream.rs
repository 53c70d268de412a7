//! Reads a streamed answer while it passes: what it has used, whether it ended, and the bytes to assemble it from.
//!
//! The hot path splits frames and copies them; JSON is read only in the few frames that carry usage or an end.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Answer, NotAnswer, anthropic, chat, read_plain, responses};
use crate::Endpoint;
use crate::sse::{Frame, Splitter};
use crate::usage::{self, Billing, Usage};

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
    is_between_frames: bool,
    splitter: Splitter,
    seen: Seen,
}

/// What the frames so far have said.
#[derive(Debug, Default)]
struct Seen {
    model: Option<String>,
    usage: Option<Map<String, Value>>,
    service_tier: Option<String>,
    output_bytes: u64,
    is_finished: bool,
    is_error: bool,
}

/// The members that matter of any frame that is read; which are present depends on the endpoint.
#[derive(Deserialize)]
struct Notice {
    message: Option<Inner>,
    response: Option<Inner>,
    usage: Option<Map<String, Value>>,
    model: Option<String>,
    service_tier: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Inner {
    model: Option<String>,
    usage: Option<Map<String, Value>>,
    service_tier: Option<String>,
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
            is_between_frames: true,
            splitter: Splitter::new(),
            seen: Seen {
                model: None,
                usage: None,
                service_tier: None,
                output_bytes: 0,
                is_finished: false,
                is_error: false,
            },
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
        let mut rest = chunk;
        while let Some(end) = self.splitter.next_end(rest) {
            let (frame, tail) = rest.split_at(end);
            self.end_frame(frame);
            rest = tail;
        }
        self.is_between_frames = rest.is_empty();
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
        let usage = Value::Object(self.seen.usage.clone()?);
        Some(usage::read(self.endpoint, &usage, self.seen.service_tier.as_deref()))
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
        self.seen.is_finished
    }

    /// The provider has reported an error inside the stream.
    pub const fn is_error(&self) -> bool {
        self.seen.is_error
    }

    /// The last byte ended a frame, so that an event of our own may follow.
    pub const fn is_between_frames(&self) -> bool {
        self.is_between_frames
    }

    /// Assembles the plain answer; ask for `usage` before, an unfinished stream has one too.
    pub fn finish(mut self) -> Result<Answer, NotAnswer> {
        if self.held.len() > self.frame_start && !self.is_frame_lost {
            let frame = Frame::parse(self.held.get(self.frame_start..).unwrap_or_default());
            self.seen.read(self.endpoint, &frame);
        }
        if self.seen.is_error {
            return Err(NotAnswer::ErrorEvent);
        }
        if !self.seen.is_finished {
            return Err(NotAnswer::Unfinished);
        }
        if !self.is_kept {
            return Err(NotAnswer::TooLarge);
        }
        let body = match self.endpoint {
            Endpoint::AnthropicMessages => anthropic::assemble(&self.held)?,
            Endpoint::AnthropicCountTokens => Bytes::new(),
            Endpoint::OpenAiChat => chat::assemble(&self.held)?,
            Endpoint::OpenAiResponses => responses::assemble(&self.held)?,
        };
        read_plain(self.endpoint, body)
    }

    /// Bytes held now.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held.len()
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

impl Seen {
    fn read(&mut self, endpoint: Endpoint, frame: &Frame<'_>) {
        match endpoint {
            Endpoint::AnthropicMessages | Endpoint::AnthropicCountTokens => self.read_anthropic(frame),
            Endpoint::OpenAiChat => self.read_chat(&frame.data),
            Endpoint::OpenAiResponses => self.read_responses(frame),
        }
    }

    fn read_anthropic(&mut self, frame: &Frame<'_>) {
        match &*kind(frame) {
            b"content_block_delta" => {
                self.count(&frame.data, &[b"\"text\":", b"\"partial_json\":", b"\"thinking\":"]);
            }
            b"message_start" | b"message_delta" => self.notice(&frame.data),
            b"message_stop" => self.is_finished = true,
            b"error" => self.is_error = true,
            _ => {}
        }
    }

    fn read_chat(&mut self, data: &[u8]) {
        if data.starts_with(b"[DONE]") {
            self.is_finished = true;
            return;
        }
        self.count(
            data,
            &[
                b"\"content\":",
                b"\"arguments\":",
                b"\"refusal\":",
                b"\"reasoning_content\":",
            ],
        );
        let has_usage = value_of(data, b"\"usage\":").is_some_and(|value| value.starts_with(b"{"));
        if has_usage || self.model.is_none() || memmem::find(data, b"\"error\":").is_some() {
            self.notice(data);
        }
    }

    fn read_responses(&mut self, frame: &Frame<'_>) {
        match &*kind(frame) {
            event if event.ends_with(b".delta") => self.count(&frame.data, &[b"\"delta\":"]),
            b"response.created" => self.notice(&frame.data),
            b"response.completed" | b"response.incomplete" | b"response.failed" => {
                self.notice(&frame.data);
                self.is_finished = true;
            }
            b"error" => self.is_error = true,
            _ => {}
        }
    }

    fn count(&mut self, data: &[u8], names: &[&[u8]]) {
        for name in names {
            // A quote inside a JSON string is escaped, so the name with its bare quotes is a member's.
            if let Some(value) = value_of(data, name) {
                let length = value.strip_prefix(b"\"").map_or(0, literal_length);
                self.output_bytes = self.output_bytes.saturating_add(length);
            }
        }
    }

    fn notice(&mut self, data: &[u8]) {
        let Ok(notice) = serde_json::from_slice::<Notice>(data) else {
            return;
        };
        let inner = notice.message.or(notice.response);
        let (model, usage, tier) = inner.map_or((None, None, None), |inner| {
            (inner.model, inner.usage, inner.service_tier)
        });
        self.is_error |= notice.error.is_some();
        self.model = model.or(notice.model).or_else(|| self.model.take());
        self.service_tier = tier.or(notice.service_tier).or_else(|| self.service_tier.take());
        if let Some(later) = usage.or(notice.usage) {
            usage::overlay(self.usage.get_or_insert_default(), later);
        }
    }
}

/// The event's kind: its name, or the `type` in its data where a server leaves the name out.
pub(super) fn kind<'a>(frame: &'a Frame<'_>) -> Cow<'a, [u8]> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: String,
    }
    if let Some(event) = frame.event {
        return Cow::Borrowed(event);
    }
    let typed = serde_json::from_slice::<Typed>(&frame.data);
    Cow::Owned(typed.map_or_else(|_| Vec::new(), |typed| typed.kind.into_bytes()))
}

fn value_of<'a>(data: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(data, name)? + name.len();
    Some(data.get(at..)?.trim_ascii_start())
}

fn literal_length(literal: &[u8]) -> u64 {
    let mut at = 0;
    while let Some(next) = memchr::memchr2(b'"', b'\\', literal.get(at..).unwrap_or_default()) {
        at += next;
        if literal.get(at) == Some(&b'"') {
            return at as u64;
        }
        at += 2;
    }
    literal.len() as u64
}
