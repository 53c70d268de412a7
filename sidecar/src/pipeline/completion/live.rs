//! A provider's stream on its way to the app: observed frame by frame, ended with an error event when the provider
//! cuts it (SDKs take a cut stream for a whole one), and read to its end without the app while others follow it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming};
use llmcache_provider::answer::{NotAnswer, StreamReader};
use llmcache_provider::error::stream_error;

use super::Served;
use super::filter::Filter;
use crate::body::{Body, BoxError};
use crate::pipeline::account::Record;
use crate::pipeline::result_cache::Turn;
use crate::pipeline::store::{self, Ended};
use crate::pipeline::{Exchange, Pipeline, guard};

/// Observes a stream from here on.
pub(super) fn body(
    pipeline: &Arc<Pipeline>,
    exchange: &Arc<Exchange>,
    turn: Turn,
    upstream: Incoming,
    served: Served,
    record: Record,
) -> Body {
    let keep = if turn.is_read() {
        pipeline.snapshot.result_cache.max_entry_bytes
    } else {
        0
    };
    let filter = Filter::new(pipeline, exchange, served.echoes_ours);
    let tail = Tail {
        pipeline: pipeline.clone(),
        exchange: exchange.clone(),
        turn,
        served,
        record,
        // A stream takes several times the bytes of the answer it assembles to.
        reader: StreamReader::new(exchange.call.endpoint, usize::try_from(keep * 8).unwrap_or(usize::MAX)),
    };
    Live {
        upstream: Some(upstream),
        filter,
        tail: Some(Box::new(tail)),
    }
    .boxed_unsync()
}

struct Live {
    /// None once it has ended.
    upstream: Option<Incoming>,
    filter: Filter,
    /// None once the answer is settled; what follows its last event is passed on all the same.
    tail: Option<Box<Tail>>,
}

/// What is settled when the answer ends.
struct Tail {
    pipeline: Arc<Pipeline>,
    exchange: Arc<Exchange>,
    turn: Turn,
    served: Served,
    record: Record,
    reader: StreamReader,
}

impl Live {
    /// Takes a frame in; gives what the app gets of it.
    fn observe(&mut self, chunk: Bytes) -> Bytes {
        let ended = self.tail.as_mut().is_some_and(|tail| {
            tail.reader.feed(&chunk);
            tail.reader.is_finished() && tail.reader.is_between_frames()
        });
        let passed = self.filter.feed(chunk);
        if let Some(tail) = &self.tail {
            tail.share(&passed);
        }
        if ended && let Some(tail) = self.tail.take() {
            tail.settle();
        }
        passed
    }

    /// The stream ended; gives what is left of it, and the error event where its last event is missing.
    fn end(&mut self) -> Bytes {
        self.upstream = None;
        let rest = std::mem::replace(&mut self.filter, Filter::Nothing).finish();
        let Some(mut tail) = self.tail.take() else { return rest };
        tail.share(&rest);
        tail.reader.end();
        if tail.reader.is_finished() {
            tail.settle();
            return rest;
        }
        let has_said_so = tail.reader.is_error();
        let endpoint = tail.exchange.call.endpoint;
        tail.cut(if has_said_so { "error_event" } else { "upstream_cut" });
        if has_said_so {
            return rest;
        }
        let error = stream_error(endpoint, "llmcache: the upstream ended the stream early");
        [rest, error].concat().into()
    }
}

impl HttpBody for Live {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let Some(upstream) = &mut self.upstream else {
                return Poll::Ready(None);
            };
            let Some(Ok(frame)) = ready!(Pin::new(upstream).poll_frame(context)) else {
                let last = self.end();
                return Poll::Ready((!last.is_empty()).then(|| Ok(Frame::data(last))));
            };
            let Ok(chunk) = frame.into_data() else { continue };
            let passed = self.observe(chunk);
            if !passed.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(passed))));
            }
        }
    }
}

impl Drop for Live {
    /// The app has gone. Its followers, if any, still get the answer.
    fn drop(&mut self) {
        let (Some(upstream), Some(tail)) = (self.upstream.take(), self.tail.take()) else {
            return;
        };
        let is_followed = tail.turn.leader.as_ref().is_some_and(|leader| leader.followers() > 0);
        let rest = Self {
            upstream: Some(upstream),
            filter: std::mem::replace(&mut self.filter, Filter::Nothing),
            tail: Some(tail),
        };
        if is_followed && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(rest.drain());
        } else {
            rest.cancel();
        }
    }
}

impl Live {
    /// Reads on while somebody follows.
    async fn drain(mut self) {
        loop {
            let Some(upstream) = &mut self.upstream else { return };
            let leader = self.tail.as_ref().and_then(|tail| tail.turn.leader.as_ref());
            let frame = tokio::select! {
                frame = upstream.frame() => frame,
                () = async { if let Some(leader) = leader { leader.unfollowed().await } } => {
                    return self.cancel();
                }
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(chunk))) => drop(self.observe(chunk)),
                Some(Ok(Err(_trailers))) => {}
                Some(Err(_)) | None => {
                    self.end();
                }
            }
        }
    }

    /// Closes the connection to the provider and accounts what was passed on.
    fn cancel(mut self) {
        self.upstream = None;
        if let Some(tail) = self.tail.take() {
            tail.cut("cancelled");
        }
    }
}

impl Tail {
    fn share(&self, chunk: &Bytes) {
        if let Some(leader) = &self.turn.leader {
            leader.push(chunk.clone());
        }
    }

    /// Stores and accounts a whole answer, then lets the followers know.
    fn settle(self: Box<Self>) {
        let Self {
            pipeline,
            exchange,
            mut turn,
            served,
            mut record,
            reader,
        } = *self;
        let reported = reader.usage();
        record.progress.output_bytes = reader.output_bytes();
        let answer = guard("store", || reader.finish().map_err(NotAnswer::word)).unwrap_or(Err("internal"));
        let (stored, kept) = match answer {
            Err(reason) => {
                store::lost(&pipeline, &turn, reason);
                (None, Err(reason))
            }
            Ok(answer) => {
                let ended = Ended {
                    answer,
                    model: served.model,
                    detour: served.detour,
                };
                guard("store", || store::admit(&pipeline, &exchange, &mut turn, ended))
                    .unwrap_or((None, Err("internal")))
            }
        };
        match reported {
            Some((usage, billing)) => {
                record.answered(&usage, &billing, kept);
            }
            None => record.cut("no_usage"),
        }
        if let Some(leader) = turn.leader {
            leader.finish(stored.map(Arc::new));
        }
    }

    /// Accounts an answer that did not come to its end; its followers are lost with the leader.
    fn cut(self: Box<Self>, reason: &'static str) {
        store::lost(&self.pipeline, &self.turn, reason);
        let Self { mut record, reader, .. } = *self;
        record.progress.usage = reader.usage();
        record.progress.output_bytes = reader.output_bytes();
        record.cut(reason);
    }
}
