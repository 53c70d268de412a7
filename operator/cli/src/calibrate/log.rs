//! One line of `--log`.

use bytes::Bytes;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use llmcache_sidecar::provider::{Endpoint, Provider, resolve};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::lines::Wrong;

/// A request that was made, and its answer if it is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    /// None = one that no cache looks at.
    pub(super) endpoint: Option<Endpoint>,
    /// JSON, as written.
    pub(super) request: Bytes,
    pub(super) response: Option<Bytes>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    time: Option<Value>,
    endpoint: Option<Value>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

/// Reads a line, or names everything wrong with it.
pub(super) fn read(line: &str) -> Result<Line, Wrong> {
    let raw: Raw<'_> = serde_json::from_str(line).map_err(|error| {
        vec![format!(
            "no JSON object (column {}); write one object a line",
            error.column()
        )]
    })?;
    let request = match raw.request {
        Some(request) => object("request", request),
        None => Err("request: missing; write the request's JSON body".into()),
    };
    let response = raw.response.map(|response| object("response", response)).transpose();
    match (
        time(raw.time.as_ref()),
        endpoint(raw.endpoint.as_ref()),
        request,
        response,
    ) {
        (Ok(at), Ok(endpoint), Ok(request), Ok(response)) => Ok(Line {
            at,
            endpoint,
            request,
            response,
        }),
        (at, endpoint, request, response) => {
            let wrong = [at.err(), endpoint.err(), request.err(), response.err()];
            Err(wrong.into_iter().flatten().collect())
        }
    }
}

fn time(value: Option<&Value>) -> Result<Timestamp, String> {
    const FIX: &str = "write RFC 3339 such as \"2026-05-04T10:00:00Z\", or Unix seconds";
    let value = value.ok_or_else(|| format!("time: missing; {FIX}"))?;
    let time = match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(seconds) => seconds
            .as_f64()
            .and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
            .and_then(|since| Timestamp::from_duration(since).ok()),
        _ => None,
    };
    time.ok_or_else(|| format!("time: {value}: no time; {FIX}"))
}

fn endpoint(value: Option<&Value>) -> Result<Option<Endpoint>, String> {
    const FIX: &str = "write a path such as \"/v1/messages\"";
    let value = value.ok_or_else(|| format!("endpoint: missing; {FIX}"))?;
    let path = value.as_str().filter(|path| path.starts_with('/'));
    let path = path.ok_or_else(|| format!("endpoint: {value}: no path; {FIX}"))?;
    let of = |provider, prefix| resolve(provider, &Method::POST, path.strip_prefix(prefix).unwrap_or(path));
    Ok(of(Provider::Anthropic, "/anthropic").or_else(|| of(Provider::OpenAi, "/openai")))
}

fn object(field: &str, json: &RawValue) -> Result<Bytes, String> {
    if json.get().starts_with('{') {
        Ok(Bytes::copy_from_slice(json.get().as_bytes()))
    } else {
        Err(format!(
            "{field}: no JSON object; write the body itself, not a string of it"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: &str, endpoint: &str) -> String {
        format!(r#"{{"time": {time}, "endpoint": "{endpoint}", "request": {{"model": "m"}}, "response": null}}"#)
    }

    #[test]
    fn times_and_paths_are_read_in_each_form() {
        let seconds = |text: &str| read(&line(text, "/v1/messages")).unwrap().at.as_millisecond();
        assert_eq!(seconds("\"1970-01-01T01:00:01+01:00\""), 1_000);
        assert_eq!(seconds("1.5"), 1_500);
        let endpoint = |path: &str| read(&line("0", path)).unwrap().endpoint;
        assert_eq!(
            endpoint("/anthropic/v1/messages?beta=true"),
            Some(Endpoint::AnthropicMessages)
        );
        assert_eq!(endpoint("/openai/v1/chat/completions"), Some(Endpoint::OpenAiChat));
        assert_eq!(endpoint("/v1/responses"), Some(Endpoint::OpenAiResponses));
        assert_eq!(endpoint("/v1/models"), None);
        let read = read(&line("0", "/v1/messages")).unwrap();
        assert_eq!((&read.request[..], read.response), (&br#"{"model": "m"}"#[..], None));
    }

    #[test]
    fn every_bad_field_is_named_with_its_fix() {
        let wrong = read(r#"{"time": 1777888999000000, "endpoint": "messages", "request": "{}", "response": []}"#);
        let wrong = wrong.unwrap_err();
        for (line, start) in wrong.iter().zip([
            "time: 1777888999000000: no time; ",
            "endpoint: ",
            "request: ",
            "response: ",
        ]) {
            assert!(line.starts_with(start), "{line}");
        }
        let missing = read("{}").unwrap_err();
        assert_eq!(missing.len(), 3, "{missing:?}");
        assert!(
            missing.iter().all(|line| line.contains(": missing; write ")),
            "{missing:?}"
        );
        assert_eq!(
            read("[1").unwrap_err(),
            ["no JSON object (column 2); write one object a line"]
        );
    }
}
