//! Connections that tell how many requests they carried and whether anything has come back since the last was written:
//! what decides whether a request may be sent again. It wraps the encrypted stream, so that bytes of TLS do not count.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use crate::body::BoxError;

/// What is known of a connection.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Known>);

/// Makes watched connections.
#[derive(Clone)]
pub(super) struct Watched<C>(pub(super) C);

/// A watched connection.
pub(super) struct Stream<T> {
    io: TokioIo<T>,
    watch: Watch,
}

#[derive(Default)]
struct Known {
    requests: AtomicU32,
    is_answered: AtomicBool,
}

impl Watch {
    /// Counts a request; true when the connection had carried one before.
    pub(super) fn count(&self) -> bool {
        self.0.requests.fetch_add(1, Ordering::Relaxed) > 0
    }

    /// Whether a byte has come since the last one went.
    pub(super) fn is_answered(&self) -> bool {
        self.0.is_answered.load(Ordering::Acquire)
    }
}

impl<C> Service<Uri> for Watched<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
{
    type Response = TokioIo<Stream<C::Response>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.0.call(target);
        Box::pin(async move {
            Ok(TokioIo::new(Stream {
                io: TokioIo::new(connecting.await?),
                watch: Watch::default(),
            }))
        })
    }
}

impl<T: Connection> Connection for Stream<T> {
    fn connected(&self) -> Connected {
        self.io.inner().connected().extra(self.watch.clone())
    }
}

impl<T: Read + Unpin> AsyncRead for Stream<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buf))?;
        if buf.filled().len() > before {
            self.watch.0.is_answered.store(true, Ordering::Release);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Write + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.watch.0.is_answered.store(false, Ordering::Release);
        Pin::new(&mut self.io).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.watch.0.is_answered.store(false, Ordering::Release);
        Pin::new(&mut self.io).poll_write_vectored(context, buffers)
    }
}
