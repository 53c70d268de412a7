//! Serves one stored answer in the caller's protocol: plain, or as the stream the provider would have sent.
//!
//! The answer keeps its id and usage (clients compute cost from them); what was paid is told in our own headers.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::Endpoint;
use crate::answer::chat::REASONING;
use crate::answer::raw::{self, Members, Node};
use crate::error::stream_error;
use crate::request::Echo;

mod anthropic;
mod chat;
mod echo;
mod events;
mod responses;

pub use echo::EchoFilter;

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

/// The stored bytes with the caller's own echo members, and without thinking if so asked; else byte for byte.
pub fn plain(replay: &Replay<'_>) -> Bytes {
    if replay.echo.members.is_empty() && !replay.without_thinking && !echo::is_per_call(replay.answer) {
        return Bytes::copy_from_slice(replay.answer);
    }
    let Ok(members) = serde_json::from_slice::<Members<'_>>(replay.answer) else {
        return Bytes::copy_from_slice(replay.answer);
    };
    let mut edits = echo::edits(replay.endpoint, replay.echo, &members, replay.answer);
    if replay.without_thinking {
        edits.extend(thinking_edit(replay, &members));
    }
    let mut out = Vec::with_capacity(replay.answer.len() + 256);
    echo::apply(edits, replay.answer, &mut out);
    Bytes::from(out)
}

/// The whole SSE body of the stored answer, in the provider's event order.
///
/// An answer that `read_plain` would not accept becomes the provider's error event.
pub fn stream(replay: &Replay<'_>) -> Bytes {
    let answer = plain(replay);
    let events = match replay.endpoint {
        Endpoint::AnthropicMessages => anthropic::events(&answer),
        Endpoint::AnthropicCountTokens | Endpoint::OpenAiEmbeddings => None,
        Endpoint::OpenAiChat => chat::events(&answer, replay.include_usage),
        Endpoint::OpenAiResponses => responses::events(&answer),
    };
    events.map_or_else(
        || stream_error(replay.endpoint, "llmcache: the stored answer cannot be replayed"),
        Bytes::from,
    )
}

fn thinking_edit(replay: &Replay<'_>, members: &Members<'_>) -> Option<echo::Edit> {
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
        Endpoint::AnthropicCountTokens | Endpoint::OpenAiEmbeddings => return None,
    };
    let value = members.find(name)?;
    let kept = raw::items(value)?.into_iter().filter_map(without).collect();
    let text = Node::List(kept).to_text();
    Some((raw::range(replay.answer, value), text.into_bytes()))
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

#[cfg(test)]
mod tests;
