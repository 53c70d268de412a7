//! Serves one stored answer in the caller's protocol: plain, or as the stream the provider would have sent.
//!
//! The answer keeps its id and usage (clients compute cost from them); what was paid is told in our own headers.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::Endpoint;
use crate::answer::chat::REASONING;
use crate::answer::raw::{self, Members, Node};
use crate::error::stream_error;
use crate::request::Echo;

mod anthropic;
mod chat;
mod events;
mod responses;

/// A stored answer and how this caller is to see it.
#[derive(Clone, Copy, Debug)]
pub struct Replay<'a> {
    /// The endpoint the answer was given on.
    pub endpoint: Endpoint,
    /// The plain JSON answer.
    pub answer: &'a [u8],
    /// The caller's own values for members that echo the request.
    pub echo: &'a Echo,
    /// A streaming Chat caller asked for the usage chunk.
    pub include_usage: bool,
    /// Leave out thinking blocks, reasoning items and reasoning text.
    pub without_thinking: bool,
}

/// Bytes to put in place of a range of the answer.
type Edit = (Range<usize>, Vec<u8>);

/// The stored bytes with the caller's own echo members, and without thinking if so asked; else byte for byte.
pub fn plain(replay: &Replay<'_>) -> Bytes {
    let Ok(members) = serde_json::from_slice::<Members<'_>>(replay.answer) else {
        return Bytes::copy_from_slice(replay.answer);
    };
    let mut edits = echo_edits(replay, &members);
    if replay.without_thinking {
        edits.extend(thinking_edit(replay, &members));
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = Vec::with_capacity(replay.answer.len() + 256);
    let mut at = 0;
    for (range, bytes) in edits {
        out.extend_from_slice(replay.answer.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(&bytes);
        at = range.end;
    }
    out.extend_from_slice(replay.answer.get(at..).unwrap_or_default());
    Bytes::from(out)
}

/// The whole SSE body of the stored answer, in the provider's event order.
///
/// An answer that `read_plain` would not accept becomes the provider's error event.
pub fn stream(replay: &Replay<'_>) -> Bytes {
    let answer = plain(replay);
    let events = match replay.endpoint {
        Endpoint::AnthropicMessages => anthropic::events(&answer),
        Endpoint::AnthropicCountTokens => None,
        Endpoint::OpenAiChat => chat::events(&answer, replay.include_usage),
        Endpoint::OpenAiResponses => responses::events(&answer),
    };
    events.map_or_else(
        || stream_error(replay.endpoint, "the stored answer cannot be replayed"),
        Bytes::from,
    )
}

fn echo_edits(replay: &Replay<'_>, members: &Members<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut missing = Vec::new();
    for (name, own) in &replay.echo.members {
        let mut stored = members.0.iter().filter(|(key, _)| key == name).peekable();
        if stored.peek().is_none()
            && let Some(own) = own
        {
            missing.extend_from_slice(format!(",\"{name}\":").as_bytes());
            missing.extend_from_slice(own);
        }
        for (_, value) in stored {
            let own = own.as_deref().unwrap_or_else(|| absent(name));
            edits.push((range(replay.answer, value), own.to_vec()));
        }
    }
    if let Some((_, last)) = members.0.last() {
        let end = range(replay.answer, last).end;
        edits.push((end..end, missing));
    }
    edits
}

/// What the provider echoes for a member the caller left out.
fn absent(name: &str) -> &'static [u8] {
    if name == "metadata" { b"{}" } else { b"null" }
}

fn thinking_edit(replay: &Replay<'_>, members: &Members<'_>) -> Option<Edit> {
    let (name, without): (_, fn(&RawValue) -> Option<Node<'_>>) = match replay.endpoint {
        Endpoint::AnthropicMessages => ("content", |block| {
            let kind = Members::read(block)?.text("type")?;
            let is_thinking = matches!(&*kind, "thinking" | "redacted_thinking");
            (!is_thinking).then(|| Node::raw(block))
        }),
        Endpoint::OpenAiResponses => ("output", |item| {
            let kind = Members::read(item)?.text("type")?;
            (kind != "reasoning").then(|| Node::raw(item))
        }),
        Endpoint::OpenAiChat => ("choices", without_reasoning),
        Endpoint::AnthropicCountTokens => return None,
    };
    let value = members.find(name)?;
    let kept = raw::items(value)?.into_iter().filter_map(without).collect();
    let text = Node::List(kept).to_text();
    Some((range(replay.answer, value), text.into_bytes()))
}

fn without_reasoning(choice: &RawValue) -> Option<Node<'_>> {
    let members = Members::read(choice)?;
    let mut message = Node::open(members.find("message")?);
    for name in REASONING {
        message.remove(name);
    }
    let mut choice = Node::from(members);
    choice.set(Cow::Borrowed("message"), message);
    Some(choice)
}

fn range(answer: &[u8], value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - answer.as_ptr().addr();
    start..start + value.get().len()
}

#[cfg(test)]
mod tests;
