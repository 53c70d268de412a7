//! An answer as a response object, or as named events with sequence numbers.

use serde_json::{Value, json};

use super::super::{Admitted, prompt_details};
use crate::fake::answer::{Answer, Part, Stop};
use crate::fake::bill::Tokens;
use crate::fake::call::{Caller, Due};
use crate::fake::playback::Piece;
use crate::fake::prices::Model;
use crate::fake::sse::{named, pieces};
use crate::fake::tokens::text_chars;

/// Fields of a response that repeat the request's, and what they are when it has none.
fn echoes() -> [(&'static str, Value); 21] {
    [
        ("background", json!(false)),
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("max_tool_calls", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", json!(true)),
        ("previous_response_id", Value::Null),
        ("prompt", Value::Null),
        ("prompt_cache_key", Value::Null),
        ("prompt_cache_retention", Value::Null),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("safety_identifier", Value::Null),
        ("store", json!(true)),
        ("temperature", json!(1.0)),
        ("text", json!({"format": {"type": "text"}, "verbosity": "medium"})),
        ("tool_choice", json!("auto")),
        ("tools", json!([])),
        ("top_logprobs", json!(0)),
        ("top_p", json!(1.0)),
        ("truncation", json!("disabled")),
        ("user", Value::Null),
    ]
}

/// What is known of a response before the model speaks.
pub(crate) struct Said {
    head: Value,
    model: &'static Model,
    tokens: Tokens,
    item_ids: Vec<String>,
    encrypts: bool,
    pads: bool,
}

/// Events in the making.
struct Stream {
    events: Vec<Piece>,
    pads: bool,
}

impl Said {
    pub(crate) fn new(caller: &Caller, due: &Due, admitted: &Admitted, asked: &Value) -> Self {
        let shared = &caller.shared;
        let mut head = json!({"id": due.id, "object": "response", "created_at": shared.clock.unix_seconds(),
            "status": "in_progress", "error": null, "incomplete_details": null, "model": asked["model"],
            "output": [], "service_tier": admitted.tier, "usage": null});
        for (name, default) in echoes() {
            head[name] = asked
                .get(name)
                .filter(|value| !value.is_null())
                .cloned()
                .unwrap_or(default);
        }
        let includes = asked["include"].as_array().into_iter().flatten();
        let encrypts = includes
            .into_iter()
            .any(|wanted| wanted == "reasoning.encrypted_content");
        let pads = asked["stream_options"]["include_obfuscation"] != false;
        let item_ids = (0..8).map(|_| shared.id("")).collect();
        Self {
            head,
            model: admitted.model,
            tokens: due.tokens,
            item_ids,
            encrypts,
            pads,
        }
    }

    /// The finished response.
    pub(crate) fn whole(&self, answer: &Answer) -> Value {
        let mut whole = self.head.clone();
        let (status, reason) = match answer.stop {
            Stop::Length => ("incomplete", Some("max_output_tokens")),
            Stop::Refusal => ("incomplete", Some("content_filter")),
            _ => ("completed", None),
        };
        whole["status"] = status.into();
        if let Some(reason) = reason {
            whole["incomplete_details"] = json!({"reason": reason});
        }
        let parts = answer.parts.iter().enumerate();
        whole["output"] = parts.filter_map(|(at, part)| self.item(at, part, status)).collect();
        whole["usage"] = self.usage(answer);
        whole
    }

    /// The events of a stream that ends in `whole`.
    pub(crate) fn events(&self, answer: &Answer, whole: &Value, chars: usize) -> Vec<Piece> {
        let mut stream = Stream {
            events: Vec::new(),
            pads: self.pads,
        };
        stream.push(json!({"type": "response.created", "response": self.head}), 0);
        stream.push(json!({"type": "response.in_progress", "response": self.head}), 0);
        let status = whole["status"].as_str().unwrap_or("completed");
        let mut output = 0;
        for (at, part) in answer.parts.iter().enumerate() {
            let Some(item) = self.item(at, part, status) else {
                continue;
            };
            stream.item(output, &item, part, chars);
            output += 1;
        }
        stream.push(json!({"type": format!("response.{status}"), "response": whole}), 0);
        stream.events
    }

    fn usage(&self, answer: &Answer) -> Value {
        let (prompt, output) = (self.tokens.prompt(), answer.output());
        let mut details = prompt_details(self.model, &self.tokens);
        if self.model.caches_at_breakpoints() {
            details["cache_write_tokens_details"] =
                json!({"ttl_30m_tokens": self.tokens.write_30m, "ttl_12h_tokens": self.tokens.write_12h});
        }
        json!({"input_tokens": prompt, "input_tokens_details": details, "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": answer.thinking_tokens()}, "total_tokens": prompt + output})
    }

    fn item(&self, at: usize, part: &Part, status: &str) -> Option<Value> {
        let id = format!("{}{at:02x}", self.item_ids[at % self.item_ids.len()]);
        match part {
            Part::Text(text) => Some(json!({"id": format!("msg_{id}"), "type": "message", "status": status,
                "role": "assistant", "content": [text_part(text)]})),
            Part::Thinking(text) => {
                let mut item = json!({"id": format!("rs_{id}"), "type": "reasoning",
                    "summary": [{"type": "summary_text", "text": text}]});
                if self.encrypts {
                    item["encrypted_content"] = format!("gAAAA{id}").into();
                }
                Some(item)
            }
            Part::Tool { name, input, id: given } => {
                let call = given.clone().unwrap_or_else(|| format!("call_{id}"));
                Some(
                    json!({"id": format!("fc_{id}"), "type": "function_call", "status": "completed",
                    "call_id": call, "name": name, "arguments": input.to_string()}),
                )
            }
            Part::Raw(_) => None,
        }
    }
}

impl Stream {
    fn push(&mut self, mut event: Value, chars: u64) {
        event["sequence_number"] = self.events.len().into();
        if self.pads && event["delta"].is_string() {
            event["obfuscation"] = "x7Qp2LmZ0aRt"[..12 - usize::try_from(chars % 12).unwrap_or(0)].into();
        }
        self.events.push(Piece {
            bytes: named(&event),
            chars,
        });
    }

    /// The events of one output item.
    fn item(&mut self, output: usize, item: &Value, part: &Part, chars: usize) {
        let mut opening = item.clone();
        let list = match part {
            Part::Thinking(_) => "summary",
            Part::Tool { .. } => "arguments",
            _ => "content",
        };
        opening[list] = if list == "arguments" { "".into() } else { json!([]) };
        if !opening["status"].is_null() {
            opening["status"] = "in_progress".into();
        }
        self.push(
            json!({"type": "response.output_item.added", "output_index": output, "item": opening}),
            0,
        );
        let place = json!({"item_id": item["id"], "output_index": output});
        match part {
            Part::Text(text) => self.text(&place, text, chars),
            Part::Thinking(text) => self.summary(&place, text, chars),
            Part::Tool { name, input, .. } => self.arguments(&place, (name, &input.to_string()), chars),
            Part::Raw(_) => {}
        }
        self.push(
            json!({"type": "response.output_item.done", "output_index": output, "item": item}),
            0,
        );
    }

    fn text(&mut self, place: &Value, text: &str, chars: usize) {
        let at = |fields: Value| with(place, &json!({"content_index": 0}), &fields);
        self.push(
            at(json!({"type": "response.content_part.added", "part": text_part("")})),
            0,
        );
        for piece in pieces(text, chars) {
            let delta = json!({"type": "response.output_text.delta", "delta": piece, "logprobs": []});
            self.push(at(delta), text_chars(piece));
        }
        self.push(
            at(json!({"type": "response.output_text.done", "text": text, "logprobs": []})),
            0,
        );
        self.push(
            at(json!({"type": "response.content_part.done", "part": text_part(text)})),
            0,
        );
    }

    fn summary(&mut self, place: &Value, text: &str, chars: usize) {
        let at = |fields: Value| with(place, &json!({"summary_index": 0}), &fields);
        let part = |text: &str| json!({"type": "summary_text", "text": text});
        self.push(
            at(json!({"type": "response.reasoning_summary_part.added", "part": part("")})),
            0,
        );
        for piece in pieces(text, chars) {
            self.push(
                at(json!({"type": "response.reasoning_summary_text.delta", "delta": piece})),
                text_chars(piece),
            );
        }
        self.push(
            at(json!({"type": "response.reasoning_summary_text.done", "text": text})),
            0,
        );
        self.push(
            at(json!({"type": "response.reasoning_summary_part.done", "part": part(text)})),
            0,
        );
    }

    fn arguments(&mut self, place: &Value, call: (&str, &str), chars: usize) {
        let (name, written) = call;
        let at = |fields: Value| with(place, &json!({}), &fields);
        for piece in pieces(written, chars) {
            self.push(
                at(json!({"type": "response.function_call_arguments.delta", "delta": piece})),
                text_chars(piece),
            );
        }
        let done = json!({"type": "response.function_call_arguments.done", "name": name, "arguments": written});
        self.push(at(done), 0);
    }
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// One object of the members of several; `type` comes first.
fn with(place: &Value, index: &Value, fields: &Value) -> Value {
    let mut event = json!({"type": fields["type"]});
    for part in [place, index, fields] {
        for (name, value) in part.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
    }
    event
}
