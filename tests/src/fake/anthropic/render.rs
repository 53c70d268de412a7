//! An answer as a Messages response: one JSON object, or events in the documented order.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::fake::answer::{Answer, Part, Stop};
use crate::fake::bill::Tokens;
use crate::fake::call::{Caller, Due};
use crate::fake::playback::Piece;
use crate::fake::sse::{named, pieces};
use crate::fake::tokens::text_chars;

/// What is known of a response before the model speaks.
pub(crate) struct Said {
    id: String,
    model: String,
    tokens: Tokens,
    speed: Option<Value>,
    geo: Value,
    tool_ids: Vec<String>,
    hides_thinking: bool,
}

type Sign<'a> = &'a dyn Fn(&str) -> String;

impl Said {
    pub(crate) fn new(due: &Due, request: &Value, caller: &Caller) -> Self {
        let display = &request["thinking"]["display"];
        Self {
            id: due.id.clone(),
            model: due.model.clone(),
            tokens: due.tokens,
            speed: request.get("speed").cloned(),
            geo: request
                .get("inference_geo")
                .cloned()
                .unwrap_or_else(|| "not_available".into()),
            tool_ids: (0..8).map(|_| caller.shared.id("toolu_01")).collect(),
            hides_thinking: display == "omitted",
        }
    }

    /// The plain response.
    pub(crate) fn message(&self, answer: &Answer, sign: Sign<'_>) -> Bytes {
        let parts = answer.parts.iter().enumerate();
        let content: Vec<Value> = parts.map(|(at, part)| self.block(at, part, sign)).collect();
        let (reason, sequence) = stop_of(answer);
        let mut usage = self.usage(answer.output());
        add_details(&mut usage, answer);
        let mut message = json!({"id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": content, "stop_reason": reason, "stop_sequence": sequence, "usage": usage});
        if answer.stop == Stop::Refusal {
            message["stop_details"] = refusal_details();
        }
        Bytes::from(message.to_string())
    }

    /// The events of a stream.
    pub(crate) fn events(&self, answer: &Answer, chars: usize, sign: Sign<'_>) -> Vec<Piece> {
        let mut events = Vec::new();
        let mut push = |data: &Value, chars: u64| {
            events.push(Piece {
                bytes: named(data),
                chars,
            });
        };
        let start = json!({"type": "message_start", "message": {"id": self.id, "type": "message", "role": "assistant",
            "model": self.model, "content": [], "stop_reason": null, "stop_sequence": null, "usage": self.usage(1)}});
        push(&start, 0);
        push(&json!({"type": "ping"}), 0);
        for (at, part) in answer.parts.iter().enumerate() {
            let start = self.opening(at, part);
            let whole = if matches!(part, Part::Raw(_)) { part.chars() } else { 0 };
            push(
                &json!({"type": "content_block_start", "index": at, "content_block": start}),
                whole,
            );
            for (delta, chars) in self.deltas(part, chars, sign) {
                push(
                    &json!({"type": "content_block_delta", "index": at, "delta": delta}),
                    chars,
                );
            }
            push(&json!({"type": "content_block_stop", "index": at}), 0);
        }
        let (reason, sequence) = stop_of(answer);
        let mut delta = json!({"stop_reason": reason, "stop_sequence": sequence});
        if answer.stop == Stop::Refusal {
            delta["stop_details"] = refusal_details();
        }
        let mut usage = json!({"input_tokens": self.tokens.input, "cache_creation_input_tokens": self.tokens.written(),
            "cache_read_input_tokens": self.tokens.read, "output_tokens": answer.output()});
        add_details(&mut usage, answer);
        push(&json!({"type": "message_delta", "delta": delta, "usage": usage}), 0);
        push(&json!({"type": "message_stop"}), 0);
        events
    }

    /// Usage with the split of written tokens by life.
    fn usage(&self, output: u64) -> Value {
        let tokens = &self.tokens;
        let mut usage = json!({"input_tokens": tokens.input, "cache_creation_input_tokens": tokens.written(),
            "cache_read_input_tokens": tokens.read,
            "cache_creation": {"ephemeral_5m_input_tokens": tokens.write_5m, "ephemeral_1h_input_tokens": tokens.write_1h},
            "output_tokens": output, "service_tier": "standard", "inference_geo": self.geo});
        if let Some(speed) = &self.speed {
            usage["speed"] = speed.clone();
        }
        usage
    }

    fn block(&self, at: usize, part: &Part, sign: Sign<'_>) -> Value {
        match part {
            Part::Text(text) => json!({"type": "text", "text": text}),
            Part::Thinking(text) => {
                let shown = if self.hides_thinking { "" } else { text };
                json!({"type": "thinking", "thinking": shown, "signature": sign(text)})
            }
            Part::Tool { name, input, id } => {
                json!({"type": "tool_use", "id": self.tool_id(at, id.as_ref()), "name": name, "input": input})
            }
            Part::Raw(block) => block.clone(),
        }
    }

    fn opening(&self, at: usize, part: &Part) -> Value {
        match part {
            Part::Text(_) => json!({"type": "text", "text": ""}),
            Part::Thinking(_) => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Part::Tool { name, id, .. } => {
                json!({"type": "tool_use", "id": self.tool_id(at, id.as_ref()), "name": name, "input": {}})
            }
            Part::Raw(block) => block.clone(),
        }
    }

    /// Deltas of a part, each with the characters of output it carries.
    fn deltas(&self, part: &Part, chars: usize, sign: Sign<'_>) -> Vec<(Value, u64)> {
        match part {
            Part::Text(text) => pieces(text, chars)
                .map(|piece| (json!({"type": "text_delta", "text": piece}), text_chars(piece)))
                .collect(),
            Part::Thinking(text) => {
                let shown = if self.hides_thinking { "" } else { text.as_str() };
                let mut deltas: Vec<_> = pieces(shown, chars)
                    .map(|piece| (json!({"type": "thinking_delta", "thinking": piece}), text_chars(piece)))
                    .collect();
                let hidden = text_chars(text) - text_chars(shown);
                deltas.push((json!({"type": "signature_delta", "signature": sign(text)}), hidden));
                deltas
            }
            Part::Tool { input, .. } => {
                let written = input.to_string();
                let mut deltas = vec![(json!({"type": "input_json_delta", "partial_json": ""}), 0)];
                deltas.extend(pieces(&written, chars).map(|piece| {
                    (
                        json!({"type": "input_json_delta", "partial_json": piece}),
                        text_chars(piece),
                    )
                }));
                deltas
            }
            Part::Raw(_) => Vec::new(),
        }
    }

    fn tool_id(&self, at: usize, given: Option<&String>) -> String {
        let own = || {
            let id = &self.tool_ids[at % self.tool_ids.len()];
            if at < self.tool_ids.len() {
                id.clone()
            } else {
                format!("{id}{at}")
            }
        };
        given.cloned().unwrap_or_else(own)
    }
}

/// The error event that may follow a 200.
pub(crate) fn error_event(request_id: &str) -> Bytes {
    let (kind, message) = super::usual(529);
    named(&json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}))
}

fn add_details(usage: &mut Value, answer: &Answer) {
    let thinking = answer.thinking_tokens();
    if thinking > 0 {
        usage["output_tokens_details"] = json!({"thinking_tokens": thinking});
    }
    if answer.searches > 0 {
        usage["server_tool_use"] = json!({"web_search_requests": answer.searches, "web_fetch_requests": 0});
    }
}

fn stop_of(answer: &Answer) -> (&str, Option<&str>) {
    match &answer.stop {
        Stop::Natural if answer.calls_tools() => ("tool_use", None),
        Stop::Natural => ("end_turn", None),
        Stop::Length => ("max_tokens", None),
        Stop::Sequence(sequence) => ("stop_sequence", Some(sequence)),
        Stop::Refusal => ("refusal", None),
        Stop::Other(reason) => (reason, None),
    }
}

fn refusal_details() -> Value {
    json!({"type": "refusal", "category": null, "explanation": null})
}
