//! What OpenAI's two endpoints share.

use super::NoKey;
use super::fields::{given, word};
use crate::json::{Document, Kind, NodeId};

/// The text of a string content, or of its parts of type `kind` joined by line feeds; nothing when there is none.
pub(super) fn text(document: &Document, content: NodeId, kind: &str) -> Option<String> {
    if let Some(text) = document.text(content) {
        return Some(text.into_owned());
    }
    let is_text = |part: &NodeId| {
        document
            .member(*part, "type")
            .is_some_and(|node| document.is_text(node, kind))
    };
    let texts = document
        .elements(content)
        .filter(is_text)
        .filter_map(|part| word(document, part, "text"));
    texts.reduce(|joined, text| joined + "\n" + &text)
}

/// Whether the provider runs this tool; a tool of unknown type counts as one.
pub(super) fn is_server_tool(document: &Document, tool: NodeId) -> bool {
    match word(document, tool, "type").as_deref() {
        Some("function" | "custom") => false,
        Some("namespace") => document
            .member(tool, "tools")
            .is_none_or(|nested| document.elements(nested).any(|tool| is_server_tool(document, tool))),
        _ => true,
    }
}

/// Whether `tool_choice` forces a call.
pub(super) fn forces_a_call(document: &Document, choice: Option<NodeId>) -> bool {
    let Some(choice) = choice else {
        return false;
    };
    match document.kind(choice) {
        Kind::String => document.is_text(choice, "required"),
        Kind::Object => {
            let allowed = document.member(choice, "allowed_tools").unwrap_or(choice);
            word(document, allowed, "mode").is_none_or(|mode| mode == "required")
        }
        _ => false,
    }
}

/// Whether any of these numbers differs from its default.
pub(super) fn differs(document: &Document, fields: &[(Option<NodeId>, f64)]) -> bool {
    fields
        .iter()
        .any(|(field, default)| given(document, *field).is_some_and(|node| document.number(node) != Some(*default)))
}

/// Why a content part keeps its request from having a key.
pub(super) fn part_no_key(document: &Document, part: NodeId) -> Option<NoKey> {
    let is_set = |object: NodeId, member: &str| document.set_member(object, member).is_some();
    match word(document, part, "type").as_deref() {
        Some("text" | "input_text" | "output_text" | "summary_text" | "reasoning_text" | "refusal" | "input_audio") => {
            None
        }
        Some("image_url") => url_no_key(document, document.member(part, "image_url")?, "url"),
        Some("file") => document
            .member(part, "file")
            .filter(|file| is_set(*file, "file_id"))
            .map(|_| NoKey::FileContent),
        Some("input_image" | "input_file") if is_set(part, "file_id") => Some(NoKey::FileContent),
        Some("input_image") => url_no_key(document, part, "image_url"),
        Some("input_file") if is_set(part, "file_url") => Some(NoKey::UrlContent),
        Some("input_file") => None,
        _ => Some(NoKey::UnknownBlock),
    }
}

/// Why content (a string, parts, or nothing) keeps its request from having a key.
pub(super) fn content_no_key(document: &Document, content: Option<NodeId>) -> Option<NoKey> {
    let content = given(document, content)?;
    match document.kind(content) {
        Kind::String => None,
        Kind::Array => document.elements(content).find_map(|part| part_no_key(document, part)),
        _ => Some(NoKey::UnknownBlock),
    }
}

/// An address whose bytes are in the request itself cannot change.
fn url_no_key(document: &Document, object: NodeId, member: &str) -> Option<NoKey> {
    let url = word(document, object, member);
    let is_inline = url.is_some_and(|url| url.starts_with("data:"));
    (!is_inline).then_some(NoKey::UrlContent)
}
