//! `POST /llmcache/feedback` and `GET /llmcache/candidate/<id>`: the app's word on answers of the semantic cache.

use http::{HeaderMap, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply;
use crate::body::{Body, full};
use crate::pipeline::Pipeline;
use crate::pipeline::scope;
use crate::pipeline::semantic_cache::feedback::{self, Heard};

/// The path above a candidate's id.
pub(super) const CANDIDATE: &str = "/candidate/";

/// What the app says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    request: String,
    wrong: bool,
}

/// Hears one word.
pub(super) async fn run(pipeline: &Pipeline, body: &[u8]) -> Response<Body> {
    let word: Word = match serde_json::from_slice(body) {
        Ok(word) => word,
        Err(error) => {
            let form = r#"give {"request": "<x-llmcache-request-id of the answer>", "wrong": true or false}"#;
            return reply(StatusCode::BAD_REQUEST, &json!({"error": format!("{error}; {form}")}));
        }
    };
    let (status, body) = match feedback::hear(pipeline, &word.request, word.wrong).await {
        Heard::Accepted => (
            StatusCode::ACCEPTED,
            json!({"request": word.request, "wrong": word.wrong}),
        ),
        Heard::Unknown => {
            let request = word.request;
            let error = format!(
                "request {request:?}: no answer of the semantic cache in the last 24 h has that id, served or as a \
                 candidate; send feedback to the sidecar that answered"
            );
            (StatusCode::NOT_FOUND, json!({"error": error}))
        }
        Heard::Repeated => {
            let error = format!("request {:?}: feedback was given before", word.request);
            (StatusCode::CONFLICT, json!({"error": error}))
        }
    };
    reply(status, &body)
}

/// The stored answer of a drawn pair, for the credential that drew it.
pub(super) fn candidate(pipeline: &Pipeline, headers: &HeaderMap, id: &str) -> Response<Body> {
    let credential = scope::credential(&pipeline.key, headers);
    let shown = credential.zip(pipeline.semantic.as_ref());
    let Some(answer) = shown.and_then(|(credential, semantic)| semantic.feedback.candidate(id, credential)) else {
        let error = "no candidate of the last 24 h has that id, or the request does not have its credential";
        return reply(StatusCode::NOT_FOUND, &json!({"error": error}));
    };
    let mut response = reply(StatusCode::OK, &Value::Null);
    *response.body_mut() = full(answer);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}
