//! `OpenAI` Responses: the terminal event carries the whole answer; judges one.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::raw::{self, Members};
use super::seen::kind;
use super::{Answer, Finish, NotAnswer};
use crate::Endpoint;
use crate::sse::Frames;
use crate::usage;

/// Items the provider works off itself; every other `…_call` waits for the client.
const HOSTED_CALLS: [&str; 6] = [
    "code_interpreter_call",
    "file_search_call",
    "image_generation_call",
    "mcp_call",
    "tool_search_call",
    "web_search_call",
];

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(default)]
    object: Option<String>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    incomplete_details: Option<Value>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    output: Option<Vec<Members<'a>>>,
    #[serde(default)]
    usage: Value,
    #[serde(default)]
    service_tier: Option<String>,
    #[serde(default)]
    tool_usage: Value,
}

#[derive(Deserialize)]
struct Terminal<'a> {
    #[serde(borrow)]
    response: &'a RawValue,
}

pub(super) fn judge(body: Bytes) -> Result<Answer, NotAnswer> {
    let response: Response<'_> = serde_json::from_slice(&body).map_err(|_| NotAnswer::Malformed)?;
    if response.object.as_deref() != Some("response") {
        let is_error = response.error.is_some();
        return Err(if is_error {
            NotAnswer::ErrorEvent
        } else {
            NotAnswer::Malformed
        });
    }
    let output = response.output.unwrap_or_default();
    let kinds = output.iter().map(|item| item.text("type"));
    let kinds: Vec<String> = kinds.collect::<Option<_>>().ok_or(NotAnswer::Malformed)?;
    let has_tool_calls = kinds.iter().any(|kind| is_client_call(kind));
    let reason = response
        .incomplete_details
        .as_ref()
        .and_then(|details| details.get("reason"))
        .and_then(Value::as_str);
    let finish = match response.status.as_deref() {
        Some("completed") => ended(&output, &kinds, has_tool_calls),
        Some("incomplete") if reason == Some("content_filter") => Finish::Refused,
        Some("incomplete") => Finish::Truncated,
        Some("failed" | "cancelled") => Finish::Failed,
        Some("queued" | "in_progress") => Finish::Paused,
        word => Finish::unknown(word.unwrap_or_default()),
    };
    let tier = response.service_tier.as_deref();
    let (mut usage, billing) = usage::read(Endpoint::OpenAiResponses, &response.usage, tier);
    let searches = kinds.iter().filter(|kind| *kind == "web_search_call").count() as u64;
    usage.web_searches = usage::billed_searches(&response.tool_usage).unwrap_or(searches);
    let has_thinking = kinds.iter().any(|kind| kind == "reasoning");
    let model = response.model;
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

/// Takes the answer out of the terminal event, as written.
pub(super) fn assemble(stream: &[u8]) -> Result<Bytes, NotAnswer> {
    for frame in Frames::new(stream) {
        if matches!(
            &*kind(&frame),
            b"response.completed" | b"response.incomplete" | b"response.failed"
        ) {
            let Terminal { response } = serde_json::from_slice(&frame.data).map_err(|_| NotAnswer::Malformed)?;
            return Ok(Bytes::copy_from_slice(response.get().as_bytes()));
        }
    }
    Err(NotAnswer::Unfinished)
}

fn ended(output: &[Members<'_>], kinds: &[String], has_tool_calls: bool) -> Finish {
    let mut is_empty = true;
    for (item, kind) in output.iter().zip(kinds) {
        match &**kind {
            "reasoning" => {}
            "compaction" => return Finish::Paused,
            "message" => {
                let parts = item.find("content").and_then(raw::items).unwrap_or_default();
                for part in parts.into_iter().filter_map(Members::read) {
                    if part.text("type").as_deref() == Some("refusal") {
                        return Finish::Refused;
                    }
                    is_empty &= raw::is_blank(part.find("text"));
                }
            }
            _ => is_empty = false,
        }
    }
    match (has_tool_calls, is_empty) {
        (true, _) => Finish::ToolUse,
        (false, true) => Finish::Empty,
        (false, false) => Finish::Complete,
    }
}

fn is_client_call(kind: &str) -> bool {
    (kind.ends_with("_call") && !HOSTED_CALLS.contains(&kind)) || kind == "mcp_approval_request"
}
