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

/// Members that `message_delta` states, in its `delta` or beside it; `message_start` has null for them.
const LATE: [&str; 4] = ["stop_reason", "stop_sequence", "stop_details", "container"];

pub(super) fn events(answer: &[u8]) -> Option<Vec<u8>> {
    let message: Members<'_> = serde_json::from_slice(answer).ok()?;
    let content = raw::items(message.find("content")?)?;
    let mut events = Events::default();
    start(&mut events, &message);
    for (index, block) in content.into_iter().enumerate() {
        self::block(&mut events, index, block)?;
    }
    end(&mut events, &message);
    events.named("message_stop", &[r#"{"type":"message_stop"}"#]);
    Some(events.finish())
}

fn start(events: &mut Events, message: &Members<'_>) {
    let mut opening = Vec::with_capacity(message.0.len());
    for (name, value) in &message.0 {
        let node = match &**name {
            "content" => Node::List(Vec::new()),
            "usage" => {
                let mut usage = Node::open(value);
                if usage.find("output_tokens").is_some() {
                    usage.set("output_tokens", Node::json("1"));
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

fn block(events: &mut Events, index: usize, block: &RawValue) -> Option<()> {
    let members = Members::read(block)?;
    let kind = members.text("type")?;
    let mut opening = Node::open(block);
    let mut growth = Vec::new();
    match &*kind {
        "text" => {
            empty_list(&mut opening, &members, "citations");
            let citations = members.find("citations").and_then(raw::items);
            for citation in citations.unwrap_or_default() {
                growth.push(format!(r#""citations_delta","citation":{}"#, citation.get()));
            }
            grow(&mut opening, &members, "text", "text_delta", &mut growth)?;
        }
        "thinking" => {
            grow(&mut opening, &members, "thinking", "thinking_delta", &mut growth)?;
            if let Some(signature) = members.find("signature") {
                opening.set("signature", Node::json("\"\""));
                growth.push(format!(r#""signature_delta","signature":{}"#, signature.get()));
            }
        }
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            let input = escape(members.find("input")?.get());
            opening.set("input", Node::json("{}"));
            // The API opens every tool input with an empty delta.
            growth.push(r#""input_json_delta","partial_json":"""#.to_owned());
            growth.extend(deltas(&input).map(|part| format!(r#""input_json_delta","partial_json":"{part}""#)));
        }
        // What this version does not know arrives whole, as results of server tools do.
        _ => {}
    }
    let index = index.to_string();
    events.named(
        "content_block_start",
        &[
            r#"{"type":"content_block_start","index":"#,
            &index,
            r#","content_block":"#,
            &opening.to_text(),
            "}",
        ],
    );
    for delta in &growth {
        events.named(
            "content_block_delta",
            &[
                r#"{"type":"content_block_delta","index":"#,
                &index,
                r#","delta":{"type":"#,
                delta,
                "}}",
            ],
        );
    }
    events.named(
        "content_block_stop",
        &[r#"{"type":"content_block_stop","index":"#, &index, "}"],
    );
    Some(())
}

fn empty_list(opening: &mut Node<'_>, members: &Members<'_>, name: &'static str) {
    if members.find(name).is_some() {
        opening.set(name, Node::List(Vec::new()));
    }
}

fn grow(
    opening: &mut Node<'_>,
    members: &Members<'_>,
    name: &'static str,
    delta: &str,
    growth: &mut Vec<String>,
) -> Option<()> {
    let content = raw::content(members.find(name)?)?;
    opening.set(name, Node::json("\"\""));
    growth.extend(deltas(content).map(|part| format!(r#""{delta}","{name}":"{part}""#)));
    Some(())
}

fn end(events: &mut Events, message: &Members<'_>) {
    let late = message.0.iter().filter(|(name, _)| LATE.contains(&&**name));
    let delta = Node::Object(late.map(|(name, value)| (name.clone(), Node::raw(value))).collect());
    let usage = message.find("usage").and_then(Members::read).unwrap_or_default();
    let totals = usage.0.iter().filter(|(name, _)| CUMULATIVE.contains(&&**name));
    let totals = Node::Object(totals.map(|(name, value)| (name.clone(), Node::raw(value))).collect());
    events.named(
        "message_delta",
        &[
            r#"{"type":"message_delta","delta":"#,
            &delta.to_text(),
            r#","usage":"#,
            &totals.to_text(),
            "}",
        ],
    );
}
