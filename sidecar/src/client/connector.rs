//! TCP connections, direct or through the environment's proxy: `CONNECT` for https, absolute URIs for http.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector, proxy::Tunnel};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use crate::body::BoxError;

/// SDKs allow 5 s for a connection; ours must fail first, so that they hear why.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// The proxy has to reach the provider first.
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(10);
/// As SDKs set it: finds dead peers behind silent middle boxes.
const TCP_KEEPALIVE: Duration = Duration::from_mins(1);

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    proxy: Arc<Matcher>,
}

/// A TCP connection that knows whether it ends at a forward proxy.
pub(super) struct Stream {
    io: TokioIo<TcpStream>,
    is_forwarded: bool,
}

impl Connector {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` as curl does.
    pub(super) fn from_env() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        Self {
            tcp,
            proxy: Arc::new(Matcher::from_env()),
        }
    }

    /// The login that each request of its own carries to a proxy; a tunnel is logged in when it is dug.
    pub(super) fn proxy_login(&self, target: &Uri) -> Option<HeaderValue> {
        if target.scheme_str() != Some("http") {
            return None;
        }
        self.proxy.intercept(target)?.basic_auth().cloned()
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let proxy = self.proxy.intercept(&target);
        let mut tcp = self.tcp.clone();
        Box::pin(async move {
            let (io, is_forwarded) = match proxy {
                None => (tcp.call(target).await?, false),
                Some(proxy) if target.scheme_str() == Some("http") => (tcp.call(proxy.uri().clone()).await?, true),
                Some(proxy) => {
                    let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                    if let Some(auth) = proxy.basic_auth() {
                        tunnel = tunnel.with_auth(auth.clone());
                    }
                    let dug = tokio::time::timeout(TUNNEL_TIMEOUT, tunnel.call(target)).await;
                    (dug.map_err(|_| "the proxy did not answer CONNECT in time")??, false)
                }
            };
            Ok(Stream { io, is_forwarded })
        })
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_forwarded)
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buf)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
