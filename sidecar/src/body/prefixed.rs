//! A body of which some was already read: the bytes in hand, then the rest of the stream or its failure.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::BoxError;
use crate::memory::Reservation;

/// Bytes in hand, then what follows.
pub(super) struct Prefixed {
    /// The bytes, with the room they take.
    prefix: Option<(Bytes, Reservation)>,
    rest: Rest,
}

enum Rest {
    Live(Incoming),
    Broken(Option<BoxError>),
    Nothing,
}

impl Prefixed {
    /// The stream goes on.
    pub(super) fn live(prefix: Bytes, memory: Reservation, rest: Incoming) -> Self {
        Self::new(prefix, memory, Rest::Live(rest))
    }

    /// The stream broke; the upstream must not take the prefix for the whole.
    pub(super) fn broken(prefix: Bytes, memory: Reservation, error: BoxError) -> Self {
        Self::new(prefix, memory, Rest::Broken(Some(error)))
    }

    /// Nothing follows.
    pub(super) fn whole(bytes: Bytes, memory: Reservation) -> Self {
        Self::new(bytes, memory, Rest::Nothing)
    }

    fn new(prefix: Bytes, memory: Reservation, rest: Rest) -> Self {
        Self {
            prefix: Some((prefix, memory)),
            rest,
        }
    }
}

impl Body for Prefixed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some((prefix, _memory)) = self.prefix.take() {
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        match &mut self.rest {
            Rest::Live(body) => Pin::new(body).poll_frame(context).map_err(BoxError::from),
            Rest::Broken(error) => Poll::Ready(error.take().map(Err)),
            Rest::Nothing => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.prefix.is_none() && matches!(self.rest, Rest::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        let prefix = self.prefix.as_ref().map_or(0, |(prefix, _)| prefix.len() as u64);
        match &self.rest {
            Rest::Nothing => SizeHint::with_exact(prefix),
            Rest::Live(_) | Rest::Broken(_) => SizeHint::default(),
        }
    }
}
