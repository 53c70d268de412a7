//! The socket under a connection, which can be ordered to misbehave below HTTP: reset, garbage, a slow head.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Bytes that no HTTP parser takes for a response.
const GARBAGE: &[u8] = b"\x16\x03\xff\x00garbage\x00\xfe\r\n\r\n";

/// Bytes of the head sent before a slow one pauses.
const HEAD_START: usize = 16;

/// What the next write does instead of writing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    Garbage,
    Reset,
    SlowHead(Duration),
}

/// Where a request handler leaves an order for its connection.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    given: AtomicBool,
    order: Mutex<Option<Order>>,
}

/// A TCP stream that obeys orders.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    orders: Arc<Orders>,
    pause: Option<(usize, Pin<Box<Sleep>>)>,
}

impl Orders {
    pub(crate) fn give(&self, order: Order) {
        *self.order.lock() = Some(order);
        self.given.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Order> {
        if !self.given.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.order.lock().take()
    }
}

impl Wire {
    pub(crate) const fn new(stream: TcpStream, orders: Arc<Orders>) -> Self {
        Self {
            stream,
            orders,
            pause: None,
        }
    }

    fn obey(&mut self, order: Order, context: &mut Context<'_>) -> io::Result<()> {
        match order {
            Order::Reset => {
                self.stream.set_zero_linger()?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Order::Garbage => {
                // The socket's buffer is empty before a response, so this never has to wait.
                let _ = Pin::new(&mut self.stream).poll_write(context, GARBAGE);
                Err(io::ErrorKind::BrokenPipe.into())
            }
            Order::SlowHead(pause) => {
                self.pause = Some((HEAD_START, Box::pin(tokio::time::sleep(pause))));
                Ok(())
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(order) = self.orders.take() {
            self.obey(order, context)?;
        }
        let Self { stream, pause, .. } = &mut *self;
        if let Some((left, sleep)) = pause {
            if *left > 0 {
                let part = &bytes[..bytes.len().min(*left)];
                let written = ready!(Pin::new(stream).poll_write(context, part))?;
                *left -= written;
                return Poll::Ready(Ok(written));
            }
            ready!(sleep.as_mut().poll(context));
            *pause = None;
        }
        Pin::new(stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
