//! An operator that says what a test tells it to: the push service over TLS, byte for byte, so that it can also say
//! what no version of ours says yet.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use anyhow::{Context as _, bail};
use llmcache_policy::push::{Ack, BanResult, Down, Hello, Nack, Report, Snapshot, Up, down, up};
use parking_lot::Mutex;
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

use super::{Authority, eventually};

mod codec;

use codec::Raw;

type Say = mpsc::Sender<Result<Vec<u8>, Status>>;
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Connection = Result<TlsStream<TcpStream>, std::io::Error>;

/// A scripted operator on a loopback port; ends with its owner.
pub struct Operator {
    port: u16,
    desk: Arc<Desk>,
    tasks: Vec<JoinHandle<()>>,
}

/// What a sidecar said, and on which of its connections, counted from 1.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The connection.
    pub connection: u64,
    /// The message.
    pub body: up::Body,
}

#[derive(Default)]
struct Desk {
    heard: Mutex<Vec<Heard>>,
    bearers: Mutex<Vec<String>>,
    greeting: Mutex<Vec<Vec<u8>>>,
    refuse: Mutex<Option<Status>>,
    /// Of each connection that is open, the latest last.
    open: Mutex<Vec<Say>>,
    connections: AtomicU64,
    nonces: AtomicU64,
    is_deaf: std::sync::atomic::AtomicBool,
}

#[derive(Clone)]
struct Desks(Arc<Desk>);

impl Operator {
    /// Starts one with a certificate of this authority.
    pub async fn start(authority: &Authority) -> anyhow::Result<Self> {
        Self::start_at(0, authority).await
    }

    /// Starts one on a port.
    pub async fn start_at(port: u16, authority: &Authority) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let acceptor = TlsAcceptor::from(Arc::new(authority.server()?));
        let (connections, incoming) = mpsc::channel::<Connection>(16);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, connections) = (acceptor.clone(), connections.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = connections.send(Ok(stream)).await;
                    }
                });
            }
        });
        let desk = Arc::new(Desk::default());
        let service = Desks(desk.clone());
        let serving = tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            // A connection that breaks is the test's doing.
            let _ = server.serve_with_incoming(ReceiverStream::new(incoming)).await;
        });
        Ok(Self {
            port,
            desk,
            tasks: vec![accepting, serving],
        })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What each new connection is told first.
    pub fn greet(&self, bodies: impl IntoIterator<Item = down::Body>) {
        *self.desk.greeting.lock() = bodies.into_iter().map(encode).collect();
    }

    /// Refuses new connections with this status, or takes them again.
    pub fn refuse(&self, status: Option<Status>) {
        *self.desk.refuse.lock() = status;
    }

    /// Stops reading what sidecars say, or reads on.
    pub fn turn_deaf(&self, is_deaf: bool) {
        self.desk.is_deaf.store(is_deaf, Ordering::Relaxed);
    }

    /// Says something on the latest connection.
    pub async fn say(&self, body: down::Body) -> anyhow::Result<()> {
        self.say_raw(encode(body)).await
    }

    /// Says these bytes as one message.
    pub async fn say_raw(&self, message: Vec<u8>) -> anyhow::Result<()> {
        let open = self.desk.open.lock().last().cloned();
        let open = open.context("no sidecar is connected")?;
        open.send(Ok(message)).await.context("the sidecar hung up")
    }

    /// Ends the latest connection cleanly.
    pub fn close(&self) {
        self.desk.open.lock().pop();
    }

    /// Offers a snapshot; gives its nonce.
    pub async fn offer(&self, revision: &str, json: impl Into<Vec<u8>>) -> anyhow::Result<u64> {
        let nonce = self.desk.nonces.fetch_add(1, Ordering::Relaxed) + 1;
        self.say(snapshot(nonce, revision, json)).await?;
        Ok(nonce)
    }

    /// Offers a snapshot and waits until it is in force; a nack is an error.
    pub async fn apply(&self, revision: &str, json: impl Into<Vec<u8>>) -> anyhow::Result<Ack> {
        let nonce = self.offer(revision, json).await?;
        match self.answer(nonce).await? {
            Ok(ack) => Ok(ack),
            Err(nack) => bail!("nacked: {}", nack.reason),
        }
    }

    /// Waits for the ack or nack of a nonce.
    pub async fn answer(&self, nonce: u64) -> anyhow::Result<Result<Ack, Nack>> {
        let mut answer = None;
        eventually("the snapshot is answered", async || {
            answer = self.answered(nonce);
            answer.is_some()
        })
        .await?;
        answer.context("no answer")
    }

    /// The latest ack or nack of a nonce so far.
    pub fn answered(&self, nonce: u64) -> Option<Result<Ack, Nack>> {
        self.heard().into_iter().rev().find_map(|heard| match heard.body {
            up::Body::Ack(ack) if ack.nonce == nonce => Some(Ok(ack)),
            up::Body::Nack(nack) if nack.nonce == nonce => Some(Err(nack)),
            _ => None,
        })
    }

    /// Waits until sidecars have connected so often.
    pub async fn connected(&self, times: u64) -> anyhow::Result<()> {
        eventually("a sidecar connects", async || self.hellos().len() as u64 >= times).await
    }

    /// Everything heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.desk.heard.lock().clone()
    }

    /// The hellos so far.
    pub fn hellos(&self) -> Vec<Hello> {
        self.pick(|body| match body {
            up::Body::Hello(hello) => Some(hello),
            _ => None,
        })
    }

    /// The reports so far.
    pub fn reports(&self) -> Vec<Report> {
        self.pick(|body| match body {
            up::Body::Report(report) => Some(report),
            _ => None,
        })
    }

    /// The results of bans so far.
    pub fn ban_results(&self) -> Vec<BanResult> {
        self.pick(|body| match body {
            up::Body::BanResult(result) => Some(result),
            _ => None,
        })
    }

    /// The `authorization` of each connection so far.
    pub fn bearers(&self) -> Vec<String> {
        self.desk.bearers.lock().clone()
    }

    fn pick<T>(&self, pick: impl Fn(up::Body) -> Option<T>) -> Vec<T> {
        self.heard().into_iter().filter_map(|heard| pick(heard.body)).collect()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.desk.open.lock().clear();
    }
}

/// A snapshot as a message.
pub fn snapshot(nonce: u64, revision: &str, json: impl Into<Vec<u8>>) -> down::Body {
    down::Body::Snapshot(Snapshot {
        nonce,
        revision: revision.into(),
        json: json.into(),
    })
}

/// The bytes of a message down.
pub fn encode(body: down::Body) -> Vec<u8> {
    Down { body: Some(body) }.encode_to_vec()
}

impl NamedService for Desks {
    const NAME: &'static str = "llmcache.push.v1.Push";
}

impl Service<http::Request<tonic::body::Body>> for Desks {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let desks = self.clone();
        Box::pin(async move { Ok(Grpc::new(Raw).streaming(desks, request).await) })
    }
}

impl StreamingService<Up> for Desks {
    type Response = Vec<u8>;
    type ResponseStream = ReceiverStream<Result<Vec<u8>, Status>>;
    type Future = Boxed<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Up>>) -> Self::Future {
        let desk = self.0.clone();
        Box::pin(async move {
            if let Some(status) = desk.refuse.lock().clone() {
                return Err(status);
            }
            let connection = desk.connections.fetch_add(1, Ordering::Relaxed) + 1;
            let bearer = request.metadata().get("authorization");
            let bearer = bearer.and_then(|bearer| bearer.to_str().ok()).unwrap_or_default();
            desk.bearers.lock().push(bearer.to_owned());
            let (say, said) = mpsc::channel(64);
            for message in desk.greeting.lock().iter().take(32) {
                // There is room for them.
                let _ = say.try_send(Ok(message.clone()));
            }
            let mut open = desk.open.lock();
            open.retain(|known| !known.is_closed());
            open.push(say);
            drop(open);
            tokio::spawn(listen(desk, connection, request.into_inner()));
            Ok(Response::new(ReceiverStream::new(said)))
        })
    }
}

async fn listen(desk: Arc<Desk>, connection: u64, mut ups: Streaming<Up>) {
    while let Ok(Some(Up { body })) = ups.message().await {
        if let Some(body) = body {
            desk.heard.lock().push(Heard { connection, body });
        }
        while desk.is_deaf.load(Ordering::Relaxed) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}
