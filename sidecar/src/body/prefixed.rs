//! A body of which some was already read: the bytes in hand, then the rest of the stream or its failure.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};

use super::BoxError;

/// Bytes in hand, then what follows.
pub(super) struct Prefixed {
    prefix: Option<Bytes>,
    rest: Rest,
}

enum Rest {
    Live(Incoming),
    Broken(Option<BoxError>),
}

impl Prefixed {
    /// The stream goes on.
    pub(super) fn live(prefix: Bytes, rest: Incoming) -> Self {
        Self {
            prefix: Some(prefix),
            rest: Rest::Live(rest),
        }
    }

    /// The stream broke; the upstream must not take the prefix for the whole.
    pub(super) fn broken(prefix: Bytes, error: BoxError) -> Self {
        Self {
            prefix: Some(prefix),
            rest: Rest::Broken(Some(error)),
        }
    }
}

impl Body for Prefixed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(prefix) = self.prefix.take() {
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        match &mut self.rest {
            Rest::Live(body) => Pin::new(body).poll_frame(context).map_err(BoxError::from),
            Rest::Broken(error) => Poll::Ready(error.take().map(Err)),
        }
    }
}
