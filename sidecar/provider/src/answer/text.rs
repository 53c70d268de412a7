//! What a plain answer says in words.

use serde_json::Value;

use crate::Endpoint;

/// The text of a finished plain answer, thinking aside; nothing when it calls tools, refuses, or holds anything else.
pub fn text(endpoint: Endpoint, body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let text = match endpoint {
        Endpoint::AnthropicMessages => blocks(answer.get("content")?, &["thinking", "redacted_thinking"], "text"),
        Endpoint::OpenAiChat => chat(&answer),
        Endpoint::OpenAiResponses => responses(&answer),
        Endpoint::AnthropicCountTokens | Endpoint::OpenAiEmbeddings => None,
    };
    text.filter(|text| !text.trim().is_empty())
}

/// The texts of blocks of one type; nothing when there are others than those passed over.
fn blocks(list: &Value, passed_over: &[&str], kind: &str) -> Option<String> {
    let mut all = String::new();
    for block in list.as_array()? {
        let found = block.get("type")?.as_str()?;
        if found == kind {
            all.push_str(block.get("text")?.as_str()?);
        } else if !passed_over.contains(&found) {
            return None;
        }
    }
    Some(all)
}

fn chat(answer: &Value) -> Option<String> {
    let [choice] = &answer.get("choices")?.as_array()?[..] else {
        return None;
    };
    let message = choice.get("message")?;
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let is_absent = |name| message.get(name).is_none_or(is_empty);
    let is_text = ["tool_calls", "function_call", "refusal", "audio"]
        .into_iter()
        .all(is_absent);
    is_text.then(|| message.get("content")?.as_str().map(str::to_owned))?
}

fn responses(answer: &Value) -> Option<String> {
    let mut all = String::new();
    for item in answer.get("output")?.as_array()? {
        match item.get("type")?.as_str()? {
            "reasoning" => {}
            "message" => all.push_str(&blocks(item.get("content")?, &[], "output_text")?),
            _ => return None,
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_anything_else_is_none() {
        let of = |endpoint, body: &str| text(endpoint, body.as_bytes());
        let cases = [
            (
                Endpoint::AnthropicMessages,
                r#"{"content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
                Some("ab"),
            ),
            (
                Endpoint::AnthropicMessages,
                r#"{"content":[{"type":"text","text":"a"},{"type":"tool_use","id":"t","name":"n","input":{}}]}"#,
                None,
            ),
            (
                Endpoint::OpenAiChat,
                r#"{"choices":[{"message":{"content":"a","tool_calls":null}}]}"#,
                Some("a"),
            ),
            (
                Endpoint::OpenAiChat,
                r#"{"choices":[{"message":{"content":"a","refusal":"no"}}]}"#,
                None,
            ),
            (
                Endpoint::OpenAiChat,
                r#"{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}}]}"#,
                None,
            ),
            (
                Endpoint::OpenAiResponses,
                r#"{"output":[{"type":"reasoning"},{"type":"message","content":[{"type":"output_text","text":"a"}]}]}"#,
                Some("a"),
            ),
            (
                Endpoint::OpenAiResponses,
                r#"{"output":[{"type":"function_call"}]}"#,
                None,
            ),
            (Endpoint::OpenAiEmbeddings, r#"{"data":[]}"#, None),
            (Endpoint::OpenAiChat, "garbage", None),
        ];
        for (endpoint, body, expected) in cases {
            assert_eq!(of(endpoint, body).as_deref(), expected, "{body}");
        }
    }
}
