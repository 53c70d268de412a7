//! Members of an answer that repeat the request: every caller sees its own, in stored answers and in live streams.

use std::ops::Range;

use memchr::memmem;
use serde_json::value::RawValue;

use crate::Endpoint;
use crate::answer::raw::{Members, range};
use crate::error::stream_error;
use crate::request::Echo;
use crate::sse::{Frame, Gate, Passage};

/// Members about one call and the calls before it, which are never another caller's.
const PER_CALL: [&str; 2] = ["diagnostics", "prompt_cache_diagnostics"];

/// Most bytes of one frame held back; the longest, a terminal event, carries a whole answer.
const MOST_FRAME_BYTES: usize = 16 << 20;

/// Bytes to put in place of a range of the answer.
pub(super) type Edit = (Range<usize>, Vec<u8>);

/// Gives a caller that follows another's live stream its own echo members; chunks may be cut anywhere.
#[derive(Debug)]
pub struct EchoFilter {
    endpoint: Endpoint,
    echo: Echo,
    gate: Gate,
    is_broken: bool,
}

impl EchoFilter {
    /// A filter at the start of a stream, for a caller whose request has this `echo`.
    pub const fn new(endpoint: Endpoint, echo: Echo) -> Self {
        Self {
            endpoint,
            echo,
            gate: Gate::new(MOST_FRAME_BYTES),
            is_broken: false,
        }
    }

    /// Takes the next bytes and appends to `out` what the caller may have now; a frame is held until it is whole.
    ///
    /// A frame of more than 16 MiB cannot be rewritten: the provider's error event takes its place and ends the stream.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let Self {
            endpoint,
            echo,
            gate,
            is_broken,
        } = self;
        gate.feed(chunk, |passage| match passage {
            _ if *is_broken => {}
            Passage::Frame(frame) => pass(*endpoint, echo, frame, out),
            Passage::Part(_) => {
                *is_broken = true;
                out.extend_from_slice(&stream_error(
                    *endpoint,
                    "llmcache: an event of the shared answer is too long",
                ));
            }
        });
    }

    /// Appends what is still held when the stream has ended; half a frame cannot be rewritten and is left out.
    pub fn finish(self, out: &mut Vec<u8>) {
        let Self {
            endpoint,
            echo,
            gate,
            is_broken,
        } = self;
        gate.finish(|passage| match passage {
            Passage::Frame(frame) if !is_broken && is_whole(frame) => pass(endpoint, &echo, frame, out),
            Passage::Frame(_) | Passage::Part(_) => {}
        });
    }
}

/// What to change in an answer whose members were read from `text`.
pub(super) fn edits(endpoint: Endpoint, echo: &Echo, members: &Members<'_>, text: &[u8]) -> Vec<Edit> {
    let has = |name: &str| members.0.iter().any(|(key, _)| key == name);
    let mut echoed = echo.members.iter().map(|(name, _)| *name);
    // Chat never repeats these; a compatible upstream may not either, so none is made up where none is repeated.
    let is_repeating =
        matches!(endpoint, Endpoint::OpenAiResponses) && echoed.any(|name| name != "service_tier" && has(name));
    let mut edits = Vec::new();
    let mut missing = Vec::new();
    for (name, own) in &echo.members {
        if let Some(own) = own.as_ref().filter(|_| is_repeating && !has(name)) {
            missing.extend_from_slice(format!(",\"{name}\":").as_bytes());
            missing.extend_from_slice(own);
        }
        for (_, stored) in members.0.iter().filter(|(key, _)| key == name) {
            if own.is_some() || stored.get() != "null" {
                let own = echoed_value(name, own.as_deref());
                edits.push((range(text, stored), own.to_vec()));
            }
        }
    }
    for (_, stored) in members.0.iter().filter(|(name, _)| PER_CALL.contains(&&**name)) {
        edits.push((range(text, stored), b"null".to_vec()));
    }
    if let Some((_, last)) = members.0.last().filter(|_| !missing.is_empty()) {
        let end = range(text, last).end;
        edits.push((end..end, missing));
    }
    edits
}

/// What the provider answers for the caller's own value, or for its absence.
fn echoed_value<'a>(name: &str, own: Option<&'a [u8]>) -> &'a [u8] {
    match (name, own) {
        ("metadata", None) => b"{}",
        ("service_tier", None | Some(b"\"auto\"")) => b"\"default\"",
        ("store", None) => b"true",
        (_, own) => own.unwrap_or(b"null"),
    }
}

/// True when `text` may hold a member about one call.
pub(super) fn is_per_call(text: &[u8]) -> bool {
    PER_CALL
        .iter()
        .any(|name| memmem::find(text, name.as_bytes()).is_some())
}

/// Appends `text` to `out` with the edits made; they must not overlap.
pub(super) fn apply(mut edits: Vec<Edit>, text: &[u8], out: &mut Vec<u8>) {
    edits.sort_by_key(|(range, _)| range.start);
    let mut at = 0;
    for (range, bytes) in edits {
        out.extend_from_slice(text.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(&bytes);
        at = range.end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
}

fn pass(endpoint: Endpoint, echo: &Echo, frame: &[u8], out: &mut Vec<u8>) {
    let parsed = Frame::parse(frame);
    let mut edits = frame_edits(endpoint, echo, &parsed.data).unwrap_or_default();
    if edits.is_empty() {
        out.extend_from_slice(frame);
        return;
    }
    // Line breaks between a value's tokens would end the data line.
    for (_, own) in &mut edits {
        own.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    }
    if let Some(event) = parsed.event {
        out.extend_from_slice(&[b"event: ", event, b"\n"].concat());
    }
    out.extend_from_slice(b"data: ");
    apply(edits, &parsed.data, out);
    out.extend_from_slice(b"\n\n");
}

fn is_whole(frame: &[u8]) -> bool {
    let data = Frame::parse(frame).data;
    data.starts_with(b"[DONE]") || serde_json::from_slice::<&RawValue>(&data).is_ok()
}

fn frame_edits(endpoint: Endpoint, echo: &Echo, data: &[u8]) -> Option<Vec<Edit>> {
    let holder = match endpoint {
        Endpoint::AnthropicMessages | Endpoint::AnthropicCountTokens => "message",
        Endpoint::OpenAiResponses => "response",
        Endpoint::OpenAiChat | Endpoint::OpenAiEmbeddings => {
            let members: Members<'_> = serde_json::from_slice(data).ok()?;
            return Some(edits(endpoint, echo, &members, data));
        }
    };
    // Only the few lifecycle events hold an answer; the quotes are bare, so this is no text.
    memmem::find(data, format!("\"{holder}\"").as_bytes())?;
    let event: Members<'_> = serde_json::from_slice(data).ok()?;
    let answer = Members::read(event.find(holder)?)?;
    Some(edits(endpoint, echo, &answer, data))
}

#[cfg(test)]
mod tests;
