//! `OpenAI` Chat Completions: merges a stream's chunks and judges a completion.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::raw::{self, Members, Node};
use super::{Answer, Finish, NotAnswer};
use crate::Endpoint;
use crate::sse::Frames;
use crate::usage;

/// Where compatible servers put the text of their reasoning.
pub(crate) const REASONING: [&str; 3] = ["reasoning", "reasoning_content", "reasoning_details"];

/// Members that name a thing instead of adding to it: a repeated one replaces.
const NAMES: [&str; 4] = ["id", "index", "role", "type"];

/// More choices than any provider returns for one request.
const MOST_CHOICES: usize = 1024;

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Value,
    #[serde(default)]
    service_tier: Option<String>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: usize,
    #[serde(borrow)]
    message: Members<'a>,
    #[serde(default)]
    finish_reason: Option<String>,
}

/// One choice under construction.
#[derive(Default)]
struct Part<'a> {
    rest: Vec<(Cow<'a, str>, &'a RawValue)>,
    message: Option<Node<'a>>,
    logprobs: Option<Node<'a>>,
    finish_reason: Option<&'a RawValue>,
}

pub(super) fn judge(body: Bytes) -> Result<Answer, NotAnswer> {
    let completion: Completion<'_> = serde_json::from_slice(&body).map_err(|_| NotAnswer::Malformed)?;
    let Some(choices) = completion.choices else {
        let is_error = completion.error.is_some();
        return Err(if is_error {
            NotAnswer::ErrorEvent
        } else {
            NotAnswer::Malformed
        });
    };
    if has_odd_indexes(&choices) {
        return Err(NotAnswer::Malformed);
    }
    let start = if choices.is_empty() {
        Finish::Empty
    } else {
        Finish::Complete
    };
    let finish = choices.iter().map(ended).fold(start, Finish::worse);
    let tier = completion.service_tier.as_deref();
    let (usage, billing) = usage::read(Endpoint::OpenAiChat, &completion.usage, tier);
    let has_tool_calls = choices.iter().any(|choice| calls_tool(&choice.message));
    let has_thinking = choices.iter().any(|choice| {
        let mut names = REASONING.iter();
        names.any(|name| !raw::is_blank(choice.message.find(name)))
    });
    let model = completion.model;
    Ok(Answer {
        body,
        usage,
        billing,
        model,
        finish,
        has_thinking,
        has_tool_calls,
    })
}

/// Merges the chunks as the SDK's accumulator does, every choice by its index.
pub(super) fn assemble(stream: &[u8]) -> Result<Bytes, NotAnswer> {
    let frames: Vec<_> = Frames::new(stream).collect();
    let mut head = Node::Object(Vec::new());
    let mut parts: Vec<Part<'_>> = Vec::new();
    for frame in &frames {
        if frame.data.starts_with(b"[DONE]") {
            break;
        }
        if frame.data.is_empty() {
            continue;
        }
        let chunk: Members<'_> = serde_json::from_slice(&frame.data).map_err(|_| NotAnswer::Malformed)?;
        for (name, value) in chunk.0 {
            match &*name {
                "object" => head.set(name, Node::json("\"chat.completion\"")),
                "choices" => {
                    // Holds the choices' place among the members.
                    head.set(name, Node::List(Vec::new()));
                    for choice in raw::items(value).ok_or(NotAnswer::Malformed)? {
                        merge_choice(&mut parts, choice).ok_or(NotAnswer::Malformed)?;
                    }
                }
                "obfuscation" => {}
                _ if value.get() == "null" && (name == "usage" || head.find(&name).is_some()) => {}
                _ => head.set(name, Node::raw(value)),
            }
        }
    }
    if head.find("choices").is_none() {
        return Err(NotAnswer::Malformed);
    }
    let choices = parts.into_iter().enumerate();
    let choices = choices.map(|(index, part)| part.finish(index));
    let choices: Option<Vec<_>> = choices.collect();
    head.set("choices", Node::List(choices.ok_or(NotAnswer::Malformed)?));
    Ok(Bytes::from(head.to_text()))
}

/// Choices that a stream could not tell apart.
fn has_odd_indexes(choices: &[Choice<'_>]) -> bool {
    let mut indexes: Vec<usize> = choices.iter().map(|choice| choice.index).collect();
    indexes.sort_unstable();
    indexes.iter().enumerate().any(|(at, index)| at != *index)
}

fn ended(choice: &Choice<'_>) -> Finish {
    let message = &choice.message;
    let is_refusal = !raw::is_blank(message.find("refusal"));
    let is_empty = raw::is_blank(message.find("content")) && message.find("audio").is_none();
    match choice.finish_reason.as_deref() {
        Some("length") => Finish::Truncated,
        Some("content_filter") => Finish::Refused,
        Some("tool_calls" | "function_call") => Finish::ToolUse,
        Some("stop") if is_refusal => Finish::Refused,
        // A forced tool choice ends with `stop`.
        Some("stop") if calls_tool(message) => Finish::ToolUse,
        Some("stop") if is_empty => Finish::Empty,
        Some("stop") => Finish::Complete,
        word => Finish::unknown(word.unwrap_or_default()),
    }
}

fn calls_tool(message: &Members<'_>) -> bool {
    ["tool_calls", "function_call"]
        .iter()
        .any(|name| !raw::is_blank(message.find(name)))
}

fn merge_choice<'a>(parts: &mut Vec<Part<'a>>, choice: &'a RawValue) -> Option<()> {
    let choice = Members::read(choice)?;
    let index: usize = choice.find("index").map_or(Some(0), number)?;
    if index >= MOST_CHOICES {
        return None;
    }
    if parts.len() <= index {
        parts.resize_with(index + 1, Part::default);
    }
    let part = parts.get_mut(index)?;
    for (name, value) in choice.0 {
        match &*name {
            "index" => {}
            "logprobs" | "finish_reason" if value.get() == "null" => {}
            "delta" => {
                let message = part.message.get_or_insert(Node::Object(Vec::new()));
                merge(message, &Members::read(value)?)?;
            }
            "logprobs" => match &mut part.logprobs {
                Some(logprobs) => merge(logprobs, &Members::read(value)?)?,
                None => part.logprobs = Some(Node::open(value)),
            },
            "finish_reason" => part.finish_reason = Some(value),
            _ => {
                part.rest.retain(|(known, _)| *known != name);
                part.rest.push((name, value));
            }
        }
    }
    Some(())
}

/// Adds a delta's members to what is there: text joins text, lists join by index or at the end, objects merge.
fn merge<'a>(target: &mut Node<'a>, delta: &Members<'a>) -> Option<()> {
    for (name, value) in &delta.0 {
        let is_list = value.get().starts_with('[');
        match target.find(name) {
            None if is_list => {
                let mut list = Node::List(Vec::new());
                merge_list(&mut list, value)?;
                target.set(name.clone(), list);
            }
            None => target.set(name.clone(), Node::open(value)),
            Some(_) if value.get() == "null" => {}
            Some(held) if NAMES.contains(&&**name) => *held = Node::raw(value),
            Some(held) if is_list => merge_list(held, value)?,
            Some(held) if value.get().starts_with('"') => held.append(value)?,
            Some(held) => match (Members::read(value), &*held) {
                (Some(members), Node::Object(_)) => merge(held, &members)?,
                _ => *held = Node::open(value),
            },
        }
    }
    Some(())
}

fn merge_list<'a>(list: &mut Node<'a>, delta: &'a RawValue) -> Option<()> {
    let list = list.list()?;
    for item in raw::items(delta)? {
        let members = Members::read(item);
        let index = members.as_ref().and_then(|members| members.find("index"));
        let (Some(members), Some(index)) = (&members, index.and_then(number)) else {
            list.push(Node::raw(item));
            continue;
        };
        let at = list.iter_mut().position(|node| has_index(node, index));
        if let Some(held) = at.and_then(|at| list.get_mut(at)) {
            merge(held, members)?;
        } else {
            let mut opened = Node::Object(Vec::new());
            merge(&mut opened, members)?;
            list.push(opened);
        }
    }
    Some(())
}

fn has_index(node: &mut Node<'_>, index: usize) -> bool {
    node.find("index")
        .is_some_and(|held| held.to_text() == index.to_string())
}

fn number(value: &RawValue) -> Option<usize> {
    value.get().parse().ok()
}

impl<'a> Part<'a> {
    fn finish(self, index: usize) -> Option<Node<'a>> {
        let mut message = self.message?;
        if message.find("content").is_none() {
            message.set("content", Node::json("null"));
        }
        // A plain answer's tool calls stand in order and carry no index.
        if let Some(Node::List(calls)) = message.find("tool_calls") {
            for call in calls {
                call.remove("index");
            }
        }
        let null = || Node::json("null");
        let mut choice = vec![
            ("index".into(), Node::json(index.to_string())),
            ("message".into(), message),
            ("logprobs".into(), self.logprobs.unwrap_or_else(null)),
            ("finish_reason".into(), self.finish_reason.map_or_else(null, Node::raw)),
        ];
        choice.extend(self.rest.into_iter().map(|(name, value)| (name, Node::raw(value))));
        Some(Node::Object(choice))
    }
}
