//! `/livez`, `/readyz` and `/metrics`: for the kubelet and for Prometheus, in clear.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics;

/// Connections served at once.
const MAX_CONNECTIONS: usize = 64;
/// Longest time a client may take to send its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What keeps this replica from being ready, one line each; empty = it is.
pub type Readiness = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// Serves until the process ends. `refresh` brings gauges up to date that nothing else sets.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    readiness: Readiness,
    refresh: Arc<dyn Fn() + Send + Sync>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: accepting again at once would spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (registry, readiness, refresh) = (registry.clone(), readiness.clone(), refresh.clone());
        let service = service_fn(move |request| {
            let answer = answer(&request, &registry, &readiness, &refresh);
            async move { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(slot);
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    registry: &Registry,
    readiness: &Readiness,
    refresh: &Arc<dyn Fn() + Send + Sync>,
) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n".into()),
        "/readyz" => match readiness() {
            missing if missing.is_empty() => text(StatusCode::OK, "ok\n".into()),
            missing => text(StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n"),
        },
        "/metrics" => {
            refresh();
            match metrics::render(registry) {
                Ok(exposition) => text(StatusCode::OK, exposition),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            }
        }
        _ => text(StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics\n".into()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
