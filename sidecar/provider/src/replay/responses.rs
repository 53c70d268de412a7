//! The event order of `OpenAI` Responses.

use serde_json::value::RawValue;

use super::events::{Events, deltas};
use crate::answer::raw::{self, Members, Node};

/// Numbers the events and remembers which item and part they belong to.
#[derive(Default)]
struct Sequence {
    events: Events,
    next: u64,
}

/// Where an item stands: `"output_index":…,"item_id":…`.
struct Place(String);

/// A text that arrives in deltas: the event family, the member that holds it, and further members of each delta.
struct Growth<'a> {
    family: &'a str,
    name: &'a str,
    place: String,
    content: &'a str,
    extra: &'a str,
}

pub(super) fn events(answer: &[u8]) -> Option<Vec<u8>> {
    let response: Members<'_> = serde_json::from_slice(answer).ok()?;
    let output = response.find("output").and_then(raw::items);
    let mut sequence = Sequence::default();
    let opening = format!(r#""response":{}"#, opening(&response));
    sequence.send("response.created", &opening);
    sequence.send("response.in_progress", &opening);
    for (index, item) in output.unwrap_or_default().into_iter().enumerate() {
        sequence.item(index, item)?;
    }
    let terminal = match response.text("status").as_deref() {
        Some("incomplete") => "response.incomplete",
        Some("failed" | "cancelled") => "response.failed",
        _ => "response.completed",
    };
    let answer = std::str::from_utf8(answer).ok()?;
    sequence.send(terminal, &format!(r#""response":{answer}"#));
    Some(sequence.events.finish())
}

/// The response as it is when it begins: nothing in it, nothing used.
fn opening(response: &Members<'_>) -> String {
    let mut opening = Vec::with_capacity(response.0.len());
    for (name, value) in &response.0 {
        let node = match &**name {
            "output" => Node::List(Vec::new()),
            "status" => Node::json("\"in_progress\""),
            "usage" | "completed_at" | "incomplete_details" | "error" => Node::json("null"),
            _ => Node::raw(value),
        };
        opening.push((name.clone(), node));
    }
    Node::Object(opening).to_text()
}

impl Sequence {
    fn send(&mut self, event: &str, members: &str) {
        let number = self.next.to_string();
        self.next += 1;
        self.events.named(
            event,
            &[
                r#"{"type":""#,
                event,
                r#"","sequence_number":"#,
                &number,
                ",",
                members,
                "}",
            ],
        );
    }

    fn item(&mut self, index: usize, item: &RawValue) -> Option<()> {
        let members = Members::read(item)?;
        let kind = members.text("type")?;
        let id = members.find("id").map_or("\"\"", RawValue::get);
        let place = Place(format!(r#""output_index":{index},"item_id":{id}"#));
        let opening = opening_item(&kind, &members).to_text();
        self.send(
            "response.output_item.added",
            &format!(r#""output_index":{index},"item":{opening}"#),
        );
        match &*kind {
            "message" => self.parts(&place, &members),
            "reasoning" => {
                self.summary(&place, &members);
                self.parts(&place, &members);
            }
            "function_call" => self.arguments("response.function_call_arguments", "arguments", &place, &members),
            "mcp_call" => self.arguments("response.mcp_call_arguments", "arguments", &place, &members),
            "custom_tool_call" => self.arguments("response.custom_tool_call_input", "input", &place, &members),
            // What this version does not know arrives whole.
            _ => {}
        }
        self.send(
            "response.output_item.done",
            &format!(r#""output_index":{index},"item":{}"#, item.get()),
        );
        Some(())
    }

    fn parts(&mut self, place: &Place, item: &Members<'_>) {
        let parts = item.find("content").and_then(raw::items);
        for (index, part) in parts.unwrap_or_default().into_iter().enumerate() {
            let Some(members) = Members::read(part) else {
                continue;
            };
            let place = format!(r#"{},"content_index":{index}"#, place.0);
            let kind = members.text("type").unwrap_or_default();
            let (family, name) = match &*kind {
                "output_text" => ("response.output_text", "text"),
                "refusal" => ("response.refusal", "refusal"),
                "reasoning_text" => ("response.reasoning_text", "text"),
                _ => ("", ""),
            };
            let opening = opening_part(&members, name).to_text();
            self.send("response.content_part.added", &format!(r#"{place},"part":{opening}"#));
            if let Some(content) = members.find(name).and_then(raw::content) {
                let logprobs = members.find("logprobs").map_or("[]", RawValue::get);
                let extra = if kind == "output_text" { logprobs } else { "" };
                let place = place.clone();
                self.grow(&Growth {
                    family,
                    name,
                    place,
                    content,
                    extra,
                });
            }
            let annotations = members.find("annotations").and_then(raw::items);
            for (at, annotation) in annotations.unwrap_or_default().into_iter().enumerate() {
                let annotation = annotation.get();
                self.send(
                    "response.output_text.annotation.added",
                    &format!(r#"{place},"annotation_index":{at},"annotation":{annotation}"#),
                );
            }
            self.send(
                "response.content_part.done",
                &format!(r#"{place},"part":{}"#, part.get()),
            );
        }
    }

    fn summary(&mut self, place: &Place, item: &Members<'_>) {
        let parts = item.find("summary").and_then(raw::items);
        for (index, part) in parts.unwrap_or_default().into_iter().enumerate() {
            let Some(members) = Members::read(part) else {
                continue;
            };
            let place = format!(r#"{},"summary_index":{index}"#, place.0);
            let opening = opening_part(&members, "text").to_text();
            self.send(
                "response.reasoning_summary_part.added",
                &format!(r#"{place},"part":{opening}"#),
            );
            if let Some(content) = members.find("text").and_then(raw::content) {
                let (family, name) = ("response.reasoning_summary_text", "text");
                let place = place.clone();
                self.grow(&Growth {
                    family,
                    name,
                    place,
                    content,
                    extra: "",
                });
            }
            self.send(
                "response.reasoning_summary_part.done",
                &format!(r#"{place},"part":{}"#, part.get()),
            );
        }
    }

    fn arguments(&mut self, family: &str, name: &str, place: &Place, item: &Members<'_>) {
        if let Some(content) = item.find(name).and_then(raw::content) {
            let place = place.0.clone();
            self.grow(&Growth {
                family,
                name,
                place,
                content,
                extra: "",
            });
        }
    }

    /// The deltas and the `done`; log probabilities come with the first delta, as their tokens need not be whole text.
    fn grow(&mut self, growth: &Growth<'_>) {
        let Growth {
            family,
            name,
            place,
            content,
            extra,
        } = growth;
        let logprobs = |logprobs: &str| {
            if extra.is_empty() {
                String::new()
            } else {
                format!(r#","logprobs":{logprobs}"#)
            }
        };
        for (at, part) in deltas(content).enumerate() {
            let logprobs = logprobs(if at == 0 { extra } else { "[]" });
            self.send(
                &format!("{family}.delta"),
                &format!(r#"{place},"delta":"{part}"{logprobs}"#),
            );
        }
        let logprobs = logprobs(extra);
        self.send(
            &format!("{family}.done"),
            &format!(r#"{place},"{name}":"{content}"{logprobs}"#),
        );
    }
}

/// An item as it is when it begins.
fn opening_item<'a>(kind: &str, item: &Members<'a>) -> Node<'a> {
    let grows: &[&str] = match kind {
        "message" | "reasoning" => &["content", "summary"],
        "function_call" | "mcp_call" => &["arguments"],
        "custom_tool_call" => &["input"],
        _ => {
            return Node::from(item);
        }
    };
    let mut opening = Vec::with_capacity(item.0.len());
    for (name, value) in &item.0 {
        let node = match &**name {
            "status" if value.get() != "null" => Node::json("\"in_progress\""),
            name if grows.contains(&name) && value.get().starts_with('[') => Node::List(Vec::new()),
            name if grows.contains(&name) && value.get().starts_with('"') => Node::json("\"\""),
            _ => Node::raw(value),
        };
        opening.push((name.clone(), node));
    }
    Node::Object(opening)
}

fn opening_part<'a>(part: &Members<'a>, grown: &str) -> Node<'a> {
    let mut opening = Vec::with_capacity(part.0.len());
    for (name, value) in &part.0 {
        let node = match &**name {
            name if name == grown && value.get().starts_with('"') => Node::json("\"\""),
            "annotations" | "logprobs" if value.get().starts_with('[') => Node::List(Vec::new()),
            _ => Node::raw(value),
        };
        opening.push((name.clone(), node));
    }
    Node::Object(opening)
}
