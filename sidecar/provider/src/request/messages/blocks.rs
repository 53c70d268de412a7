//! Anthropic's content blocks and tools, by type.

use crate::json::{Document, Kind, NodeId};
use crate::prompt::{Site, Ttl};
use crate::request::NoKey;

/// Who runs a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Client,
    Server,
    Unknown,
}

/// Tools whose types carry a date, by what stands before it.
const CLIENT_TOOLS: [&str; 5] = ["bash_", "browser_toolset_", "computer_", "memory_", "text_editor_"];
const SERVER_TOOLS: [&str; 6] = [
    "advisor",
    "code_execution",
    "mcp_toolset",
    "tool_search_tool",
    "web_fetch",
    "web_search",
];

/// Blocks that only the provider's own tools produce.
const SERVER_BLOCKS: [&str; 12] = [
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "container_upload",
    "mcp_tool_use",
    "mcp_tool_result",
    "mcp_tool_listing",
    "advisor_tool_result",
];

/// Blocks that take a mark; thinking does not, and nothing is assumed about unknown ones.
const MARKABLE: [&str; 13] = [
    "image",
    "document",
    "search_result",
    "tool_use",
    "tool_result",
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "container_upload",
];

pub(super) fn is_type(document: &Document, block: NodeId, kind: &str) -> bool {
    document
        .member(block, "type")
        .is_some_and(|node| document.is_text(node, kind))
}

pub(super) fn is_thinking(document: &Document, block: NodeId) -> bool {
    is_type(document, block, "thinking") || is_type(document, block, "redacted_thinking")
}

/// The text of a string content, or its text blocks joined by line feeds; nothing when there is none.
pub(super) fn text(document: &Document, content: NodeId) -> Option<String> {
    if let Some(text) = document.text(content) {
        return Some(text.into_owned());
    }
    let blocks = document
        .elements(content)
        .filter(|block| is_type(document, *block, "text"));
    let texts = blocks.filter_map(|block| document.text(document.member(block, "text")?));
    texts.map(String::from).reduce(|joined, text| joined + "\n" + &text)
}

pub(super) fn tool(document: &Document, tool: NodeId) -> Tool {
    if document.kind(tool) != Kind::Object {
        return Tool::Unknown;
    }
    let Some(kind) = document.set_member(tool, "type") else {
        return Tool::Client;
    };
    let kind = document.text(kind).unwrap_or_default();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| kind.starts_with(prefix));
    match kind.as_ref() {
        "custom" => Tool::Client,
        _ if begins(&CLIENT_TOOLS) => Tool::Client,
        _ if begins(&SERVER_TOOLS) => Tool::Server,
        _ => Tool::Unknown,
    }
}

/// Why a message keeps its request from having a key.
pub(super) fn message_no_key(document: &Document, message: NodeId) -> Option<NoKey> {
    let role = document.member(message, "role").and_then(|role| document.text(role));
    if !matches!(role.as_deref(), Some("user" | "assistant" | "system")) {
        return Some(NoKey::UnknownBlock);
    }
    content_no_key(document, document.member(message, "content")?)
}

/// Why a content block keeps its request from having a key.
pub(super) fn no_key(document: &Document, block: NodeId) -> Option<NoKey> {
    let kind = document.member(block, "type").and_then(|kind| document.text(kind));
    match kind.as_deref() {
        Some("text" | "thinking" | "redacted_thinking" | "tool_use" | "tool_reference" | "browser_state") => None,
        Some("image" | "document") => source_no_key(document, document.member(block, "source")),
        Some("search_result" | "tool_result") => content_no_key(document, document.member(block, "content")?),
        Some("compaction") => Some(NoKey::Compaction),
        Some(kind) if SERVER_BLOCKS.contains(&kind) => Some(NoKey::HostedTool),
        _ => Some(NoKey::UnknownBlock),
    }
}

fn content_no_key(document: &Document, content: NodeId) -> Option<NoKey> {
    match document.kind(content) {
        Kind::String | Kind::Null => None,
        Kind::Array => document.elements(content).find_map(|block| no_key(document, block)),
        _ => Some(NoKey::UnknownBlock),
    }
}

fn source_no_key(document: &Document, source: Option<NodeId>) -> Option<NoKey> {
    let kind = source.and_then(|source| document.member(source, "type"));
    match kind.and_then(|kind| document.text(kind)).as_deref() {
        Some("base64" | "text") => None,
        Some("content") => content_no_key(document, document.member(source?, "content")?),
        Some("file") => Some(NoKey::FileContent),
        Some("url") => Some(NoKey::UrlContent),
        _ => Some(NoKey::UnknownBlock),
    }
}

/// The mark on a tool or block itself.
pub(super) fn mark(document: &Document, block: NodeId) -> Option<Ttl> {
    let mark = document.set_member(block, "cache_control")?;
    Some(ttl(document, mark))
}

/// How long a `cache_control` value asks for.
pub(super) fn ttl(document: &Document, mark: NodeId) -> Ttl {
    match document.member(mark, "ttl") {
        Some(ttl) if document.is_text(ttl, "1h") => Ttl::OneHour,
        _ => Ttl::FiveMinutes,
    }
}

/// The marks on blocks nested in this one: a tool result's content, a document's.
pub(super) fn nested_marks(document: &Document, block: NodeId) -> Vec<Ttl> {
    let content = document.member(block, "content");
    let source = document
        .member(block, "source")
        .and_then(|source| document.member(source, "content"));
    let lists = content.into_iter().chain(source);
    lists
        .flat_map(|list| document.elements(list))
        .filter_map(|nested| mark(document, nested))
        .collect()
}

/// Where a mark may go on a tool: the provider refuses one on a tool that is only loaded when searched for.
pub(super) fn tool_site(document: &Document, tool: NodeId) -> Site {
    let is_deferred = document
        .member(tool, "defer_loading")
        .is_some_and(|node| document.kind(node) == Kind::True);
    if document.kind(tool) == Kind::Object && !is_deferred {
        Site::Block(tool)
    } else {
        Site::None
    }
}

/// Where a mark may go on a content block.
pub(super) fn block_site(document: &Document, block: NodeId) -> Site {
    if is_type(document, block, "text") {
        let text = document.member(block, "text");
        return if text.is_some_and(|text| document.has_text(text)) {
            Site::Block(block)
        } else {
            Site::None
        };
    }
    let is_markable = MARKABLE.iter().any(|kind| is_type(document, block, kind));
    if is_markable { Site::Block(block) } else { Site::None }
}

/// Where a mark may go on a string that stands for one text block.
pub(super) fn string_site(document: &Document, string: NodeId) -> Site {
    if document.has_text(string) {
        Site::String(string)
    } else {
        Site::None
    }
}

/// The string of a text block that says nothing else, so that it reads as the plain string it stands for.
pub(super) fn plain_text(document: &Document, block: NodeId) -> Option<NodeId> {
    let known = ["type", "text", "cache_control"];
    let is_known = |name: NodeId| known.iter().any(|known| document.is_text(name, known));
    let is_plain = is_type(document, block, "text") && document.members(block).all(|(name, _)| is_known(name));
    let text = document.member(block, "text").filter(|_| is_plain)?;
    (document.kind(text) == Kind::String).then_some(text)
}
