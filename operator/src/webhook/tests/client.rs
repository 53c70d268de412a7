//! An HTTPS client that speaks as the API server does, and worse.

use std::convert::Infallible;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;

use super::*;

pub(super) type Sent = BoxBody<Bytes, Infallible>;

pub(super) enum Client {
    One(http1::SendRequest<Sent>),
    Two(http2::SendRequest<Sent>),
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Protocol {
    /// What the API server offers.
    Both,
    Http1,
    /// No ALPN at all.
    Silent,
}

impl Client {
    pub(super) async fn connect(stage: &Stage, protocol: Protocol) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(stage.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = match protocol {
            Protocol::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Silent => Vec::new(),
        };
        let stream = TcpStream::connect(("127.0.0.1", stage.port)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
        let io = TokioIo::new(stream);
        if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            return Self::Two(sender);
        }
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Self::One(sender)
    }

    /// Sends a review and reads the answer.
    pub(super) async fn review(&mut self, path: &str, review: &Value) -> Value {
        self.bytes(path, review.to_string().into()).await
    }

    /// Sends any bytes and reads the answer, which must be one.
    pub(super) async fn bytes(&mut self, path: &str, body: Bytes) -> Value {
        answer(self.send("POST", path, Full::new(body).boxed()).await).await
    }

    pub(super) async fn send(&mut self, method: &str, path: &str, body: Sent) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .header("content-type", "application/json");
        match self {
            Self::One(sender) => {
                let request = request.uri(path).header("host", "localhost").body(body).unwrap();
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
            Self::Two(sender) => {
                let request = request.uri(format!("https://localhost{path}")).body(body).unwrap();
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
        }
    }
}

/// A body that arrives as it is fed, of no stated length.
pub(super) fn fed() -> (mpsc::Sender<Bytes>, Sent) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = tokio_stream::StreamExt::map(ReceiverStream::new(receiver), |bytes| Ok(Frame::data(bytes)));
    (sender, BodyExt::boxed(StreamBody::new(frames)))
}

/// The answer in a response.
pub(super) async fn answer(response: Response<Incoming>) -> Value {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_allowed(&answer);
    answer
}
