//! The chunk order of `OpenAI` Chat Completions.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::events::{Events, deltas};
use crate::answer::raw::{self, Members, Node};

/// Members that every chunk repeats; others come with the first chunk alone.
const REPEATED: [&str; 6] = ["id", "object", "created", "model", "service_tier", "system_fingerprint"];

/// Text members of a message that arrive in deltas.
const GROWING: [&str; 4] = ["reasoning_content", "reasoning", "content", "refusal"];

/// The parts every chunk is written from.
struct Chunks<'a> {
    events: Events,
    first: Option<String>,
    repeated: String,
    usage: Option<&'a str>,
}

pub(super) fn events(answer: &[u8], include_usage: bool) -> Option<Vec<u8>> {
    let completion: Members<'_> = serde_json::from_slice(answer).ok()?;
    let choices = raw::items(completion.find("choices")?)?;
    let usage = completion.find("usage").filter(|_| include_usage);
    let mut chunks = Chunks {
        events: Events::default(),
        first: Some(head(&completion, |name| !matches!(name, "choices" | "usage"))),
        repeated: head(&completion, |name| REPEATED.contains(&name)),
        usage: usage.map(RawValue::get),
    };
    for choice in choices {
        chunks.choice(choice)?;
    }
    if let Some(usage) = chunks.usage {
        let head = chunks.first.take().unwrap_or_else(|| chunks.repeated.clone());
        chunks.events.unnamed(&[&head, r#""choices":[],"usage":"#, usage, "}"]);
    }
    chunks.events.unnamed(&["[DONE]"]);
    Some(chunks.events.finish())
}

/// The opening of a chunk up to its choices.
fn head(completion: &Members<'_>, is_wanted: impl Fn(&str) -> bool) -> String {
    let mut head = String::from("{");
    for (name, value) in completion.0.iter().filter(|(name, _)| is_wanted(name)) {
        let value = if name == "object" {
            "\"chat.completion.chunk\""
        } else {
            value.get()
        };
        head.extend([&*raw::quote(name), ":", value, ","]);
    }
    head
}

impl Chunks<'_> {
    fn choice(&mut self, choice: &RawValue) -> Option<()> {
        let choice = Members::read(choice)?;
        let message = Members::read(choice.find("message")?)?;
        let index = choice.find("index").map_or("0", RawValue::get);
        self.delta(index, &opening(&message), "null");
        for name in GROWING {
            let Some(content) = message.find(name).and_then(raw::content) else {
                continue;
            };
            if let Some(logprobs) = choice.find("logprobs").filter(|_| name == "content") {
                self.with_logprobs(index, content, logprobs);
                continue;
            }
            for part in deltas(content) {
                self.delta(index, &format!(r#"{{"{name}":"{part}"}}"#), "null");
            }
        }
        if is_growing_only(&message, &choice) {
            let logprobs = choice.find("logprobs").map_or("null", RawValue::get);
            self.delta(index, "{}", logprobs);
        }
        for (at, call) in tool_calls(&message).unwrap_or_default().iter().enumerate() {
            self.tool_call(index, at, call);
        }
        self.end(index, &choice);
        Some(())
    }

    /// One chunk per token where the tokens spell the text, as the provider sends them, else one chunk for all.
    fn with_logprobs(&mut self, index: &str, content: &str, logprobs: &RawValue) {
        match token_chunks(content, logprobs) {
            Some(chunks) => {
                for (token, logprob) in chunks {
                    let delta = format!(r#"{{"content":{token}}}"#);
                    self.delta(index, &delta, &format!(r#"{{"content":[{logprob}],"refusal":null}}"#));
                }
            }
            None => self.delta(index, &format!(r#"{{"content":"{content}"}}"#), logprobs.get()),
        }
    }

    fn tool_call(&mut self, choice: &str, index: usize, call: &Members<'_>) {
        let function = call.find("function").and_then(Members::read);
        let arguments = function.as_ref().and_then(|function| function.find("arguments"));
        let arguments = arguments.and_then(raw::content).unwrap_or_default();
        let mut opening = vec![(Cow::Borrowed("index"), Node::json(index.to_string()))];
        opening.extend(call.0.iter().map(|(name, value)| (name.clone(), Node::open(value))));
        let mut opening = Node::Object(opening);
        let held = opening.find("function").and_then(|function| function.find("arguments"));
        if let Some(held) = held.filter(|_| !arguments.is_empty()) {
            *held = Node::json("\"\"");
        }
        self.delta(choice, &format!(r#"{{"tool_calls":[{}]}}"#, opening.to_text()), "null");
        for part in deltas(arguments) {
            let delta = format!(r#"{{"tool_calls":[{{"index":{index},"function":{{"arguments":"{part}"}}}}]}}"#);
            self.delta(choice, &delta, "null");
        }
    }

    fn end(&mut self, index: &str, choice: &Members<'_>) {
        let mut rest = String::new();
        for (name, value) in &choice.0 {
            if !matches!(&**name, "index" | "message" | "logprobs" | "finish_reason") {
                rest.extend([",", &*raw::quote(name), ":", value.get()]);
            }
        }
        let reason = choice.find("finish_reason").map_or("null", RawValue::get);
        self.chunk(&[
            r#"{"index":"#,
            index,
            r#","delta":{},"logprobs":null,"finish_reason":"#,
            reason,
            &rest,
            "}",
        ]);
    }

    fn delta(&mut self, index: &str, delta: &str, logprobs: &str) {
        self.chunk(&[
            r#"{"index":"#,
            index,
            r#","delta":"#,
            delta,
            r#","logprobs":"#,
            logprobs,
            r#","finish_reason":null}"#,
        ]);
    }

    fn chunk(&mut self, choice: &[&str]) {
        let first = self.first.take();
        let head = first.as_deref().unwrap_or(&self.repeated);
        let tail = if self.usage.is_some() {
            r#"],"usage":null}"#
        } else {
            "]}"
        };
        self.events.unnamed(&[head, r#""choices":["#, &choice.concat(), tail]);
    }
}

/// The first delta: every member of the message with what grows emptied and tool calls left for later.
fn opening(message: &Members<'_>) -> String {
    let mut opening = Vec::with_capacity(message.0.len());
    for (name, value) in &message.0 {
        let node = match &**name {
            "tool_calls" if tool_calls(message).is_some() => continue,
            name if GROWING.contains(&name) && raw::content(value).is_some() => Node::json("\"\""),
            _ => Node::raw(value),
        };
        opening.push((name.clone(), node));
    }
    Node::Object(opening).to_text()
}

/// The message's tool calls, where all are what tool calls look like.
fn tool_calls<'a>(message: &Members<'a>) -> Option<Vec<Members<'a>>> {
    let calls = message.find("tool_calls").and_then(raw::items)?;
    calls.into_iter().map(Members::read).collect()
}

/// Log probabilities without content to carry them, as with a refusal.
fn is_growing_only(message: &Members<'_>, choice: &Members<'_>) -> bool {
    choice.find("logprobs").is_some() && message.find("content").and_then(raw::content).is_none()
}

fn token_chunks<'a>(content: &str, logprobs: &'a RawValue) -> Option<Vec<(&'a str, &'a str)>> {
    let members = Members::read(logprobs)?;
    if members
        .0
        .iter()
        .any(|(name, value)| name != "content" && value.get() != "null")
    {
        return None;
    }
    let mut spelled = String::new();
    let mut chunks = Vec::new();
    for logprob in raw::items(members.find("content")?)? {
        let token = Members::read(logprob)?.find("token")?;
        spelled.push_str(raw::content(token)?);
        chunks.push((token.get(), logprob.get()));
    }
    (spelled == content && !chunks.is_empty()).then_some(chunks)
}
