//! Anthropic's endpoints: messages, token counts, models.

use bytes::Bytes;
use serde_json::{Value, json};

use super::anthropic_cache;
use super::bill::Tariff;
use super::call::{Call, Caller, Due, Reply, json as json_reply, set};
use super::prices::{Model, Provider, find, models};
use super::tokens::{tokens, tokens_of};

mod render;
mod thinking;
mod validate;

/// An error of the API: status, type, message and `details.error_code`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: u16,
    message: String,
    code: Option<String>,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            code: None,
            retry_after: None,
        }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    fn scripted(status: u16, code: Option<&str>, retry_after: Option<u64>) -> Self {
        let (_, message) = usual(status);
        // A spend cap is the one 429 that does not say when to come back.
        let capped = code == Some("enforced_spend_limit_reached");
        let retry_after = retry_after.or_else(|| (status == 429 && !capped).then_some(1));
        Self {
            status,
            message: message.to_owned(),
            code: code.map(str::to_owned),
            retry_after,
        }
    }
}

/// `POST /v1/messages`.
pub(crate) async fn messages(caller: Caller, body: Bytes) -> Reply {
    match begin(&caller, &body).await {
        Ok(reply) => dress(reply, &caller),
        Err(refusal) => error(&caller, &refusal),
    }
}

/// `POST /v1/messages/count_tokens`: the whole prompt, caches not considered.
pub(crate) fn count_tokens(caller: &Caller, body: &Bytes) -> Reply {
    let counted = parse(body).and_then(|request| {
        validate::check_head(caller, &request)?;
        Ok(tokens(&request))
    });
    match counted {
        Ok(tokens) => dress(json_reply(200, &json!({"input_tokens": tokens})), caller),
        Err(refusal) => error(caller, &refusal),
    }
}

/// `GET /v1/models` and `GET /v1/models/{id}`.
pub(crate) fn list_models(caller: &Caller, id: Option<&str>) -> Reply {
    let shown = |model: &Model| {
        json!({"type": "model", "id": model.id, "display_name": model.id, "created_at": "2026-01-01T00:00:00Z",
            "max_input_tokens": model.context_window, "max_tokens": model.max_output})
    };
    if let Some(id) = id {
        return match find(Provider::Anthropic, id) {
            Some(model) => dress(json_reply(200, &shown(model)), caller),
            None => error(caller, &Refusal::new(404, format!("model: {id}"))),
        };
    }
    let data: Vec<Value> = models(Provider::Anthropic).map(shown).collect();
    let end = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
    let (first, last) = (end(data.first()), end(data.last()));
    let page = json!({"data": data, "has_more": false, "first_id": first, "last_id": last});
    dress(json_reply(200, &page), caller)
}

/// The API's error envelope, with its headers.
pub(crate) fn error(caller: &Caller, refusal: &Refusal) -> Reply {
    let (kind, _) = usual(refusal.status);
    let mut error = json!({"type": kind, "message": refusal.message});
    if let Some(code) = &refusal.code {
        error["details"] = json!({"error_code": code});
    }
    let id = caller.shared.id("req_01");
    let body = json!({"type": "error", "error": error, "request_id": id});
    let mut reply = dress(json_reply(refusal.status, &body), caller);
    set(&mut reply, "request-id", &id);
    if let Some(seconds) = refusal.retry_after {
        set(&mut reply, "retry-after", &seconds.to_string());
    }
    reply
}

/// The type and the usual words of an error status.
pub(crate) const fn usual(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("invalid_request_error", "The request is invalid."),
        401 => ("authentication_error", "invalid x-api-key"),
        402 => (
            "billing_error",
            "Your credit balance is too low to access the Anthropic API.",
        ),
        403 => (
            "permission_error",
            "Your API key does not have permission to use the specified resource.",
        ),
        404 => ("not_found_error", "Not found"),
        409 => ("conflict_error", "The resource is being changed by another request."),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => (
            "rate_limit_error",
            "This request would exceed your organization's rate limit.",
        ),
        504 => ("timeout_error", "The request timed out."),
        529 => ("overloaded_error", "Overloaded"),
        _ => ("api_error", "Internal server error"),
    }
}

async fn begin(caller: &Caller, body: &Bytes) -> Result<Reply, Refusal> {
    let mut request = parse(body)?;
    let model = validate::check(caller, &request)?;
    let binds = caller.shared.config.bind_thinking;
    if binds {
        thinking::check(&mut request, &caller.key)?;
    }
    let prompt = anthropic_cache::read(&request, &caller.key, &betas(caller)).map_err(Refusal::bad)?;
    validate::check_length(model, &request, tokens_of(prompt.chars()))?;
    let call = caller.meet(request["model"].as_str().unwrap_or_default());
    if let Some((status, code, retry_after)) = call.refused() {
        return Err(Refusal::scripted(status, code, retry_after));
    }
    let shared = &caller.shared;
    let number = shared.accept(caller.path);
    let plan = shared.anthropic.look_up(
        &prompt,
        model.min_cacheable_tokens.unwrap_or(u64::MAX),
        shared.clock.now(),
    );
    let due = Due {
        id: shared.id("msg_01"),
        path: caller.path,
        model: model.id.clone(),
        tariff: tariff(caller, model, &request),
        tokens: plan.tokens,
    };
    let said = render::Said::new(&due, &request, caller);
    let mut charge = call.open(due);
    let streams = request["stream"] == true;
    call.think(streams).await;
    if call.fails_plain() && !streams {
        charge.waive();
        return Err(Refusal::scripted(529, None, None));
    }
    if !call.breaks_head() {
        shared.anthropic.begin(&plan);
    }
    let answer = answer(caller, &call, &request, number);
    if let Some(line) = &mut charge.line {
        line.searches = answer.searches;
    }
    let sign = |thought: &str| thinking::sign(&request, &caller.key, thought);
    if streams {
        let pieces = said.events(&answer, shared.config.event_chars, &sign);
        let error = render::error_event(&shared.id("req_01"));
        Ok(call.reply_stream(pieces, &[answer], error, charge))
    } else {
        let body = said.message(&answer, &sign);
        Ok(call.reply_plain(body, &[answer], charge).await)
    }
}

fn answer(caller: &Caller, call: &Call, request: &Value, number: usize) -> super::Answer {
    let max = request["max_tokens"].as_u64();
    if max == Some(0) {
        return super::Answer {
            stop: super::Stop::Length,
            ..super::Answer::default()
        };
    }
    let mut answer = caller.shared.answers.next(request, number);
    let stops = request["stop_sequences"].as_array();
    let stops: Vec<&str> = stops.into_iter().flatten().filter_map(Value::as_str).collect();
    call.shape(&mut answer, max, &stops);
    answer
}

fn tariff(caller: &Caller, model: &'static Model, request: &Value) -> Tariff {
    let mut factors = Vec::new();
    if request["inference_geo"] == "us" {
        factors.extend(model.us_inference_geo_multiplier);
    }
    if request["speed"] == "fast" {
        factors.extend(model.fast_mode_multiplier);
    }
    Tariff {
        model: Some(model),
        factors,
        date: caller.shared.clock.rfc3339(),
    }
}

fn parse(body: &Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("The request body is not valid JSON: {error}")))
}

/// The set of active betas, sorted: another set is another cache.
fn betas(caller: &Caller) -> String {
    let headers = caller.headers.get_all("anthropic-beta").iter();
    let named = headers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut betas: Vec<&str> = named.map(str::trim).filter(|beta| !beta.is_empty()).collect();
    betas.sort_unstable();
    betas.dedup();
    betas.join(",")
}

/// Headers of every answer.
fn dress(mut reply: Reply, caller: &Caller) -> Reply {
    let shared = &caller.shared;
    if !reply.headers().contains_key("request-id") {
        set(&mut reply, "request-id", &shared.id("req_01"));
    }
    set(
        &mut reply,
        "anthropic-organization-id",
        "00000000-0000-4000-8000-000000000001",
    );
    let reset = shared.clock.rfc3339();
    for (limit, remaining, until, most) in [
        (
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
            "4000",
        ),
        (
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
            "4800000",
        ),
        (
            "anthropic-ratelimit-input-tokens-limit",
            "anthropic-ratelimit-input-tokens-remaining",
            "anthropic-ratelimit-input-tokens-reset",
            "4000000",
        ),
        (
            "anthropic-ratelimit-output-tokens-limit",
            "anthropic-ratelimit-output-tokens-remaining",
            "anthropic-ratelimit-output-tokens-reset",
            "800000",
        ),
    ] {
        set(&mut reply, limit, most);
        set(&mut reply, remaining, most);
        set(&mut reply, until, &reset);
    }
    reply
}

#[cfg(test)]
mod tests;
