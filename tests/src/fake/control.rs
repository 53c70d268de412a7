//! The fake's own endpoints under `/fake/`, for programs in other processes; they ask for no key and are not logged.
//!
//! `GET /fake/stats`, `GET /fake/bill` (lines included), `GET /fake/log`; `POST /fake/clock {"advance_ms": n}`,
//! `POST /fake/script` (a fault or a list), `POST /fake/answers` (an answer, a text, or a list), `POST /fake/release`,
//! `POST /fake/reset`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer::Answer;
use super::call::{Reply, json as json_reply};
use super::script::Fault;
use super::server::bare;
use super::{Shared, bill};

/// Answers a control request.
pub(crate) fn answer(shared: &Arc<Shared>, parts: &Parts, body: &Bytes) -> Reply {
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(_) if body.is_empty() => Value::Null,
        Err(error) => return problem(&format!("the body is not JSON: {error}")),
    };
    let done = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/fake/stats") => return json_reply(200, &stats(shared)),
        (&Method::GET, "/fake/bill") => return json_reply(200, &json!(shared.book.bill())),
        (&Method::GET, "/fake/log") => return json_reply(200, &log(shared)),
        (&Method::POST, "/fake/clock") => advance(shared, &body),
        (&Method::POST, "/fake/script") => {
            each::<Fault>(body).map(|faults| faults.into_iter().for_each(|fault| shared.script.add(fault)))
        }
        (&Method::POST, "/fake/answers") => {
            each::<Scripted>(body).map(|answers| shared.answers.queue(answers.into_iter().map(Scripted::into_answer)))
        }
        (&Method::POST, "/fake/release") => {
            shared.release_all();
            Ok(())
        }
        (&Method::POST, "/fake/reset") => {
            shared.reset();
            Ok(())
        }
        _ => return bare(StatusCode::NOT_FOUND),
    };
    match done {
        Ok(()) => json_reply(200, &json!({"ok": true})),
        Err(error) => problem(&error),
    }
}

/// What came to a path that the fake does not model: enough to check that it came unchanged.
pub(crate) fn digest(method: &Method, path: &str, body: &Bytes) -> Reply {
    let hash = hex::encode(Sha256::digest(body));
    json_reply(
        200,
        &json!({"object": "digest", "method": method.as_str(), "path": path, "bytes": body.len(), "sha256": hash}),
    )
}

/// An answer, or only its text.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Scripted {
    Text(String),
    Whole(Answer),
}

impl Scripted {
    fn into_answer(self) -> Answer {
        match self {
            Self::Text(text) => Answer::text(text),
            Self::Whole(answer) => answer,
        }
    }
}

fn stats(shared: &Shared) -> Value {
    let bill = shared.book.totals();
    let calls: serde_json::Map<String, Value> = shared
        .accepted()
        .into_iter()
        .map(|(path, calls)| (path, calls.into()))
        .collect();
    let total: u64 = calls.values().filter_map(Value::as_u64).sum();
    json!({"received": shared.received(), "calls": total, "calls_to": calls,
        "bill": {"total": bill.total, "models": bill.models, "usd": dollars(&bill.total)}})
}

fn log(shared: &Shared) -> Value {
    let entries = shared.log.all().into_iter().map(|received| {
        let headers: Vec<(&str, String)> = received
            .headers
            .iter()
            .filter(|(name, _)| !["authorization", "x-api-key"].contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        json!({"method": received.method.as_str(), "target": received.target, "headers": headers,
            "body": String::from_utf8_lossy(&received.body)})
    });
    entries.collect()
}

fn dollars(sum: &bill::Sum) -> String {
    format!("{}.{:09}", sum.nanos / 1_000_000_000, sum.nanos % 1_000_000_000)
}

fn advance(shared: &Shared, body: &Value) -> Result<(), String> {
    let by = body["advance_ms"]
        .as_u64()
        .ok_or("advance_ms: give whole milliseconds")?;
    shared.clock.advance(Duration::from_millis(by));
    Ok(())
}

/// One value or a list of them.
fn each<T: DeserializeOwned>(body: Value) -> Result<Vec<T>, String> {
    let list = if body.is_array() {
        body
    } else {
        Value::Array(vec![body])
    };
    serde_json::from_value(list).map_err(|error| error.to_string())
}

fn problem(message: &str) -> Reply {
    json_reply(400, &json!({"error": message}))
}
