//! How the fake provider counts tokens: characters divided by four, rounded up once per total.
//!
//! Characters are those of message text, of the JSON of each tool call (`{"name": …, "input": …}` or OpenAI's
//! `function` object) and of the JSON of the tools, written with `", "` and `": "` between members. Counts add
//! up over the parts of a request before the one division, so the tokens of a prefix never fall as it grows.

use serde_json::{Map, Value};

/// Characters that an image or a binary document counts as, whatever its size: 1 500 tokens.
pub const MEDIA_CHARS: u64 = 6_000;

/// Tokens of a count of characters: a quarter, rounded up.
pub const fn tokens_of(chars: u64) -> u64 {
    chars.div_ceil(4)
}

/// Tokens of the whole prompt of a Messages, Chat Completions, Responses or Embeddings request.
pub fn tokens(request: &Value) -> u64 {
    tokens_of(prompt_chars(request))
}

/// Characters of the JSON form of a value, `", "` and `": "` between members; `cache_control` members are left out.
pub fn json_chars(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number.to_string().len() as u64,
        Value::String(text) => quoted_chars(text),
        Value::Array(items) => listed(items.iter().map(json_chars)),
        Value::Object(members) => object_chars(members),
    }
}

/// Characters of one tool of a request's `tools`, its share of the list's brackets and commas included.
pub(crate) fn tool_chars(tool: &Value) -> u64 {
    json_chars(tool) + 2
}

/// Characters of a message's or a system prompt's content: a string, or a list of blocks.
pub(crate) fn content_chars(content: &Value) -> u64 {
    match content {
        Value::String(text) => text_chars(text),
        Value::Array(blocks) => blocks.iter().map(block_chars).sum(),
        Value::Null => 0,
        other => json_chars(other),
    }
}

/// Characters of one content block or Responses input item.
pub(crate) fn block_chars(block: &Value) -> u64 {
    if let Value::String(text) = block {
        return text_chars(text);
    }
    let text = |name: &str| block[name].as_str().map_or(0, text_chars);
    match kind_of(block) {
        "text" | "input_text" | "output_text" | "summary_text" => text("text"),
        "refusal" => text("refusal"),
        "thinking" => text("thinking"),
        "redacted_thinking" => text("data"),
        "reasoning" => content_chars(&block["summary"]) + text("encrypted_content"),
        "image" | "image_url" | "input_image" | "input_audio" => MEDIA_CHARS,
        "document" | "file" | "input_file" => document_chars(block),
        "tool_use" | "server_tool_use" | "mcp_tool_use" => call_chars(block, "input"),
        "function_call" => call_chars(block, "arguments"),
        "function_call_output" => content_chars(&block["output"]),
        "message" => message_chars(block),
        kind if kind.ends_with("tool_result") => content_chars(&block["content"]),
        _ => json_chars(block),
    }
}

/// Characters of one message: its content and the JSON of each tool call's function.
pub(crate) fn message_chars(message: &Value) -> u64 {
    let calls = message["tool_calls"].as_array();
    let calls = calls.map_or(0, |calls| calls.iter().map(|call| json_chars(&call["function"])).sum());
    content_chars(&message["content"]) + calls
}

/// Characters of a tool call's `{"name": …, "<argument>": …}`.
pub(crate) fn call_json_chars(name: &str, argument: &str, value: &Value) -> u64 {
    let member = |key: &str, chars: u64| key.len() as u64 + 4 + chars;
    2 + member("name", quoted_chars(name)) + 2 + member(argument, json_chars(value))
}

/// Unicode scalar values of a text.
pub(crate) fn text_chars(text: &str) -> u64 {
    // Counting non-continuation bytes is what `chars().count()` does, and vectorises.
    text.chars().count() as u64
}

/// A block's type; an input item that has a role and no type is a message.
fn kind_of(block: &Value) -> &str {
    let untyped = if block["role"].is_null() { "" } else { "message" };
    block["type"].as_str().unwrap_or(untyped)
}

fn prompt_chars(request: &Value) -> u64 {
    let list = |name: &str| request[name].as_array().map_or(&[][..], Vec::as_slice);
    let tools: u64 = list("tools").iter().map(tool_chars).sum();
    let messages: u64 = list("messages").iter().map(message_chars).sum();
    let head = content_chars(&request["system"]) + content_chars(&request["instructions"]);
    tools + head + messages + content_chars(&request["input"])
}

fn call_chars(block: &Value, argument: &str) -> u64 {
    call_json_chars(block["name"].as_str().unwrap_or_default(), argument, &block[argument])
}

fn document_chars(block: &Value) -> u64 {
    let source = &block["source"];
    match source["type"].as_str() {
        Some("text") => source["data"].as_str().map_or(0, text_chars),
        Some("content") => content_chars(&source["content"]),
        _ => MEDIA_CHARS,
    }
}

fn object_chars(members: &Map<String, Value>) -> u64 {
    let counted = members.iter().filter(|(name, _)| *name != "cache_control");
    listed(counted.map(|(name, value)| quoted_chars(name) + 2 + json_chars(value)))
}

/// Brackets, the parts, and `", "` between them.
fn listed(parts: impl Iterator<Item = u64>) -> u64 {
    let (count, sum) = parts.fold((0_u64, 0_u64), |(count, sum), part| (count + 1, sum + part));
    2 + sum + 2 * count.saturating_sub(1)
}

fn quoted_chars(text: &str) -> u64 {
    let escaped = |letter: char| match letter {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        control if control < ' ' => 6,
        _ => 1,
    };
    2 + text.chars().map(escaped).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_counted_as_written_with_spaced_separators() {
        let value = json!({"a": [1, 2.5, true, null], "b": "q\"\n", "cache_control": {"type": "x"}});
        assert_eq!(
            json_chars(&value),
            r#"{"a": [1, 2.5, true, null], "b": "q\"\n"}"#.len() as u64
        );
        assert_eq!(json_chars(&json!([])), 2);
    }

    #[test]
    fn tools_add_up_to_the_json_of_the_list() {
        let tools = json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]);
        let parts: u64 = tools.as_array().unwrap().iter().map(tool_chars).sum();
        assert_eq!(parts, json_chars(&tools));
    }

    #[test]
    fn a_request_counts_text_calls_and_tools_and_rounds_once() {
        let request = json!({"system": "abc", "messages": [
            {"role": "user", "content": "de"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "f", "input": {"k": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "gh"}]},
        ]});
        let call = r#"{"name": "f", "input": {"k": 1}}"#.len() as u64;
        assert_eq!(tokens(&request), (3 + 2 + 2 + call).div_ceil(4));
        let chat = json!({"messages": [{"role": "assistant", "content": "a", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}]});
        assert_eq!(
            tokens(&chat),
            (1 + r#"{"name": "f", "arguments": "{}"}"#.len() as u64).div_ceil(4)
        );
    }
}
