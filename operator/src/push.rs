//! The push server: one stream per sidecar, known by its token alone, and the word of other replicas.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use llmcache_policy::push::push_server::{Push, PushServer};
use llmcache_policy::push::{Down, SharedNothing, Sightings, Up};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::identity::{Identity, Reviewer};
use crate::metrics::Pushing;
use crate::sidecars::Sidecars;

mod connection;
mod desired;
mod share;
mod tls;

pub use connection::Wanted;
pub use desired::Desired;
pub use share::share;

/// Sidecars that one replica serves at once.
const MAX_CONNECTIONS: usize = 20_000;
/// Longest life of a stream, before jitter, so that sidecars spread over replicas again.
const AGE: Duration = Duration::from_mins(30);
/// Time after which a silent sidecar is asked whether it lives, and in which it has to answer: one that vanished without
/// a word must not be taken for serving, and its bans not be waited for.
const PING: Duration = Duration::from_secs(5);
/// Room for messages that the network has not taken yet.
const ROOM: usize = 1;

/// What the server needs of the rest of the operator.
#[derive(Clone)]
pub struct Service {
    /// Tells who a token belongs to.
    pub reviewer: Arc<Reviewer>,
    /// What holds for a sidecar now.
    pub wanted: Wanted,
    /// Changes whenever what is wanted may have.
    pub news: watch::Receiver<u64>,
    /// Where the word of every sidecar is kept.
    pub sidecars: Sidecars,
    /// Metric families.
    pub metrics: Pushing,
    /// The operator's own namespace and service account: who may share.
    pub own: (String, String),
    /// Becomes true when this replica ends.
    pub stop: watch::Receiver<bool>,
    slots: Arc<Semaphore>,
}

impl Service {
    /// A server that nobody is connected to.
    pub fn new(
        reviewer: Arc<Reviewer>,
        wanted: Wanted,
        news: watch::Receiver<u64>,
        sidecars: Sidecars,
        metrics: Pushing,
        own: (String, String),
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            reviewer,
            wanted,
            news,
            sidecars,
            metrics,
            own,
            stop,
            slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }

    /// Serves on a bound port until `stop`.
    pub async fn serve(
        self,
        listener: TcpListener,
        acceptor: tokio_rustls::TlsAcceptor,
    ) -> Result<(), tonic::transport::Error> {
        let mut stop = self.stop.clone();
        tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(PING))
            .http2_keepalive_timeout(Some(PING))
            .max_concurrent_streams(4)
            .add_service(PushServer::new(self).max_decoding_message_size(4 << 20))
            .serve_with_incoming_shutdown(tls::incoming(listener, acceptor), async move {
                // Without a sender the process is ending too.
                let _ = stop.wait_for(|stop| *stop).await;
            })
            .await
    }

    /// Who calls, by the token alone, and when the token ends.
    async fn identify<T>(&self, request: &Request<T>) -> Result<(Identity, Instant), Status> {
        let token = request.metadata().get("authorization");
        let token = token
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let Some(token) = token else {
            self.metrics.rejected("no_token");
            return Err(Status::unauthenticated(
                "no bearer token: mount one with the audience llmcache.dev",
            ));
        };
        match self.reviewer.review(token).await {
            Ok(identity) => {
                let left = identity.expires.duration_since(SystemTime::now()).unwrap_or_default();
                Ok((identity, Instant::now() + left))
            }
            Err(failure) => {
                self.metrics.rejected(failure.word());
                Err(failure.into())
            }
        }
    }
}

#[tonic::async_trait]
impl Push for Service {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<Down, Status>> + Send>>;

    async fn connect(&self, request: Request<Streaming<Up>>) -> Result<Response<Self::ConnectStream>, Status> {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            self.metrics.rejected("full");
            return Err(Status::resource_exhausted(
                "too many sidecars on this replica: try another",
            ));
        };
        let (identity, token_ends) = self.identify(&request).await?;
        let (down, messages) = mpsc::channel(ROOM);
        let connection = connection::Connection {
            identity,
            wanted: self.wanted.clone(),
            news: self.news.clone(),
            sidecars: self.sidecars.clone(),
            metrics: self.metrics.clone(),
            end: token_ends.min(Instant::now() + jittered(AGE)),
            opened_ms: u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default(),
        };
        let (gauge, stop, up) = (
            self.metrics.connections.clone(),
            self.stop.clone(),
            request.into_inner(),
        );
        gauge.inc();
        tokio::spawn(async move {
            if let Err(status) = connection.run(up, down.clone(), stop).await {
                // Nobody listens any more when this fails.
                let _ = tokio::time::timeout(Duration::from_secs(1), down.send(Err(status))).await;
            }
            gauge.dec();
            drop(slot);
        });
        Ok(Response::new(ReceiverStream::new(messages).boxed()))
    }

    async fn share(&self, request: Request<Streaming<Sightings>>) -> Result<Response<SharedNothing>, Status> {
        let (identity, token_ends) = self.identify(&request).await?;
        if (&identity.namespace, &identity.service_account) != (&self.own.0, &self.own.1) {
            self.metrics.rejected("not_operator");
            return Err(Status::permission_denied(
                "only the operator's replicas share what they see",
            ));
        }
        let mut said = request.into_inner();
        let mut stop = self.stop.clone();
        loop {
            let message = tokio::select! {
                message = said.message() => message?,
                () = tokio::time::sleep_until(token_ends) => return Err(Status::unauthenticated("the token has ended")),
                _ = stop.wait_for(|stop| *stop) => return Err(Status::unavailable("this replica ends")),
            };
            let Some(mut message) = message else {
                return Ok(Response::new(SharedNothing {}));
            };
            message.replica.clone_from(&identity.pod_name);
            self.sidecars.hear(message, Timestamp::now().as_millisecond());
        }
    }
}

/// Within a tenth of a duration, so that what began together does not end together.
fn jittered(around: Duration) -> Duration {
    let mut byte = [128];
    // Without randomness the middle will do.
    let _ = getrandom::fill(&mut byte);
    around.mul_f64(0.9 + 0.2 * f64::from(byte[0]) / 255.0)
}

/// Address that push is served on: all of the pod's.
pub fn address() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], llmcache_policy::names::PUSH_PORT))
}
