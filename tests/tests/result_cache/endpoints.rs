//! The three endpoints, each with a request of one user text.

use llmcache_tests::kit::Call;
use serde_json::{Value, json};

/// A typed endpoint that is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Messages,
    Chat,
    Responses,
}

impl Endpoint {
    pub(crate) const ALL: [Self; 3] = [Self::Messages, Self::Chat, Self::Responses];

    pub(crate) fn body(self, text: &str) -> Value {
        let messages = json!([{"role": "user", "content": text}]);
        match self {
            Self::Messages => json!({"model": "claude-haiku-5-5", "max_tokens": 256, "messages": messages}),
            Self::Chat => json!({"model": "gpt-6-luna", "messages": messages}),
            Self::Responses => json!({"model": "gpt-6-luna", "input": text, "store": false}),
        }
    }

    pub(crate) fn call(self, body: &Value) -> Call {
        match self {
            Self::Messages => Call::messages(body),
            Self::Chat => Call::chat(body),
            Self::Responses => Call::responses(body),
        }
    }

    /// A stream's last event holds this.
    pub(crate) const fn end(self) -> &'static str {
        match self {
            Self::Messages => "message_stop",
            Self::Chat => "[DONE]",
            Self::Responses => "response.completed",
        }
    }
}
