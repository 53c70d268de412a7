//! Server-sent events as the providers write them: named for Anthropic and Responses, bare for Chat Completions.

use bytes::Bytes;
use serde_json::Value;

/// `event:` and `data:` lines; the name is the data's `type`.
pub(crate) fn named(data: &Value) -> Bytes {
    let name = data["type"].as_str().unwrap_or("message");
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// A `data:` line alone.
pub(crate) fn bare(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

/// Text in pieces of so many characters; an empty text has none.
pub(crate) fn pieces(text: &str, chars: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.char_indices().nth(chars.max(1)).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_named_by_type_and_text_is_cut_at_characters() {
        assert_eq!(
            named(&json!({"type": "ping"})),
            "event: ping\ndata: {\"type\":\"ping\"}\n\n"
        );
        assert_eq!(pieces("aéiou", 2).collect::<Vec<_>>(), ["aé", "io", "u"]);
        assert_eq!(pieces("", 2).count(), 0);
    }
}
