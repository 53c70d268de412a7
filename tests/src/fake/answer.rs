//! What the model says: provider-neutral blocks that each endpoint renders in its own form.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tokens::{call_json_chars, text_chars, tokens_of};

/// Scripted answers waiting at most, and prompts whose repeats are counted.
const BOUND: usize = 65_536;

/// One part of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Plain text.
    Text(String),
    /// Thinking (Anthropic) or a reasoning item (Responses); Chat Completions only counts it.
    Thinking(String),
    /// A call of one of the client's tools; an absent id is made up.
    Tool {
        /// The tool's name.
        name: String,
        /// Its arguments, an object.
        input: Value,
        /// The call's id.
        #[serde(default)]
        id: Option<String>,
    },
    /// A content block sent as it is (Anthropic only), e.g. a server tool's call and result.
    Raw(Value),
}

/// Why the model stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// End of turn, or tool calls if the answer has any.
    #[default]
    Natural,
    /// The token limit.
    Length,
    /// A stop sequence of the request.
    Sequence(String),
    /// The model declined; OpenAI calls it a content filter.
    Refusal,
    /// Any other provider-specific word (`pause_turn`, `model_context_window_exceeded`, …).
    Other(String),
}

/// One answer of the model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Its parts in order; none is an empty answer.
    pub parts: Vec<Part>,
    /// Why it ends.
    pub stop: Stop,
    /// Output tokens to report; absent = characters / 4, rounded up.
    pub output_tokens: Option<u64>,
    /// Web searches to report and bill.
    pub searches: u64,
}

impl Answer {
    /// An answer of one text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::Text(text.into())],
            ..Self::default()
        }
    }

    /// An answer that calls one tool.
    pub fn tool(name: impl Into<String>, input: Value) -> Self {
        Self {
            parts: vec![Part::Tool {
                name: name.into(),
                input,
                id: None,
            }],
            ..Self::default()
        }
    }

    /// Puts thinking before what the answer already has.
    #[must_use]
    pub fn thinking(mut self, text: impl Into<String>) -> Self {
        self.parts.insert(0, Part::Thinking(text.into()));
        self
    }

    /// Output tokens as billed.
    pub fn output(&self) -> u64 {
        let counted = || tokens_of(self.parts.iter().map(Part::chars).sum());
        self.output_tokens.unwrap_or_else(counted)
    }

    /// The thinking among them.
    pub(crate) fn thinking_tokens(&self) -> u64 {
        let thinking = self.parts.iter().filter(|part| matches!(part, Part::Thinking(_)));
        tokens_of(thinking.map(Part::chars).sum()).min(self.output())
    }

    pub(crate) fn calls_tools(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Tool { .. }))
    }

    pub(crate) fn fit(&mut self, max_tokens: Option<u64>, stops: &[&str]) {
        for part in &mut self.parts {
            let Part::Text(text) = part else { continue };
            let first = stops.iter().filter_map(|stop| Some((text.find(stop)?, *stop))).min();
            if let Some((at, stop)) = first {
                text.truncate(at);
                self.stop = Stop::Sequence(stop.to_owned());
            }
        }
        if let Some(max) = max_tokens.filter(|max| self.output() > *max) {
            self.truncate(max);
        }
    }

    /// Keeps the first `max` tokens; a tool call that does not fit whole is dropped.
    pub(crate) fn truncate(&mut self, max: u64) {
        let mut left = max * 4;
        self.parts.retain_mut(|part| {
            let chars = part.chars();
            let kept = left.min(chars);
            left -= kept;
            match part {
                Part::Text(text) | Part::Thinking(text) if kept < chars => cut(text, kept),
                _ => {}
            }
            kept == chars || (kept > 0 && matches!(part, Part::Text(_) | Part::Thinking(_)))
        });
        self.stop = Stop::Length;
        self.output_tokens = self.output_tokens.map(|tokens| tokens.min(max));
    }
}

impl Part {
    pub(crate) fn chars(&self) -> u64 {
        match self {
            Self::Text(text) | Self::Thinking(text) => text_chars(text),
            Self::Tool { name, input, .. } => call_json_chars(name, "input", input),
            Self::Raw(block) => super::tokens::block_chars(block),
        }
    }
}

fn cut(text: &mut String, chars: u64) {
    let keep = usize::try_from(chars).unwrap_or(usize::MAX);
    if let Some((at, _)) = text.char_indices().nth(keep) {
        text.truncate(at);
    }
}

type Closure = Box<dyn FnMut(&Value, usize) -> Answer + Send>;

/// Where answers come from: the queue first, then the closure, then the echo.
#[derive(Default)]
pub(crate) struct Answers {
    script: Mutex<(VecDeque<Answer>, Option<Closure>)>,
    repeats: Mutex<HashMap<u64, u64>>,
    hasher: RandomState,
}

impl Answers {
    pub(crate) fn queue(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut script = self.script.lock();
        let room = BOUND - script.0.len();
        script.0.extend(answers.into_iter().take(room));
    }

    pub(crate) fn set(&self, closure: Closure) {
        self.script.lock().1 = Some(closure);
    }

    pub(crate) fn reset(&self) {
        *self.script.lock() = (VecDeque::new(), None);
        self.repeats.lock().clear();
    }

    /// The answer to the `n`th call; `prompt` is the part of the request that the model reads.
    pub(crate) fn next(&self, request: &Value, n: usize) -> Answer {
        {
            let mut script = self.script.lock();
            if let Some(answer) = script.0.pop_front() {
                return answer;
            }
            if let Some(closure) = &mut script.1 {
                return closure(request, n);
            }
        }
        self.echo(request)
    }

    /// Tells which prompt it answers and how often it has: a replayed answer shows by its number.
    fn echo(&self, request: &Value) -> Answer {
        if let Some(name) = forced_tool(request) {
            return Answer::tool(name, json!({}));
        }
        let prompt = [
            &request["system"],
            &request["instructions"],
            &request["messages"],
            &request["input"],
        ];
        let read = digest(&prompt);
        let key = self.hasher.hash_one((read, request["model"].as_str()));
        let mut repeats = self.repeats.lock();
        if repeats.len() >= BOUND {
            repeats.clear();
        }
        let count = repeats.entry(key).or_insert(0);
        *count += 1;
        let heard = last_words(request);
        let answer = Answer::text(format!("Answer {read:016x} #{count} to: {heard}"));
        match request["thinking"]["type"].as_str() {
            Some("enabled" | "adaptive") => answer.thinking(format!("Thought {read:016x} #{count}.")),
            _ => answer,
        }
    }
}

/// A hash of the strings of a value, eight bytes at a time: equal prompts give equal numbers in every run.
fn digest(values: &[&Value]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    fn mix(state: u64, word: u64) -> u64 {
        (state ^ word).wrapping_mul(PRIME).rotate_left(29)
    }
    fn feed_text(state: u64, text: &str) -> u64 {
        let mut words = text.as_bytes().chunks_exact(8);
        let state = words.by_ref().fold(mix(state, text.len() as u64), |state, word| {
            mix(state, word.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
        });
        words
            .remainder()
            .iter()
            .fold(state, |state, byte| mix(state, u64::from(*byte)))
    }
    fn feed(state: u64, value: &Value) -> u64 {
        match value {
            Value::String(text) => feed_text(state, text),
            Value::Array(items) => items.iter().fold(mix(state, 1), feed),
            Value::Object(members) => members
                .iter()
                .filter(|(name, _)| *name != "cache_control" && *name != "signature")
                .fold(mix(state, 2), |state, (_, value)| feed(state, value)),
            _ => state,
        }
    }
    let state = values.iter().fold(0, |state, value| feed(state, value));
    mix(state ^ state >> 32, 3)
}

/// The first 48 characters of the last text of a request.
fn last_words(request: &Value) -> String {
    fn text(content: &Value) -> Option<&str> {
        match content {
            Value::String(text) => Some(text),
            Value::Array(parts) => parts.iter().rev().find_map(|part| {
                part["text"]
                    .as_str()
                    .or_else(|| text(&part["content"]))
                    .or_else(|| part.as_str())
            }),
            _ => None,
        }
    }
    let heard = text(&request["messages"]).or_else(|| text(&request["input"]));
    heard.unwrap_or_default().chars().take(48).collect()
}

fn forced_tool(request: &Value) -> Option<&str> {
    let choice = &request["tool_choice"];
    let first = &request["tools"][0];
    let first = first["name"].as_str().or_else(|| first["function"]["name"].as_str());
    match choice["type"].as_str().or_else(|| choice.as_str())? {
        "any" | "required" => first,
        "tool" => choice["name"].as_str(),
        "function" => choice["name"].as_str().or_else(|| choice["function"]["name"].as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_tells_prompts_and_repeats_apart() {
        let answers = Answers::default();
        let ask = |text: &str| json!({"messages": [{"role": "user", "content": text}]});
        let first = answers.next(&ask("a"), 1);
        let again = answers.next(&ask("a"), 2);
        let other = answers.next(&ask("b"), 3);
        assert_ne!(first, again);
        assert_ne!(again, other);
        let Part::Text(text) = &first.parts[0] else {
            panic!("no text")
        };
        assert!(text.ends_with("#1 to: a"), "{text}");
    }

    #[test]
    fn an_answer_stops_at_a_stop_sequence_and_at_the_token_limit() {
        let mut answer = Answer::text("one two three");
        answer.fit(Some(100), &["three", "two"]);
        assert_eq!(answer.parts, [Part::Text("one ".into())]);
        assert_eq!(answer.stop, Stop::Sequence("two".into()));
        let mut answer = Answer::text("é".repeat(100));
        answer.fit(Some(3), &[]);
        assert_eq!((answer.output(), answer.stop), (3, Stop::Length));
    }
}
