//! What the frames of a stream have said so far; reads JSON only where a frame carries usage, a name or an end.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Endpoint;
use crate::sse::Frame;
use crate::usage::{self, Billing, Usage};

/// What the frames so far have said.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) model: Option<String>,
    pub(super) output_bytes: u64,
    pub(super) state: State,
    usage: Option<Map<String, Value>>,
    service_tier: Option<String>,
    hosted_searches: u64,
    has_output: bool,
    is_refused: bool,
}

/// How far a stream is; an error outlasts a terminal event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Open,
    Finished,
    Errored,
}

/// The members that matter of any frame that is read; which are present depends on the endpoint.
#[derive(Deserialize)]
struct Notice {
    message: Option<Inner>,
    response: Option<Inner>,
    usage: Option<Map<String, Value>>,
    model: Option<String>,
    service_tier: Option<String>,
    error: Option<Value>,
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Inner {
    model: Option<String>,
    usage: Option<Map<String, Value>>,
    service_tier: Option<String>,
    #[serde(default)]
    tool_usage: Value,
}

#[derive(Deserialize)]
struct Delta {
    stop_reason: Option<String>,
}

impl Seen {
    pub(super) const fn new() -> Self {
        Self {
            model: None,
            output_bytes: 0,
            state: State::Open,
            usage: None,
            service_tier: None,
            hosted_searches: 0,
            has_output: false,
            is_refused: false,
        }
    }

    pub(super) fn usage(&self, endpoint: Endpoint) -> Option<(Usage, Billing)> {
        let usage = Value::Object(self.usage.clone()?);
        let (mut usage, mut billing) = usage::read(endpoint, &usage, self.service_tier.as_deref());
        usage.web_searches = usage.web_searches.max(self.hosted_searches);
        billing.unbilled = self.is_refused && !self.has_output;
        Some((usage, billing))
    }

    pub(super) fn read(&mut self, endpoint: Endpoint, frame: &Frame<'_>) {
        match endpoint {
            Endpoint::AnthropicMessages | Endpoint::AnthropicCountTokens => self.read_anthropic(frame),
            Endpoint::OpenAiChat => self.read_chat(&frame.data),
            Endpoint::OpenAiResponses => self.read_responses(frame),
            // Never streamed.
            Endpoint::OpenAiEmbeddings => {}
        }
    }

    fn read_anthropic(&mut self, frame: &Frame<'_>) {
        match &*kind(frame) {
            b"content_block_delta" => {
                self.count(&frame.data, &[b"\"text\":", b"\"partial_json\":", b"\"thinking\":"]);
            }
            b"content_block_start" => self.has_output = true,
            b"message_start" | b"message_delta" => self.notice(&frame.data),
            b"message_stop" => self.reach(State::Finished),
            b"error" => self.reach(State::Errored),
            _ => {}
        }
    }

    fn read_chat(&mut self, data: &[u8]) {
        if data.starts_with(b"[DONE]") {
            self.reach(State::Finished);
            return;
        }
        self.count(
            data,
            &[
                b"\"content\":",
                b"\"arguments\":",
                b"\"refusal\":",
                b"\"reasoning_content\":",
            ],
        );
        let has_usage = value_of(data, b"\"usage\":").is_some_and(|value| value.starts_with(b"{"));
        if has_usage || self.model.is_none() || memmem::find(data, b"\"error\":").is_some() {
            self.notice(data);
        }
    }

    fn read_responses(&mut self, frame: &Frame<'_>) {
        match &*kind(frame) {
            event if event.ends_with(b".delta") => self.count(&frame.data, &[b"\"delta\":"]),
            b"response.web_search_call.completed" => self.hosted_searches += 1,
            b"response.created" => self.notice(&frame.data),
            b"response.completed" | b"response.incomplete" | b"response.failed" => {
                self.notice(&frame.data);
                self.reach(State::Finished);
            }
            b"error" => self.reach(State::Errored),
            _ => {}
        }
    }

    fn reach(&mut self, state: State) {
        self.state = self.state.max(state);
    }

    fn count(&mut self, data: &[u8], names: &[&[u8]]) {
        for name in names {
            // A quote inside a JSON string is escaped, so the name with its bare quotes is a member's.
            let literal = value_of(data, name).and_then(|value| value.strip_prefix(b"\""));
            let length = literal.map_or(0, literal_length);
            self.output_bytes = self.output_bytes.saturating_add(length);
            // A delta carries one text.
            if length > 0 {
                return;
            }
        }
    }

    fn notice(&mut self, data: &[u8]) {
        let Ok(notice) = serde_json::from_slice::<Notice>(data) else {
            return;
        };
        let inner = notice.message.or(notice.response);
        let (model, usage, tier) = inner.map_or((None, None, None), |inner| {
            self.hosted_searches = usage::billed_searches(&inner.tool_usage).unwrap_or(self.hosted_searches);
            (inner.model, inner.usage, inner.service_tier)
        });
        if notice.error.is_some() {
            self.reach(State::Errored);
        }
        let reason = notice.delta.and_then(|delta| delta.stop_reason);
        self.is_refused |= reason.as_deref() == Some("refusal");
        self.model = model.or(notice.model).or_else(|| self.model.take());
        self.service_tier = tier.or(notice.service_tier).or_else(|| self.service_tier.take());
        if let Some(later) = usage.or(notice.usage) {
            usage::overlay(self.usage.get_or_insert_default(), later);
        }
    }
}

/// The event's kind: its name, or the `type` in its data where a server leaves the name out.
pub(super) fn kind<'a>(frame: &'a Frame<'_>) -> Cow<'a, [u8]> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: String,
    }
    if let Some(event) = frame.event {
        return Cow::Borrowed(event);
    }
    let typed = serde_json::from_slice::<Typed>(&frame.data);
    Cow::Owned(typed.map_or_else(|_| Vec::new(), |typed| typed.kind.into_bytes()))
}

fn value_of<'a>(data: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(data, name)? + name.len();
    Some(data.get(at..)?.trim_ascii_start())
}

fn literal_length(literal: &[u8]) -> u64 {
    let mut at = 0;
    while let Some(next) = memchr::memchr2(b'"', b'\\', literal.get(at..).unwrap_or_default()) {
        at += next;
        if literal.get(at) == Some(&b'"') {
            return at as u64;
        }
        at += 2;
    }
    literal.len() as u64
}
