//! The admin port: `/livez` (the process serves), `/readyz` (with what is degraded), `/metrics`.

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::body::{Body, full};
use crate::in_force::InForce;

/// Answers one admin request.
pub(crate) fn handle(in_force: &InForce, request: &Request<Incoming>) -> Response<Body> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n".into());
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n".into()),
        "/readyz" => text(StatusCode::OK, readiness(in_force)),
        "/metrics" => metrics(in_force),
        _ => text(StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics\n".into()),
    }
}

/// A sidecar that listens is ready: whatever else is broken, requests pass through. Nothing waits for it to be.
fn readiness(in_force: &InForce) -> String {
    let pipeline = in_force.pipeline();
    let store = match pipeline.is_store_avoided() {
        None => "in-process",
        Some(false) => "redis",
        Some(true) => "in-process (redis unreachable, probed in the background)",
    };
    let mut page = format!(
        "ok\npolicy: {}\nrevision: {}\nstore: {store}\n",
        pipeline.snapshot.identity.name, pipeline.revision.0
    );
    page.push_str(match pipeline.is_index_avoided() {
        None => "",
        Some(false) => "index: qdrant\n",
        Some(true) => "index: in-process (qdrant unreachable, probed in the background)\n",
    });
    for note in in_force.notes() {
        page.push_str("degraded: ");
        page.push_str(&note);
        page.push('\n');
    }
    page
}

fn metrics(in_force: &InForce) -> Response<Body> {
    let rendered = match in_force.metrics_text() {
        Ok(rendered) => rendered,
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    };
    let mut response = text(StatusCode::OK, rendered);
    let version = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, version);
    response
}

fn text(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
