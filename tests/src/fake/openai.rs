//! OpenAI's endpoints: what chat completions, responses and embeddings have in common.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::answer::{Answer, Stop};
use super::bill::{Tariff, Tokens};
use super::call::{Call, Caller, Reply, json as json_reply, set};
use super::openai_cache::{self, Plan};
use super::prices::{Model, Provider, find, models};
use super::tokens::tokens_of;

mod chat;
mod embeddings;
mod responses;

pub(crate) use chat::chat;
pub(crate) use embeddings::embeddings;
pub(crate) use responses::{responses, stored};

/// Stored responses kept, the oldest go first.
const STORED: usize = 4_096;

/// An error of the API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: u16,
    kind: String,
    message: String,
    param: Option<String>,
    code: Option<String>,
    retry_after: Option<u64>,
}

/// Responses that were asked to be stored, with the conversation they continue.
#[derive(Debug, Default)]
pub(crate) struct Stored(Mutex<(HashMap<String, Kept>, VecDeque<String>)>);

/// A stored response and the whole input it answered.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) response: Value,
    pub(crate) input: Vec<Value>,
}

/// A request that has passed every check.
pub(crate) struct Admitted {
    pub(crate) model: &'static Model,
    pub(crate) plan: Plan,
    pub(crate) call: Call,
    pub(crate) number: usize,
    /// The tier the answer says it was served by.
    pub(crate) tier: &'static str,
    pub(crate) tariff: Tariff,
}

impl Refusal {
    pub(crate) fn bad(param: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            param: param.map(str::to_owned),
            ..Self::usual(400)
        }
    }

    /// The usual words of an error status.
    pub(crate) fn usual(status: u16) -> Self {
        let (kind, code, message) = match status {
            400 => ("invalid_request_error", None, "The request is invalid."),
            401 => (
                "invalid_request_error",
                Some("invalid_api_key"),
                "Incorrect API key provided.",
            ),
            403 => (
                "invalid_request_error",
                None,
                "You do not have access to this resource.",
            ),
            404 => ("invalid_request_error", None, "Not found"),
            413 => (
                "invalid_request_error",
                Some("request_too_large"),
                "Request body too large.",
            ),
            429 => (
                "requests",
                Some("rate_limit_exceeded"),
                "Rate limit reached for requests.",
            ),
            503 | 529 => (
                "server_error",
                Some("server_overloaded"),
                "The server is overloaded. Please try again later.",
            ),
            _ => (
                "server_error",
                None,
                "The server had an error while processing your request.",
            ),
        };
        Self {
            status,
            kind: kind.to_owned(),
            message: message.to_owned(),
            param: None,
            code: code.map(str::to_owned),
            retry_after: None,
        }
    }

    fn scripted(status: u16, code: Option<&str>, retry_after: Option<u64>) -> Self {
        let mut refusal = Self {
            retry_after,
            ..Self::usual(status)
        };
        if let Some(code) = code {
            refusal.code = Some(code.to_owned());
            if code == "insufficient_quota" {
                code.clone_into(&mut refusal.kind);
                "You exceeded your current quota, please check your plan and billing details."
                    .clone_into(&mut refusal.message);
            }
        }
        refusal
    }

    fn no_model(name: &str) -> Self {
        Self {
            message: format!("The model `{name}` does not exist or you do not have access to it."),
            code: Some("model_not_found".to_owned()),
            ..Self::usual(404)
        }
    }

    /// The error object, as in a body or in a stream.
    fn object(&self) -> Value {
        json!({"message": self.message, "type": self.kind, "param": self.param, "code": self.code})
    }
}

/// The API's error envelope, with its headers.
pub(crate) fn error(caller: &Caller, refusal: &Refusal) -> Reply {
    let mut reply = dress(json_reply(refusal.status, &json!({"error": refusal.object()})), caller);
    if let Some(seconds) = refusal.retry_after {
        set(&mut reply, "retry-after", &seconds.to_string());
    }
    reply
}

/// `GET /v1/models` and `GET /v1/models/{id}`.
pub(crate) fn list_models(caller: &Caller, id: Option<&str>) -> Reply {
    let shown =
        |model: &Model| json!({"id": model.id, "object": "model", "created": 1_764_000_000, "owned_by": "openai"});
    if let Some(id) = id {
        return match find(Provider::OpenAi, id) {
            Some(model) => dress(json_reply(200, &shown(model)), caller),
            None => error(caller, &Refusal::no_model(id)),
        };
    }
    let data: Vec<Value> = models(Provider::OpenAi).map(shown).collect();
    dress(json_reply(200, &json!({"object": "list", "data": data})), caller)
}

/// Checks a request and its length, takes its trouble, reads the cache and counts the call.
pub(crate) fn admit(caller: &Caller, request: &Value) -> Result<Admitted, Refusal> {
    let Some(name) = request["model"].as_str() else {
        return Err(Refusal::bad(Some("model"), "you must provide a model parameter"));
    };
    let model = find(Provider::OpenAi, name).ok_or_else(|| Refusal::no_model(name))?;
    check_sampling(model, request)?;
    let (tier, factor) = tier(model, request)?;
    let organization = caller.header("openai-organization").unwrap_or_default();
    let key = format!("{} {organization}", caller.key);
    let prompt =
        openai_cache::read(request, &key, model).map_err(|(param, message)| Refusal::bad(Some(param), message))?;
    let tokens = tokens_of(prompt.chars());
    if tokens > model.context_window {
        return Err(Refusal {
            code: Some("context_length_exceeded".to_owned()),
            ..Refusal::bad(
                Some("messages"),
                format!(
                    "This model's maximum context length is {} tokens. However, your messages resulted in {tokens} tokens.",
                    model.context_window
                ),
            )
        });
    }
    let call = caller.meet(name);
    if let Some((status, code, retry_after)) = call.refused() {
        return Err(Refusal::scripted(status, code, retry_after));
    }
    let shared = &caller.shared;
    let number = shared.accept(caller.path);
    let plan = shared.openai.look_up(&prompt, shared.clock.now());
    let tariff = Tariff {
        model: Some(model),
        factors: factor.into_iter().collect(),
        date: shared.clock.rfc3339(),
    };
    Ok(Admitted {
        model,
        plan,
        call,
        number,
        tier,
        tariff,
    })
}

/// The answer to a request under its limits.
pub(crate) fn speak(caller: &Caller, admitted: &Admitted, request: &Value, max: Option<u64>) -> Answer {
    let mut answer = caller.shared.answers.next(request, admitted.number);
    let stop = &request["stop"];
    let stops: Vec<&str> = match stop {
        Value::String(stop) => vec![stop],
        _ => stop
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect(),
    };
    admitted.call.shape(&mut answer, max, &stops);
    answer
}

pub(crate) fn parse(body: &Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::bad(None, "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"))
}

/// The error object of a scripted error in a stream.
pub(crate) fn overload() -> Value {
    Refusal::usual(503).object()
}

pub(crate) fn refused_plain() -> Refusal {
    Refusal::usual(503)
}

/// Details of cached prompt tokens, with written ones where they are charged.
pub(crate) fn prompt_details(model: &Model, tokens: &Tokens) -> Value {
    let mut details = json!({"cached_tokens": tokens.read});
    if model.caches_at_breakpoints() {
        details["cache_write_tokens"] = tokens.written().into();
    }
    details
}

/// Why an answer ends, in Chat Completions' words.
pub(crate) const fn finish(answer: &Answer, calls_tools: bool) -> &'static str {
    match answer.stop {
        Stop::Natural if calls_tools => "tool_calls",
        Stop::Length => "length",
        Stop::Refusal => "content_filter",
        _ => "stop",
    }
}

/// Sampling fields and effort `none` are refused from GPT-6.1 on.
fn check_sampling(model: &Model, request: &Value) -> Result<(), Refusal> {
    if !model.id.starts_with("gpt-6.") {
        return Ok(());
    }
    let effort = request["reasoning_effort"]
        .as_str()
        .or_else(|| request["reasoning"]["effort"].as_str());
    let refused = ["temperature", "top_p"]
        .into_iter()
        .find(|field| !request[*field].is_null());
    let refused = refused.or_else(|| (effort == Some("none")).then_some("reasoning_effort"));
    match refused {
        Some(field) => Err(Refusal {
            code: Some("unsupported_value".to_owned()),
            ..Refusal::bad(
                Some(field),
                format!("Unsupported value: '{field}' is not supported with this model."),
            )
        }),
        None => Ok(()),
    }
}

/// The tier served and its factor in thousandths.
fn tier(model: &Model, request: &Value) -> Result<(&'static str, Option<u64>), Refusal> {
    match request["service_tier"].as_str() {
        None | Some("auto" | "default") => Ok(("default", None)),
        Some("flex") => Ok(("flex", Some(500))),
        Some("priority") => Ok(("priority", model.fast_mode_multiplier)),
        Some("fast") => Ok(("fast", model.fast_mode_multiplier)),
        Some("ultrafast") => Ok(("ultrafast", Some(3_000))),
        Some(other) => Err(Refusal::bad(
            Some("service_tier"),
            format!("Invalid service_tier argument: '{other}'"),
        )),
    }
}

/// Headers of every answer.
pub(crate) fn dress(mut reply: Reply, caller: &Caller) -> Reply {
    let shared = &caller.shared;
    set(&mut reply, "x-request-id", &shared.id("req_"));
    set(&mut reply, "openai-organization", "fake-organization");
    set(
        &mut reply,
        "openai-processing-ms",
        &shared.config.think.as_millis().to_string(),
    );
    set(&mut reply, "openai-version", "2020-10-01");
    for (name, value) in [
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-limit-tokens", "30000000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-remaining-tokens", "29999000"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-reset-tokens", "2ms"),
    ] {
        set(&mut reply, name, value);
    }
    reply
}

impl Stored {
    pub(crate) fn keep(&self, id: &str, kept: Kept) {
        let mut stored = self.0.lock();
        let (responses, order) = &mut *stored;
        if order.len() == STORED
            && let Some(oldest) = order.pop_front()
        {
            responses.remove(&oldest);
        }
        order.push_back(id.to_owned());
        responses.insert(id.to_owned(), kept);
    }

    pub(crate) fn find(&self, id: &str) -> Option<Kept> {
        self.0.lock().0.get(id).cloned()
    }

    fn delete(&self, id: &str) -> bool {
        let mut stored = self.0.lock();
        stored.1.retain(|kept| kept != id);
        stored.0.remove(id).is_some()
    }

    pub(crate) fn reset(&self) {
        *self.0.lock() = (HashMap::new(), VecDeque::new());
    }
}

#[cfg(test)]
mod tests;
