//! `POST /v1/responses`, plain and streamed, and the stored ones.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{Admitted, Kept, Refusal, admit, dress, error, overload, parse, refused_plain, speak};
use crate::fake::answer::{Answer, Stop};
use crate::fake::call::{Caller, Due, Reply, json as json_reply};
use crate::fake::sse::named;

mod render;

use render::Said;

/// A response.
pub(crate) async fn responses(caller: Caller, body: Bytes) -> Reply {
    match begin(&caller, &body).await {
        Ok(reply) => dress(reply, &caller),
        Err(refusal) => error(&caller, &refusal),
    }
}

/// `GET` and `DELETE /v1/responses/{id}`.
pub(crate) fn stored(caller: &Caller, method: &Method, id: &str) -> Reply {
    let stored = &caller.shared.stored;
    let unknown = || {
        let refusal = Refusal {
            status: 404,
            ..Refusal::bad(None, format!("Response with id '{id}' not found."))
        };
        error(caller, &refusal)
    };
    let own = owned(caller, id);
    match *method {
        Method::DELETE if stored.delete(&own) => dress(
            json_reply(200, &json!({"id": id, "object": "response", "deleted": true})),
            caller,
        ),
        Method::GET => stored
            .find(&own)
            .map_or_else(unknown, |kept| dress(json_reply(200, &kept.response), caller)),
        _ => unknown(),
    }
}

async fn begin(caller: &Caller, body: &Bytes) -> Result<Reply, Refusal> {
    let asked = parse(body)?;
    let request = continued(caller, &asked)?;
    let admitted = admit(caller, &request)?;
    let shared = &caller.shared;
    let due = Due {
        id: shared.id("resp_"),
        path: caller.path,
        model: admitted.model.id.clone(),
        tariff: admitted.tariff.clone(),
        tokens: admitted.plan.tokens,
    };
    let said = Said::new(caller, &due, &admitted, &asked);
    let charge = admitted.call.open(due);
    let streams = request["stream"] == true;
    admitted.call.think(streams).await;
    if admitted.call.fails_plain() && !streams {
        charge.waive();
        return Err(refused_plain());
    }
    if !admitted.call.breaks_head() {
        shared.openai.begin(&admitted.plan);
    }
    let answer = answer(caller, &admitted, &request);
    let whole = said.whole(&answer);
    if asked["store"] != false {
        keep(caller, &request, &whole);
    }
    if streams {
        let events = said.events(&answer, &whole, shared.config.event_chars);
        let failure = error_event();
        return Ok(admitted.call.reply_stream(events, &[answer], failure, charge));
    }
    Ok(admitted
        .call
        .reply_plain(Bytes::from(whole.to_string()), &[answer], charge)
        .await)
}

fn answer(caller: &Caller, admitted: &Admitted, request: &Value) -> Answer {
    if request["prompt_cache_options"]["prewarm"] == true {
        return Answer {
            stop: Stop::Natural,
            ..Answer::default()
        };
    }
    speak(caller, admitted, request, request["max_output_tokens"].as_u64())
}

/// The request with the conversation of `previous_response_id` before its own input.
fn continued(caller: &Caller, asked: &Value) -> Result<Value, Refusal> {
    if asked["input"].is_null() && asked["previous_response_id"].is_null() {
        return Err(Refusal::bad(Some("input"), "Missing required parameter: 'input'."));
    }
    let Some(id) = asked["previous_response_id"].as_str() else {
        return Ok(asked.clone());
    };
    let Some(kept) = caller.shared.stored.find(&owned(caller, id)) else {
        return Err(Refusal {
            code: Some("previous_response_not_found".to_owned()),
            ..Refusal::bad(
                Some("previous_response_id"),
                format!("Previous response with id '{id}' not found."),
            )
        });
    };
    let mut request = asked.clone();
    let mut input = kept.input;
    input.extend(kept.response["output"].as_array().cloned().unwrap_or_default());
    input.extend(listed(&asked["input"]));
    request["input"] = input.into();
    Ok(request)
}

/// A response's name in the store: only the key that made it finds it.
fn owned(caller: &Caller, id: &str) -> String {
    format!("{} {id}", caller.key)
}

fn keep(caller: &Caller, request: &Value, whole: &Value) {
    let id = owned(caller, whole["id"].as_str().unwrap_or_default());
    caller.shared.stored.keep(
        &id,
        Kept {
            response: whole.clone(),
            input: listed(&request["input"]),
        },
    );
}

fn listed(input: &Value) -> Vec<Value> {
    match input {
        Value::String(text) => vec![json!({"type": "message", "role": "user", "content": text})],
        Value::Array(items) => items.clone(),
        _ => Vec::new(),
    }
}

fn error_event() -> Bytes {
    let mut event = json!({"type": "error", "sequence_number": 0});
    for (name, value) in overload()
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "type")
    {
        event[name] = value.clone();
    }
    named(&event)
}
