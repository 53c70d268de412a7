//! A Messages request in rendered order (tools, system, messages) as prefixes that can be looked up.
//!
//! The hash leaves out `cache_control`, takes a string as the one text block it stands for, and keeps the order of
//! members inside tool input and schemas. Settings enter it where they start to matter: model, workspace and betas before
//! the tools; web tools, citations and speed before `system`; tool choice, images, thinking, effort and output format
//! before the messages.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Mark, Prefix, Ttl};
use crate::fake::tokens::{block_chars, content_chars, text_chars, tool_chars};

/// Marks a request may carry, the automatic one included.
const MARKS: usize = 4;

/// A request's blocks: prefix hashes (only if it has marks), characters, marks.
#[derive(Debug, Default)]
pub(crate) struct Prompt {
    prefixes: Vec<Prefix>,
    through: Vec<u64>,
    marks: Vec<Mark>,
}

/// One block in rendered order.
struct Block<'a> {
    value: &'a Value,
    place: Place,
    role: Option<&'a str>,
    chars: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Message(usize, usize),
    System(usize),
    Tool(usize),
    WebTool(usize),
}

impl Prompt {
    pub(crate) fn chars(&self) -> u64 {
        self.through.last().copied().unwrap_or(0)
    }

    pub(crate) fn chars_through(&self, at: usize) -> u64 {
        self.through[at]
    }

    pub(crate) fn prefix(&self, at: usize) -> Prefix {
        self.prefixes[at]
    }

    pub(crate) fn marks(&self) -> &[Mark] {
        &self.marks
    }
}

/// Reads a request under a workspace and its betas; an error is the message of a 400.
pub(crate) fn read(request: &Value, workspace: &str, betas: &str) -> Result<Prompt, String> {
    let blocks = blocks(request);
    let marks = marks(request, &blocks)?;
    let mut prompt = Prompt {
        marks,
        ..Prompt::default()
    };
    let mut chars = 0;
    for block in &blocks {
        chars += block.chars;
        prompt.through.push(chars);
    }
    if !prompt.marks.is_empty() {
        prompt.prefixes = prefixes(request, &blocks, workspace, betas);
    }
    Ok(prompt)
}

fn blocks(request: &Value) -> Vec<Block<'_>> {
    let tools = request["tools"].as_array().map_or(&[][..], Vec::as_slice);
    let mut blocks = Vec::new();
    for (at, value) in tools.iter().enumerate().filter(|(_, tool)| !is_web(tool)) {
        blocks.push(Block {
            value,
            place: Place::Tool(at),
            role: None,
            chars: tool_chars(value),
        });
    }
    for (at, value) in tools.iter().enumerate().filter(|(_, tool)| is_web(tool)) {
        blocks.push(Block {
            value,
            place: Place::WebTool(at),
            role: None,
            chars: tool_chars(value),
        });
    }
    for (at, value) in listed(&request["system"]).iter().enumerate() {
        blocks.push(Block {
            value,
            place: Place::System(at),
            role: None,
            chars: chars_of(value),
        });
    }
    let messages = request["messages"].as_array().map_or(&[][..], Vec::as_slice);
    for (message, value) in messages.iter().enumerate() {
        let role = value["role"].as_str().unwrap_or_default();
        for (at, value) in listed(&value["content"]).iter().enumerate() {
            let role = (at == 0).then_some(role);
            blocks.push(Block {
                value,
                place: Place::Message(message, at),
                role,
                chars: chars_of(value),
            });
        }
    }
    blocks
}

/// A list as it is; a string or any other single value as a list of one.
fn listed(content: &Value) -> &[Value] {
    match content {
        Value::Array(blocks) => blocks,
        Value::Null => &[],
        single => std::slice::from_ref(single),
    }
}

fn chars_of(value: &Value) -> u64 {
    value.as_str().map_or_else(|| block_chars(value), text_chars)
}

fn is_web(tool: &Value) -> bool {
    let kind = tool["type"].as_str().unwrap_or_default();
    kind.starts_with("web_search_") || kind.starts_with("web_fetch_")
}

fn marks(request: &Value, blocks: &[Block<'_>]) -> Result<Vec<Mark>, String> {
    let mut marks = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        if let Some(ttl) = block.mark()? {
            marks.push(Mark { at, ttl });
        }
    }
    automatic(request, blocks, &mut marks)?;
    if marks.len() > MARKS {
        return Err(format!(
            "A maximum of {MARKS} blocks with cache_control may be provided. Found {}.",
            marks.len()
        ));
    }
    let mut short = false;
    for mark in &marks {
        if short && mark.ttl == Ttl::Hour {
            return Err(format!(
                "{}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`.",
                blocks[mark.at].place.name()
            ));
        }
        short |= mark.ttl == Ttl::FiveMinutes;
    }
    if !marks.is_empty() {
        after_server_tools(blocks, &mut marks);
    }
    Ok(marks)
}

/// The mark of a top-level `cache_control`: on the last block that can carry one.
fn automatic(request: &Value, blocks: &[Block<'_>], marks: &mut Vec<Mark>) -> Result<(), String> {
    let Some(ttl) = ttl_of(&request["cache_control"]).map_err(|error| format!("cache_control{error}"))? else {
        return Ok(());
    };
    let Some(at) = blocks.iter().rposition(|block| block.unmarkable().is_none()) else {
        return Ok(());
    };
    match marks.last().filter(|mark| mark.at == at) {
        Some(mark) if mark.ttl == ttl => {}
        Some(_) => {
            return Err(format!(
                "cache_control: the last block ({}) already has cache_control with a different ttl.",
                blocks[at].place.name()
            ));
        }
        None => marks.push(Mark { at, ttl }),
    }
    Ok(())
}

/// The provider's own five-minute marks, outside the limit of four and the order of lives.
fn after_server_tools(blocks: &[Block<'_>], marks: &mut Vec<Mark>) {
    for (at, block) in blocks.iter().enumerate() {
        let kind = block.value["type"].as_str().unwrap_or_default();
        if kind != "tool_result" && kind.ends_with("_tool_result") && marks.iter().all(|mark| mark.at != at) {
            marks.push(Mark {
                at,
                ttl: Ttl::FiveMinutes,
            });
        }
    }
    marks.sort_by_key(|mark| mark.at);
}

fn ttl_of(control: &Value) -> Result<Option<Ttl>, String> {
    if control.is_null() {
        return Ok(None);
    }
    if control["type"] != "ephemeral" {
        return Err(".type: Input should be 'ephemeral'".to_owned());
    }
    match control["ttl"].as_str() {
        None if control["ttl"].is_null() => Ok(Some(Ttl::FiveMinutes)),
        Some("5m") => Ok(Some(Ttl::FiveMinutes)),
        Some("1h") => Ok(Some(Ttl::Hour)),
        _ => Err(".ttl: Input should be '5m' or '1h'".to_owned()),
    }
}

impl Block<'_> {
    /// The block's mark, its own or that of a part of its tool result.
    fn mark(&self) -> Result<Option<Ttl>, String> {
        let named = |error| format!("{}.cache_control{error}", self.place.name());
        let mut ttl = ttl_of(&self.value["cache_control"]).map_err(named)?;
        for part in self.value["content"].as_array().into_iter().flatten() {
            ttl = ttl.or(ttl_of(&part["cache_control"]).map_err(named)?);
        }
        match (ttl, self.unmarkable()) {
            (Some(_), Some(why)) => Err(format!("{}.{why}", self.place.name())),
            (ttl, _) => Ok(ttl),
        }
    }

    /// Why the block cannot carry a mark.
    fn unmarkable(&self) -> Option<&'static str> {
        match self.value["type"].as_str() {
            Some("thinking") => Some("thinking.cache_control: Extra inputs are not permitted"),
            Some("redacted_thinking") => Some("redacted_thinking.cache_control: Extra inputs are not permitted"),
            Some("text") if self.value["text"] == "" => Some("text: cache_control cannot be set for empty text blocks"),
            _ if *self.value == "" => Some("text: cache_control cannot be set for empty text blocks"),
            _ => None,
        }
    }
}

impl Place {
    fn name(self) -> String {
        match self {
            Self::Message(message, block) => format!("messages.{message}.content.{block}"),
            Self::System(block) => format!("system.{block}"),
            Self::Tool(tool) | Self::WebTool(tool) => format!("tools.{tool}"),
        }
    }
}

fn prefixes(request: &Value, blocks: &[Block<'_>], workspace: &str, betas: &str) -> Vec<Prefix> {
    let mut hash = Sha256::new();
    for part in [workspace, request["model"].as_str().unwrap_or_default(), betas] {
        feed_text(&mut hash, part);
    }
    let (mut in_system, mut in_messages) = (false, false);
    let mut prefixes = Vec::with_capacity(blocks.len());
    for block in blocks {
        if !in_system && !matches!(block.place, Place::Tool(_)) {
            in_system = true;
            feed_system_settings(&mut hash, request);
        }
        if !in_messages && matches!(block.place, Place::Message(..)) {
            in_messages = true;
            feed_message_settings(&mut hash, request);
        }
        if let Some(role) = block.role {
            feed_text(&mut hash, role);
        }
        feed_block(&mut hash, block.value);
        let whole = hash.clone().finalize();
        let mut prefix = Prefix::default();
        prefix.copy_from_slice(&whole[..16]);
        prefixes.push(prefix);
    }
    prefixes
}

fn feed_system_settings(hash: &mut Sha256, request: &Value) {
    let speed = request["speed"].as_str().unwrap_or("standard");
    feed_text(hash, speed);
    let cites = mentions(&request["messages"], &|block| block["citations"]["enabled"] == true);
    hash.update([u8::from(cites)]);
}

fn feed_message_settings(hash: &mut Sha256, request: &Value) {
    let images = mentions(&request["messages"], &|block| block["type"] == "image");
    hash.update([u8::from(images)]);
    let choice = &request["tool_choice"];
    feed_text(hash, choice["type"].as_str().unwrap_or("auto"));
    feed(hash, &choice["name"]);
    hash.update([u8::from(choice["disable_parallel_tool_use"] == true)]);
    let thinking = &request["thinking"];
    feed_text(hash, thinking["type"].as_str().unwrap_or("disabled"));
    feed(hash, &thinking["budget_tokens"]);
    feed_text(hash, request["output_config"]["effort"].as_str().unwrap_or("high"));
    feed(hash, &request["output_config"]["format"]);
}

/// Whether any block of any message, at any depth of tool results, is such.
fn mentions(messages: &Value, is: &dyn Fn(&Value) -> bool) -> bool {
    let contents = messages.as_array().into_iter().flatten();
    contents
        .flat_map(|message| listed(&message["content"]))
        .any(|block| is(block) || listed(&block["content"]).iter().any(is))
}

fn feed_block(hash: &mut Sha256, block: &Value) {
    if let Some(text) = block.as_str() {
        feed_text(hash, "text");
        return feed_text(hash, text);
    }
    if block["type"] == "text" && content_chars(&block["citations"]) == 0 {
        feed_text(hash, "text");
        return feed_text(hash, block["text"].as_str().unwrap_or_default());
    }
    let mut members: Vec<_> = block.as_object().into_iter().flatten().collect();
    members.sort_by_key(|(name, _)| *name);
    for (name, value) in members.into_iter().filter(|(name, _)| *name != "cache_control") {
        feed_text(hash, name);
        feed(hash, value);
    }
}

fn feed(hash: &mut Sha256, value: &Value) {
    match value {
        Value::String(text) => feed_text(hash, text),
        Value::Array(items) => {
            hash.update([b'[']);
            hash.update(items.len().to_le_bytes());
            for item in items {
                feed(hash, item);
            }
        }
        Value::Object(members) => feed_members(hash, members),
        other => feed_text(hash, &other.to_string()),
    }
}

fn feed_members(hash: &mut Sha256, members: &Map<String, Value>) {
    hash.update([b'{']);
    for (name, value) in members.iter().filter(|(name, _)| *name != "cache_control") {
        feed_text(hash, name);
        feed(hash, value);
    }
    hash.update([b'}']);
}

fn feed_text(hash: &mut Sha256, text: &str) {
    hash.update(text.len().to_le_bytes());
    hash.update(text);
}
