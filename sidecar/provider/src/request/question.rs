//! The question that a request ends with, and all of the request but it.

use std::borrow::Cow;

use super::Request;
use super::fields::word;
use crate::json::{Document, Kind, NodeId};
use crate::splice;

/// Why a request ends with no question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoQuestion {
    /// The endpoint answers no questions.
    Endpoint,
    /// The last message is not the user's.
    LastTurn,
    /// The last message brings a tool's result.
    ToolResult,
    /// The last message holds more than text, such as an image.
    Media,
    /// The last message holds no text.
    Empty,
}

impl NoQuestion {
    /// Every word, for metrics that exist from the start.
    pub const WORDS: [&str; 5] = ["endpoint", "last_turn", "tool_result", "media", "empty"];

    /// The closed word for headers and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::LastTurn => "last_turn",
            Self::ToolResult => "tool_result",
            Self::Media => "media",
            Self::Empty => "empty",
        }
    }
}

impl Request {
    /// The text of the last message, its blocks joined by line feeds, if it is the user's and text alone.
    pub fn question(&self) -> Result<Cow<'_, str>, NoQuestion> {
        let texts = self.view.question(&self.document)?;
        let mut texts = texts.into_iter().filter_map(|node| self.document.text(node));
        let first = texts.next().ok_or(NoQuestion::Empty)?;
        let text = texts.fold(first, |joined, text| Cow::Owned(format!("{joined}\n{text}")));
        if text.trim().is_empty() {
            return Err(NoQuestion::Empty);
        }
        Ok(text)
    }

    /// The request with an empty text for each text of the question: its key is the same for all requests that differ
    /// in their question alone. Nothing for a request without one.
    pub fn without_question(&self) -> Option<Self> {
        let texts = self.view.question(&self.document).ok()?;
        let empty = |node: NodeId| self.replace(node, b"\"\"".to_vec());
        let mut splices: Vec<_> = texts.into_iter().map(empty).collect();
        Self::parse(self.endpoint, splice::apply(self.bytes(), &mut splices)).ok()
    }
}

/// The last element of a list as a question, if it is a message of the user.
pub(super) fn last(
    document: &Document,
    messages: impl Iterator<Item = NodeId>,
    is_user: impl Fn(NodeId) -> bool,
    text: &str,
) -> Result<Vec<NodeId>, NoQuestion> {
    let last = messages.last().ok_or(NoQuestion::Empty)?;
    if !is_user(last) {
        return Err(NoQuestion::LastTurn);
    }
    texts(
        document,
        document.member(last, "content").ok_or(NoQuestion::Empty)?,
        text,
    )
}

/// The text nodes of a content that holds nothing else; blocks of text have the type `kind`.
fn texts(document: &Document, content: NodeId, kind: &str) -> Result<Vec<NodeId>, NoQuestion> {
    if document.kind(content) == Kind::String {
        return Ok(vec![content]);
    }
    let text = |block| match word(document, block, "type").as_deref() {
        Some("tool_result") => Err(NoQuestion::ToolResult),
        Some(found) if found == kind => {
            let text = document.member(block, "text");
            text.filter(|text| document.kind(*text) == Kind::String)
                .ok_or(NoQuestion::Media)
        }
        _ => Err(NoQuestion::Media),
    };
    document.elements(content).map(text).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Endpoint;

    fn request(endpoint: Endpoint, body: &str) -> Request {
        Request::parse(endpoint, Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    fn partition(request: &Request) -> Vec<u8> {
        let mut all = Vec::new();
        if let Some(rest) = request.without_question() {
            rest.write_key(&mut |bytes| all.extend_from_slice(bytes));
        }
        all
    }

    const ANTHROPIC: &str = r#"{"model":"m","max_tokens":9,"system":"s","messages":[{"role":"user","content":"Q1"},
        {"role":"assistant","content":"A"},{"role":"user","content":[{"type":"text","text":"LAST"}]}]}"#;
    const CHAT: &str = r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"LAST"}]}"#;
    const RESPONSES: &str =
        r#"{"model":"m","store":false,"input":[{"role":"user","content":[{"type":"input_text","text":"LAST"}]}]}"#;
    const PLAIN_INPUT: &str = r#"{"model":"m","store":false,"input":"LAST"}"#;

    fn all() -> [(Endpoint, &'static str); 4] {
        [
            (Endpoint::AnthropicMessages, ANTHROPIC),
            (Endpoint::OpenAiChat, CHAT),
            (Endpoint::OpenAiResponses, RESPONSES),
            (Endpoint::OpenAiResponses, PLAIN_INPUT),
        ]
    }

    #[test]
    fn requests_that_differ_in_the_question_alone_share_a_partition() {
        for (endpoint, body) in all() {
            let one = request(endpoint, body);
            assert_eq!(one.question().unwrap(), "LAST");
            for text in ["other", r#"\"\" \\ \n"#, "llmcache key 1"] {
                let other = request(endpoint, &body.replace("LAST", text));
                assert_eq!(partition(&one), partition(&other), "{endpoint:?} {text}");
                assert!(!partition(&one).is_empty());
            }
        }
    }

    #[test]
    fn whatever_else_differs_is_another_partition() {
        let changes = [
            (0, r#""system":"s""#, r#""system":"t""#),
            (0, r#""content":"Q1""#, r#""content":"Q2""#),
            (0, r#""max_tokens":9"#, r#""max_tokens":8"#),
            (
                0,
                r#"{"type":"text","text":"LAST"}"#,
                r#"{"type":"text","text":"LAST"},{"type":"text","text":"x"}"#,
            ),
            (1, r#""content":"s""#, r#""content":"""#),
            (1, r#""model":"m""#, r#""model":"m","temperature":0"#),
            (2, r#""store":false"#, r#""store":false,"instructions":"i""#),
        ];
        for (at, from, to) in changes {
            let (endpoint, body) = all()[at];
            assert!(body.contains(from), "{from}");
            let other = request(endpoint, &body.replace(from, to));
            assert_ne!(partition(&request(endpoint, body)), partition(&other), "{to}");
        }
    }

    #[test]
    fn what_ends_otherwise_has_no_question() {
        let cases = [
            (r#"{"role":"assistant","content":"a"}"#, NoQuestion::LastTurn),
            (
                r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"r"},{"type":"text","text":"q"}]}"#,
                NoQuestion::ToolResult,
            ),
            (
                r#"{"role":"user","content":[{"type":"image","source":{}},{"type":"text","text":"q"}]}"#,
                NoQuestion::Media,
            ),
            (r#"{"role":"user","content":[]}"#, NoQuestion::Empty),
            (r#"{"role":"user","content":"  \n"}"#, NoQuestion::Empty),
        ];
        for (message, expected) in cases {
            let body = format!(r#"{{"model":"m","max_tokens":1,"messages":[{message}]}}"#);
            let request = request(Endpoint::AnthropicMessages, &body);
            assert_eq!(request.question(), Err(expected), "{message}");
        }
        let embeddings = request(Endpoint::OpenAiEmbeddings, r#"{"model":"m","input":"q"}"#);
        assert_eq!(embeddings.question(), Err(NoQuestion::Endpoint));
        let tool = r#"{"model":"m","messages":[{"role":"user","content":"q"},{"role":"tool","tool_call_id":"t","content":"r"}]}"#;
        assert_eq!(
            request(Endpoint::OpenAiChat, tool).question(),
            Err(NoQuestion::LastTurn)
        );
    }
}
