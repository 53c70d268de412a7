//! Our own endpoints on the proxy's port, for the app and its author. They answer only local programs that speak to
//! us on purpose: the Host must be a loopback name, there must be no Origin (a web page has one), and a POST must be
//! JSON (which a page cannot send across origins without asking first).

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use llmcache_policy::names;
use serde_json::{Value, json};

pub(crate) use invalidate::layer_of;

use crate::body::{self, Body, full};
use crate::in_force::InForce;
use crate::pipeline::Pipeline;

mod feedback;
mod invalidate;

/// Answers one request below `/llmcache`.
pub(crate) async fn handle(in_force: &InForce, request: Request<Incoming>) -> Response<Body> {
    let pipeline: Arc<Pipeline> = in_force.pipeline();
    if let Err(reason) = guard(request.method(), request.headers()) {
        return reply(StatusCode::FORBIDDEN, &json!({"error": reason}));
    }
    let path = request
        .uri()
        .path()
        .strip_prefix(names::LOCAL_PREFIX)
        .unwrap_or_default()
        .to_owned();
    match (request.method().as_str(), path.as_str()) {
        ("GET", "/account") => account(&pipeline, request.uri().query()),
        ("GET", "/snapshot") => snapshot(&pipeline),
        ("POST", "/invalidate") => match body::buffer(request.into_body(), &mut pipeline.budget.open()).await {
            Ok(body) => invalidate::run(&pipeline, &body).await,
            Err(_) => reply(StatusCode::BAD_REQUEST, &json!({"error": "the body could not be read"})),
        },
        ("POST", "/feedback") => match body::buffer(request.into_body(), &mut pipeline.budget.open()).await {
            Ok(body) => feedback::run(&pipeline, &body).await,
            Err(_) => reply(StatusCode::BAD_REQUEST, &json!({"error": "the body could not be read"})),
        },
        ("GET", path) if path.starts_with(feedback::CANDIDATE) => {
            feedback::candidate(&pipeline, request.headers(), &path[feedback::CANDIDATE.len()..])
        }
        (_, "/account" | "/snapshot" | "/invalidate" | "/feedback") => reply(
            StatusCode::METHOD_NOT_ALLOWED,
            &json!({"error": "GET for account and snapshot, POST for invalidate and feedback"}),
        ),
        _ => reply(
            StatusCode::NOT_FOUND,
            &json!({"error": "try account, snapshot, invalidate, feedback or candidate/<id>"}),
        ),
    }
}

fn guard(method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
    if headers.contains_key(header::ORIGIN) {
        return Err("requests of web pages (with an Origin header) are refused");
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let loopback = ["127.0.0.1", "localhost", "[::1]"];
    if !loopback.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        return Err("the Host header must be 127.0.0.1, localhost or [::1]");
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if method == Method::POST && !media_type.eq_ignore_ascii_case("application/json") {
        return Err("a POST must have the content type application/json");
    }
    Ok(())
}

fn account(pipeline: &Pipeline, query: Option<&str>) -> Response<Body> {
    let id = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("id=")));
    match id {
        None => reply(StatusCode::OK, &pipeline.account.json()),
        Some(id) => match pipeline.account.find(id) {
            Some(line) => reply(StatusCode::OK, &line),
            None => reply(
                StatusCode::NOT_FOUND,
                &json!({"error": format!("no recent request has the id {id}")}),
            ),
        },
    }
}

/// The policy in force; certificates and secrets are not part of it.
fn snapshot(pipeline: &Pipeline) -> Response<Body> {
    let mut snapshot = pipeline.snapshot.clone();
    let upstreams = &mut snapshot.upstreams;
    for url in [&mut upstreams.anthropic.url, &mut upstreams.openai.url] {
        *url = redacted(url);
    }
    reply(
        StatusCode::OK,
        &json!({"revision": pipeline.revision, "snapshot": snapshot}),
    )
}

/// A URL without the login that may be in it.
fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        None => url.to_owned(),
        Some((_, host)) => format!("{scheme}://redacted@{host}{path}"),
    }
}

fn reply(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(full(format!("{body}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn a_login_in_a_url_is_not_shown() {
        assert_eq!(redacted("https://u:p@ss@host:1/v1@x"), "https://redacted@host:1/v1@x");
        assert_eq!(redacted("https://host/v1@x"), "https://host/v1@x");
    }
}
