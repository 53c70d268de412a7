//! Anthropic Messages: assembles a stream's message and judges a message.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::raw::{self, Members, Node};
use super::seen::kind;
use super::{Answer, Finish, NotAnswer};
use crate::Endpoint;
use crate::sse::Frames;
use crate::usage;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    content: Option<Vec<Members<'a>>>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct Start<'a> {
    #[serde(borrow)]
    message: Members<'a>,
}

#[derive(Deserialize)]
struct BlockStart<'a> {
    index: usize,
    #[serde(borrow)]
    content_block: Members<'a>,
}

#[derive(Deserialize)]
struct BlockDelta<'a> {
    index: usize,
    #[serde(borrow)]
    delta: Members<'a>,
}

struct Block<'a> {
    node: Node<'a>,
    input: String,
}

/// What a stream has said so far.
struct Assembly<'a> {
    message: Node<'a>,
    usage: Node<'a>,
    blocks: Vec<Block<'a>>,
}

pub(super) fn judge(body: Bytes) -> Result<Answer, NotAnswer> {
    let message: Message<'_> = serde_json::from_slice(&body).map_err(|_| NotAnswer::Malformed)?;
    match &*message.kind {
        "message" => {}
        "error" => return Err(NotAnswer::ErrorEvent),
        _ => return Err(NotAnswer::Malformed),
    }
    let content = message.content.ok_or(NotAnswer::Malformed)?;
    let kinds = content.iter().map(|block| block.text("type"));
    let kinds: Vec<String> = kinds.collect::<Option<_>>().ok_or(NotAnswer::Malformed)?;
    let is_thinking = |kind: &str| matches!(kind, "thinking" | "redacted_thinking");
    let is_empty = content
        .iter()
        .zip(&kinds)
        .all(|(block, kind)| is_thinking(kind) || (kind == "text" && raw::is_blank(block.find("text"))));
    let has_tool_calls = kinds.iter().any(|kind| kind == "tool_use");
    let finish = match message.stop_reason.as_deref() {
        Some("end_turn" | "stop_sequence") if has_tool_calls => Finish::ToolUse,
        Some("end_turn" | "stop_sequence") if is_empty => Finish::Empty,
        Some("end_turn" | "stop_sequence") => Finish::Complete,
        Some("tool_use") => Finish::ToolUse,
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Truncated,
        Some("refusal") => Finish::Refused,
        Some("pause_turn" | "compaction") => Finish::Paused,
        word => Finish::unknown(word.unwrap_or_default()),
    };
    let (usage, mut billing) = usage::read(Endpoint::AnthropicMessages, &message.usage, None);
    billing.unbilled = finish == Finish::Refused && content.is_empty();
    let has_thinking = kinds.iter().any(|kind| is_thinking(kind));
    let model = message.model;
    Ok(Answer {
        body,
        usage,
        billing,
        model,
        finish,
        has_thinking,
        has_tool_calls,
    })
}

/// Assembles what the SDK's accumulator would; a delta it could not apply makes the whole answer malformed.
pub(super) fn assemble(stream: &[u8]) -> Result<Bytes, NotAnswer> {
    let frames: Vec<_> = Frames::new(stream).collect();
    let mut assembly = None;
    for frame in &frames {
        let data = &*frame.data;
        match (&*kind(frame), &mut assembly) {
            (b"message_start", None) => assembly = Some(Assembly::start(data).ok_or(NotAnswer::Malformed)?),
            (b"content_block_start", Some(assembly)) => assembly.open_block(data).ok_or(NotAnswer::Malformed)?,
            (b"content_block_delta", Some(assembly)) => assembly.grow_block(data).ok_or(NotAnswer::Malformed)?,
            (b"message_delta", Some(assembly)) => assembly.close(data).ok_or(NotAnswer::Malformed)?,
            (b"message_stop", Some(_)) => break,
            (
                b"message_start" | b"content_block_start" | b"content_block_delta" | b"message_delta" | b"message_stop",
                _,
            ) => {
                return Err(NotAnswer::Malformed);
            }
            _ => {}
        }
    }
    let assembly = assembly.ok_or(NotAnswer::Malformed)?;
    assembly.finish().ok_or(NotAnswer::Malformed)
}

impl<'a> Assembly<'a> {
    fn start(data: &'a [u8]) -> Option<Self> {
        let Start { message } = serde_json::from_slice(data).ok()?;
        let usage = message
            .find("usage")
            .map_or_else(|| Node::Object(Vec::new()), Node::open);
        Some(Self {
            message: message.into(),
            usage,
            blocks: Vec::new(),
        })
    }

    fn open_block(&mut self, data: &'a [u8]) -> Option<()> {
        let BlockStart { index, content_block } = serde_json::from_slice(data).ok()?;
        if index != self.blocks.len() {
            return None;
        }
        // After a fallback the plain answer is labelled with the model that served it.
        if content_block.text("type").as_deref() == Some("fallback") {
            let to = content_block.find("to").and_then(Members::read);
            if let Some(model) = to.and_then(|to| to.find("model")) {
                self.message.set("model", Node::raw(model));
            }
        }
        self.blocks.push(Block {
            node: content_block.into(),
            input: String::new(),
        });
        Some(())
    }

    fn grow_block(&mut self, data: &'a [u8]) -> Option<()> {
        let BlockDelta { index, delta } = serde_json::from_slice(data).ok()?;
        let block = self.blocks.get_mut(index)?;
        match &*delta.text("type")? {
            "text_delta" => block.append("text", &delta),
            "thinking_delta" => block.append("thinking", &delta),
            "signature_delta" => block.replace("signature", &delta),
            "input_json_delta" => {
                block.input.push_str(&delta.text("partial_json")?);
                Some(())
            }
            "citations_delta" => block.cite(delta.find("citation")?),
            "compaction_delta" => {
                for (name, value) in delta.0 {
                    if name != "type" {
                        block.node.set(name, Node::raw(value));
                    }
                }
                Some(())
            }
            _ => None,
        }
    }

    /// A later `message_delta` replaces what an earlier one said; null keeps what `message_start` said of usage.
    fn close(&mut self, data: &'a [u8]) -> Option<()> {
        let event: Members<'a> = serde_json::from_slice(data).ok()?;
        for (name, value) in &event.0 {
            match &**name {
                "type" => {}
                "delta" => {
                    for (name, value) in Members::read(value)?.0 {
                        if name != "container" || value.get() != "null" {
                            self.message.set(name, Node::raw(value));
                        }
                    }
                }
                "usage" => {
                    for (name, value) in Members::read(value)?.0 {
                        if value.get() != "null" {
                            self.usage.set(name, Node::raw(value));
                        }
                    }
                }
                _ if value.get() == "null" => {}
                _ => self.message.set(name.clone(), Node::raw(value)),
            }
        }
        Some(())
    }

    fn finish(mut self) -> Option<Bytes> {
        let mut content = Vec::with_capacity(self.blocks.len());
        for block in self.blocks {
            content.push(block.finish()?);
        }
        self.message.set("content", Node::List(content));
        self.message.set("usage", self.usage);
        Some(Bytes::from(self.message.to_text()))
    }
}

impl<'a> Block<'a> {
    fn append(&mut self, name: &'static str, delta: &Members<'a>) -> Option<()> {
        self.node.find(name)?.append(delta.find(name)?)
    }

    fn replace(&mut self, name: &'static str, delta: &Members<'a>) -> Option<()> {
        self.node.set(name, Node::raw(delta.find(name)?));
        Some(())
    }

    fn cite(&mut self, citation: &'a RawValue) -> Option<()> {
        if self.node.find("citations").is_none() {
            self.node.set("citations", Node::List(Vec::new()));
        }
        self.node.find("citations")?.list()?.push(Node::raw(citation));
        Some(())
    }

    fn finish(mut self) -> Option<Node<'a>> {
        let input = self.input.trim();
        if !input.is_empty() {
            let input: Box<RawValue> = serde_json::from_str(input).ok()?;
            self.node.set("input", Node::json(input.get().to_owned()));
        }
        Some(self.node)
    }
}
