//! The follower's side: the leader's answer from its first byte, at the follower's own pace.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::Lost;
use super::flight::Seat;

/// A call that reads the leader's answer.
pub struct Follower<H, V> {
    seat: Seat<H, V>,
    is_over: bool,
}

impl<H, V> Follower<H, V> {
    pub(super) fn new(seat: Seat<H, V>) -> Self {
        Self { seat, is_over: false }
    }

    /// Waits for the head; lost also when the leader failed after its head, as nothing was passed on yet.
    pub async fn head(&mut self) -> Result<Arc<H>, Lost> {
        poll_fn(|cx| self.seat.poll_head(cx)).await
    }

    /// The next chunk, first what has accumulated, then live; `None` at the end or after an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, Lost>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As `next`, for a body that is polled.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Lost>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let chunk = self.seat.poll_chunk(cx);
        if let Poll::Ready(None | Some(Err(_))) = chunk {
            self.is_over = true;
        }
        chunk
    }

    /// Waits for the finished answer, and gives up the chunks; `None` when the leader has none to give.
    pub async fn value(&mut self) -> Result<Option<Arc<V>>, Lost> {
        self.is_over = true;
        self.seat.skip_chunks();
        poll_fn(|cx| self.seat.poll_value(cx)).await
    }
}

impl<H, V> std::fmt::Debug for Follower<H, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
