//! One sidecar from start to end: bind, say so, serve, drain. Nothing the network does ends it. With a fixed policy a
//! setting that cannot work does, before it serves; in a pod nothing does.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use llmcache_policy::{NamespaceKey, names};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::body::{Body, full};
use crate::client::TlsError;
use crate::config::Config;
use crate::in_force::InForce;
use crate::pipeline::{self, Stores};
use crate::process::{Process, Start};
use crate::signals::Signals;
use crate::{admin, local, server};

/// Longest time that a start waits for the shared store: nothing is cached without it, but everything is served.
const WARM: Duration = Duration::from_millis(500);
/// Longest time that the last writes to the shared store may take after the drain.
const FLUSH: Duration = Duration::from_secs(1);

/// A setting that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that cannot be bound.
    #[error("{flag} {address}: {source}; choose another address, or port 0 for any free one")]
    Bind {
        /// The flag that names it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A secret that is no key.
    #[error("--secret-file: {0}")]
    Secret(String),
    /// Certificates that cannot be used.
    #[error("spec.upstreams: {0}")]
    Tls(#[from] TlsError),
    /// Metric families that contradict each other.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The operating system refused something basic.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Serves until SIGTERM or SIGINT, then drains for at most `config.grace`. When it serves it prints one line:
/// `llmcache ready proxy=http://… admin=http://…`.
pub fn run(config: Config) -> Result<(), Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Error> {
    let proxy = bind("--listen", config.listen).await?;
    let admin_port = bind("--admin", config.admin).await?;
    let ready = format!(
        "llmcache ready proxy=http://{} admin=http://{}",
        proxy.local_addr()?,
        admin_port.local_addr()?
    );
    let mut signals = Signals::listen()?;
    let grace = config.grace;
    let in_force = Arc::new(fixed(config)?);
    in_force.pipeline().warm(WARM).await;
    let (stop, stopped) = watch::channel(false);
    let (for_proxy, for_admin) = (in_force.clone(), in_force.clone());
    let serving = tokio::spawn(server::serve(
        proxy,
        move |request| dispatch(for_proxy.clone(), request),
        stopped,
        grace,
    ));
    // The admin port outlives the drain: whoever waits for it wants to see it.
    let (_open, never) = watch::channel(false);
    let admin = tokio::spawn(server::serve(
        admin_port,
        move |request| std::future::ready(admin::handle(&for_admin, &request)),
        never,
        grace,
    ));
    writeln!(std::io::stdout(), "{ready}")?;
    signals.received().await;
    stop.send_replace(true);
    if let Err(error) = serving.await {
        tracing::error!(%error, "the proxy ended early");
    }
    in_force.flush(FLUSH).await;
    admin.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Keys, store and policy as the command line says.
fn fixed(config: Config) -> Result<InForce, Error> {
    let Config {
        snapshot,
        namespace,
        redis,
        qdrant,
        secret,
        previous_secret,
        prices,
        model,
        state,
        ..
    } = config;
    let derive =
        |secret: Vec<u8>| NamespaceKey::derive(&secret, &namespace).map_err(|error| Error::Secret(error.to_string()));
    let stores = Stores {
        key: derive(secret)?,
        previous_key: previous_secret.map(derive).transpose()?,
        redis,
        qdrant,
    };
    let start = Start {
        prices,
        service_account: String::new(),
        model,
        memory_limit: None,
        state,
    };
    let process = Process::start(start, pipeline::REASONS)?;
    Ok(InForce::fixed(process, snapshot, stores)?)
}

async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Bind { flag, address, source })
}

pub(crate) async fn dispatch(in_force: Arc<InForce>, request: Request<Incoming>) -> Response<Body> {
    let target = request
        .uri()
        .path_and_query()
        .map_or_else(String::new, ToString::to_string);
    if let Some((provider, rest)) = pipeline::provider_of(&target) {
        let rest = rest.to_owned();
        return pipeline::handle(in_force.pipeline(), provider, rest, request).await;
    }
    let is_ours = target
        .strip_prefix(names::LOCAL_PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_ours {
        return local::handle(&in_force, request).await;
    }
    not_found()
}

/// Shaped so that both providers' SDKs show the message.
fn not_found() -> Response<Body> {
    let message = format!(
        "llmcache: no such path; base URLs end in {} and {}/v1, our own endpoints begin with {}",
        names::ANTHROPIC_PREFIX,
        names::OPENAI_PREFIX,
        names::LOCAL_PREFIX
    );
    let body = json!({"type": "error", "error": {"type": "not_found_error", "message": message}});
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
