//! The event order of Anthropic Messages.

use serde_json::value::RawValue;

use super::events::{Events, deltas, escape};
use crate::answer::raw::{self, Members, Node};

/// Usage totals that `message_delta` repeats; the split by lifetime, tier, speed and region stay in `message_start`.
const CUMULATIVE: [&str; 8] = [
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "iterations",
    "fallback_credit",
];

/// Usage that `message_start` does not know yet.
const LATE_USAGE: [&str; 3] = ["fallback_credit", "iterations", "output_tokens_details"];

/// Beside `delta` in `message_delta`, and absent from `message_start`.
const BESIDE: &str = "context_management";

/// Members that `message_delta` states, in its `delta`; `message_start` has null for them.
const LATE: [&str; 4] = ["stop_reason", "stop_sequence", "stop_details", "container"];

pub(super) fn events(answer: &[u8]) -> Option<Vec<u8>> {
    let message: Members<'_> = serde_json::from_slice(answer).ok()?;
    let content = raw::items(message.find("content")?)?;
    let mut events = Events::default();
    start(&mut events, &message, &content);
    for (index, block) in content.into_iter().enumerate() {
        self::block(&mut events, index, block)?;
    }
    end(&mut events, &message);
    events.named("message_stop", &[r#"{"type":"message_stop"}"#]);
    Some(events.finish())
}

fn start(events: &mut Events, message: &Members<'_>, content: &[&RawValue]) {
    let mut opening = Vec::with_capacity(message.0.len());
    for (name, value) in message.0.iter().filter(|(name, _)| name != BESIDE) {
        let node = match &**name {
            "content" => Node::List(Vec::new()),
            "model" => first_model(content).map_or_else(|| Node::raw(value), Node::raw),
            "usage" => {
                let mut usage = Node::open(value);
                if usage.find("output_tokens").is_some() {
                    usage.set("output_tokens", Node::json("1"));
                }
                for name in LATE_USAGE {
                    usage.remove(name);
                }
                usage
            }
            name if LATE.contains(&name) => Node::json("null"),
            _ => Node::raw(value),
        };
        opening.push((name.clone(), node));
    }
    let message = Node::Object(opening).to_text();
    events.named(
        "message_start",
        &[r#"{"type":"message_start","message":"#, &message, "}"],
    );
}

/// The model a stream began with, where it fell back to another.
fn first_model<'a>(content: &[&'a RawValue]) -> Option<&'a RawValue> {
    let mut blocks = content.iter().filter_map(|block| Members::read(block));
    let fallback = blocks.find(|block| block.text("type").as_deref() == Some("fallback"))?;
    Members::read(fallback.find("from")?)?.find("model")
}

fn block(events: &mut Events, index: usize, block: &RawValue) -> Option<()> {
    let members = Members::read(block)?;
    let kind = members.text("type")?;
    let mut opening = Node::from(&members);
    let growth = match &*kind {
        "text" => [
            cite(&mut opening, &members),
            grow(&mut opening, &members, "text", "text_delta"),
        ]
        .concat(),
        "thinking" => [
            grow(&mut opening, &members, "thinking", "thinking_delta"),
            sign(&mut opening, &members),
        ]
        .concat(),
        "tool_use" | "server_tool_use" | "mcp_tool_use" => input(&mut opening, &members),
        // What this version does not know arrives whole, as results of server tools do.
        _ => Vec::new(),
    };
    let place = format!(r#""index":{index}"#);
    let send = |events: &mut Events, event: &str, rest: &str| {
        events.named(event, &[r#"{"type":""#, event, r#"","#, &place, rest, "}"]);
    };
    let opening = format!(r#","content_block":{}"#, opening.to_text());
    send(events, "content_block_start", &opening);
    for delta in &growth {
        let delta = format!(r#","delta":{{"type":{delta}}}"#);
        send(events, "content_block_delta", &delta);
    }
    send(events, "content_block_stop", "");
    Some(())
}

fn grow(opening: &mut Node<'_>, block: &Members<'_>, name: &'static str, delta: &str) -> Vec<String> {
    let Some(content) = block.find(name).and_then(raw::content) else {
        return Vec::new();
    };
    opening.set(name, Node::json("\"\""));
    let parts = deltas(content).map(|part| format!(r#""{delta}","{name}":"{part}""#));
    parts.collect()
}

fn cite(opening: &mut Node<'_>, block: &Members<'_>) -> Vec<String> {
    let Some(citations) = block.find("citations").and_then(raw::items) else {
        return Vec::new();
    };
    opening.set("citations", Node::List(Vec::new()));
    let citations = citations.into_iter();
    citations
        .map(|citation| format!(r#""citations_delta","citation":{}"#, citation.get()))
        .collect()
}

fn sign(opening: &mut Node<'_>, block: &Members<'_>) -> Vec<String> {
    let Some(signature) = block.find("signature") else {
        return Vec::new();
    };
    opening.set("signature", Node::json("\"\""));
    vec![format!(r#""signature_delta","signature":{}"#, signature.get())]
}

/// The API opens every tool input with an empty delta.
fn input(opening: &mut Node<'_>, block: &Members<'_>) -> Vec<String> {
    let Some(input) = block.find("input") else {
        return Vec::new();
    };
    opening.set("input", Node::json("{}"));
    let input = escape(input.get());
    let parts = std::iter::once("").chain(deltas(&input));
    parts
        .map(|part| format!(r#""input_json_delta","partial_json":"{part}""#))
        .collect()
}

fn end(events: &mut Events, message: &Members<'_>) {
    let late = message.0.iter().filter(|(name, _)| LATE.contains(&&**name));
    let delta = Node::Object(late.map(|(name, value)| (name.clone(), Node::raw(value))).collect());
    let usage = message.find("usage").and_then(Members::read).unwrap_or_default();
    let totals = usage.0.iter().filter(|(name, _)| CUMULATIVE.contains(&&**name));
    let totals = Node::Object(totals.map(|(name, value)| (name.clone(), Node::raw(value))).collect());
    let beside = message
        .find(BESIDE)
        .map(|value| format!(",\"{BESIDE}\":{}", value.get()));
    events.named(
        "message_delta",
        &[
            r#"{"type":"message_delta","delta":"#,
            &delta.to_text(),
            r#","usage":"#,
            &totals.to_text(),
            &beside.unwrap_or_default(),
            "}",
        ],
    );
}
