//! The one body type of the sidecar, for requests and responses alike, and how a body is collected in bounds.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body as _, Frame, Incoming};

use crate::memory::Reservation;

mod prefixed;
#[cfg(test)]
mod tests;

use prefixed::Prefixed;

/// Any failure of a body while it is read.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body of whatever source.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Anthropic's own limit on a request; nothing larger is ever collected.
pub(crate) const MAX_COLLECTED: usize = 32 << 20;

/// A body that was not collected: all of it, as a stream.
pub(crate) struct Left {
    /// Why.
    pub reason: Reason,
    /// What was read and what follows.
    pub body: Body,
}

/// Why a body was not collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Its sender went away.
    Cut,
    /// The budget of all buffered bodies is spent.
    Memory,
    /// It is over 32 MiB.
    TooLarge,
}

impl Reason {
    /// The word in metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Memory => "memory",
            Self::TooLarge => "too_large",
        }
    }
}

/// A body that is all there.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that streams in from a connection.
pub(crate) fn incoming(body: Incoming) -> Body {
    body.map_err(BoxError::from).boxed_unsync()
}

/// A collected body that keeps its room in the budget until it is passed on.
pub(crate) fn held(bytes: Bytes, memory: Reservation) -> Body {
    Prefixed::whole(bytes, memory).boxed_unsync()
}

/// Collects a body within the budget. What is left uncollected takes the reservation with it.
pub(crate) async fn buffer(mut incoming: Incoming, memory: &mut Reservation) -> Result<Bytes, Left> {
    let announced = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > MAX_COLLECTED {
        return Err(Left {
            reason: Reason::TooLarge,
            body: self::incoming(incoming),
        });
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let data = match frame.map(Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(_trailers)) => continue,
            Err(error) => {
                let body = Prefixed::broken(whole.freeze(), memory.take(), error.into()).boxed_unsync();
                return Err(Left {
                    reason: Reason::Cut,
                    body,
                });
            }
        };
        if let Some(reason) = refuse(whole.len() + data.len(), data.len(), memory) {
            whole.extend_from_slice(&data);
            return Err(Left {
                reason,
                body: Prefixed::live(whole.freeze(), memory.take(), incoming).boxed_unsync(),
            });
        }
        if whole.is_empty() && incoming.is_end_stream() {
            return Ok(data);
        }
        if whole.is_empty() {
            whole.reserve(announced.max(data.len()));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn refuse(total: usize, more: usize, memory: &mut Reservation) -> Option<Reason> {
    if total > MAX_COLLECTED {
        return Some(Reason::TooLarge);
    }
    (!memory.grow(more)).then_some(Reason::Memory)
}
