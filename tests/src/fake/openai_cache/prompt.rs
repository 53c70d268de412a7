//! A Chat Completions or Responses request in rendered order (tools, instructions, messages) as prefixes.
//!
//! A change of model, key, `prompt_cache_key`, output format, effort, verbosity or (at breakpoints) service tier is
//! another prefix from the start.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Life, MINIMUM, Point, Prefix, STEP};
use crate::fake::prices::Model;
use crate::fake::tokens::{block_chars, json_chars, text_chars, tool_chars};

/// A request as its model's regime sees it.
#[derive(Debug)]
pub(crate) enum Prompt {
    Breakpoints {
        chars: u64,
        points: Vec<Point>,
        life: Life,
        implicit: bool,
    },
    Steps {
        chars: u64,
        steps: Vec<Prefix>,
        life: Life,
    },
}

/// Reads a request under an API key; an error is the parameter and message of a 400.
pub(crate) fn read(request: &Value, key: &str, model: &Model) -> Result<Prompt, (&'static str, String)> {
    let at_breakpoints = model.caches_at_breakpoints();
    let life = if at_breakpoints {
        life(request)?
    } else {
        retention(request)
    };
    let mut walk = Walk::new(!at_breakpoints && model.rates.cache_read.is_some());
    walk.settings(request, key, model, at_breakpoints);
    walk.request(request);
    if at_breakpoints {
        let implicit = request["prompt_cache_options"]["mode"] != "explicit";
        return Ok(Prompt::Breakpoints {
            chars: walk.chars,
            points: walk.points,
            life,
            implicit,
        });
    }
    Ok(Prompt::Steps {
        chars: walk.chars,
        steps: walk.steps,
        life,
    })
}

impl Prompt {
    pub(crate) const fn chars(&self) -> u64 {
        match self {
            Self::Breakpoints { chars, .. } | Self::Steps { chars, .. } => *chars,
        }
    }
}

/// Chat Completions know `30m` alone.
fn life(request: &Value) -> Result<Life, (&'static str, String)> {
    if !request["prompt_cache_retention"].is_null() && !request["prompt_cache_options"]["ttl"].is_null() {
        return Err((
            "prompt_cache_retention",
            "prompt_cache_retention cannot be used with prompt_cache_options.ttl".to_owned(),
        ));
    }
    let is_chat = request["messages"].is_array();
    match request["prompt_cache_options"]["ttl"].as_str() {
        None | Some("30m") => Ok(Life::HalfHour),
        Some("12h") if !is_chat => Ok(Life::HalfDay),
        Some(other) => Err((
            "prompt_cache_options.ttl",
            format!("Invalid value: '{other}'. Supported values are: '30m'."),
        )),
    }
}

fn retention(request: &Value) -> Life {
    if request["prompt_cache_retention"] == "in_memory" {
        Life::InMemory
    } else {
        Life::Day
    }
}

/// A walk over the request that hashes and counts as it goes.
struct Walk {
    hash: Sha256,
    chars: u64,
    points: Vec<Point>,
    steps: Vec<Prefix>,
    takes_steps: bool,
}

impl Walk {
    fn new(takes_steps: bool) -> Self {
        Self {
            hash: Sha256::new(),
            chars: 0,
            points: Vec::new(),
            steps: Vec::new(),
            takes_steps,
        }
    }

    fn settings(&mut self, request: &Value, key: &str, model: &Model, at_breakpoints: bool) {
        let format = if request["response_format"].is_null() {
            &request["text"]["format"]
        } else {
            &request["response_format"]
        };
        let effort = if request["reasoning_effort"].is_null() {
            &request["reasoning"]["effort"]
        } else {
            &request["reasoning_effort"]
        };
        let verbosity = if request["verbosity"].is_null() {
            &request["text"]["verbosity"]
        } else {
            &request["verbosity"]
        };
        for text in [key, &model.id] {
            self.mark(text);
        }
        for value in [&request["prompt_cache_key"], format, effort, verbosity] {
            self.mark(&value.to_string());
        }
        if at_breakpoints {
            self.mark(request["service_tier"].as_str().unwrap_or("auto"));
        }
    }

    fn request(&mut self, request: &Value) {
        for tool in request["tools"].as_array().into_iter().flatten() {
            self.whole(tool, tool_chars(tool));
        }
        if let Some(instructions) = request["instructions"].as_str() {
            self.mark("instructions");
            self.text(instructions);
        }
        for message in request["messages"].as_array().into_iter().flatten() {
            self.message(message);
        }
        match &request["input"] {
            Value::String(text) => {
                self.mark("user");
                self.text(text);
                self.point(false, true);
            }
            Value::Array(items) => items.iter().for_each(|item| self.item(item)),
            _ => {}
        }
    }

    fn item(&mut self, item: &Value) {
        if item["type"].as_str().unwrap_or("message") == "message" {
            return self.message(item);
        }
        self.mark(item["call_id"].as_str().unwrap_or_default());
        self.whole(item, block_chars(item));
        self.point(false, true);
    }

    fn message(&mut self, message: &Value) {
        self.mark(message["role"].as_str().unwrap_or_default());
        self.mark(message["tool_call_id"].as_str().unwrap_or_default());
        match &message["content"] {
            Value::String(text) => self.text(text),
            Value::Array(parts) => {
                for part in parts {
                    self.part(part);
                }
            }
            _ => {}
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            self.mark(call["id"].as_str().unwrap_or_default());
            self.whole(&call["function"], json_chars(&call["function"]));
        }
        self.point(false, true);
    }

    fn part(&mut self, part: &Value) {
        match part["text"].as_str() {
            Some(text) => self.text(text),
            None => self.whole(part, block_chars(part)),
        }
        if part["prompt_cache_breakpoint"]["mode"] == "explicit" {
            self.point(true, false);
        }
    }

    /// A boundary that is hashed and not counted.
    fn mark(&mut self, text: &str) {
        self.hash.update(text.len().to_le_bytes());
        self.hash.update(text);
    }

    /// Text, which a step may end inside.
    fn text(&mut self, text: &str) {
        let mut rest = text;
        while self.takes_steps && !rest.is_empty() {
            let room = usize::try_from(self.step_end() - self.chars).unwrap_or(usize::MAX);
            let Some((at, _)) = rest.char_indices().nth(room) else {
                break;
            };
            let (now, later) = rest.split_at(at);
            self.hash.update(now);
            self.chars += room as u64;
            self.step();
            rest = later;
        }
        self.hash.update(rest);
        self.chars += text_chars(rest);
        self.step();
        self.hash.update([0xff]);
    }

    /// A value that is equal as a whole or not at all.
    fn whole(&mut self, value: &Value, chars: u64) {
        self.mark(&value.to_string());
        self.chars += chars;
        self.step();
    }

    fn step_end(&self) -> u64 {
        4 * (MINIMUM + STEP * self.steps.len() as u64)
    }

    /// Closes every step that the characters so far fill.
    fn step(&mut self) {
        while self.takes_steps && self.chars >= self.step_end() {
            let mut hash = self.hash.clone();
            hash.update(self.steps.len().to_le_bytes());
            self.steps.push(cut(hash));
        }
    }

    fn point(&mut self, is_explicit: bool, ends_message: bool) {
        let prefix = cut(self.hash.clone());
        match self.points.last_mut().filter(|last| last.prefix == prefix) {
            Some(last) => {
                last.is_explicit |= is_explicit;
                last.ends_message |= ends_message;
            }
            None => self.points.push(Point {
                prefix,
                chars: self.chars,
                is_explicit,
                ends_message,
            }),
        }
    }
}

fn cut(hash: Sha256) -> Prefix {
    let whole = hash.finalize();
    let mut prefix = Prefix::default();
    prefix.copy_from_slice(&whole[..16]);
    prefix
}
