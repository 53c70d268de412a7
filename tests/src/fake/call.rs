//! One accepted model call, from think time to the body: what all endpoints share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tokio::time::Instant;

use super::Shared;
use super::answer::{Answer, Stop};
use super::bill::{End, Line, Tariff, Tokens};
use super::playback::{Charge, Piece, Playback};
use super::script::{Pace, Trouble};
use super::wire::{Order, Orders};

/// A response of the fake provider.
pub(crate) type Reply = Response<Playback>;

/// Where a request came from and who sent it.
pub(crate) struct Caller {
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: Arc<Orders>,
    /// `/v1/messages` and the like, whatever prefix the client left out.
    pub(crate) path: &'static str,
    pub(crate) headers: HeaderMap,
    /// The API key.
    pub(crate) key: String,
}

/// A call under way.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pace: Pace,
    pub(crate) trouble: Option<Trouble>,
    accepts_gzip: bool,
}

/// What a call is billed for, before its output is known.
pub(crate) struct Due {
    pub(crate) id: String,
    pub(crate) path: &'static str,
    pub(crate) model: String,
    pub(crate) tariff: Tariff,
    pub(crate) tokens: Tokens,
}

impl Caller {
    /// A request header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Takes the trouble that waits for this call, and gives the connection its orders.
    pub(crate) fn meet(&self, model: &str) -> Call {
        let trouble = self.shared.script.take(model, self.path);
        match &trouble {
            Some(Trouble::Reset) => self.orders.give(Order::Reset),
            Some(Trouble::GarbageHead) => self.orders.give(Order::Garbage),
            Some(Trouble::SlowHeadMs(wait)) => {
                self.orders.give(Order::SlowHead(Duration::from_millis(*wait)));
            }
            _ => {}
        }
        let config = &self.shared.config;
        let pace = Pace {
            think: config.think,
            token: config.token,
        }
        .under(trouble.as_ref());
        let accepts = self.header("accept-encoding").unwrap_or_default();
        let accepts_gzip = config.gzip && accepts.contains("gzip");
        Call {
            shared: Arc::clone(&self.shared),
            pace,
            trouble,
            accepts_gzip,
        }
    }
}

impl Call {
    /// An error status to answer with at once: its status, code and `retry-after`.
    pub(crate) fn refused(&self) -> Option<(u16, Option<&str>, Option<u64>)> {
        match &self.trouble {
            Some(Trouble::Status {
                status,
                code,
                retry_after,
            }) => Some((*status, code.as_deref(), *retry_after)),
            _ => None,
        }
    }

    /// Whether no byte of a response will arrive: such a call costs nothing and writes no cache.
    pub(crate) const fn breaks_head(&self) -> bool {
        matches!(self.trouble, Some(Trouble::Reset | Trouble::GarbageHead))
    }

    /// Whether a plain answer is to be an overload instead.
    pub(crate) fn fails_plain(&self) -> bool {
        matches!(self.trouble, Some(Trouble::ErrorEventAfter(_)))
    }

    /// Opens the account of the call; dropped early, it is charged as cancelled.
    pub(crate) fn open(&self, due: Due) -> Charge {
        let Due {
            id,
            path,
            model,
            tariff,
            tokens,
        } = due;
        let line = Line {
            id,
            path: path.to_owned(),
            model,
            tokens,
            searches: 0,
            nanos: 0,
            end: End::Complete,
        };
        let line = Some(line).filter(|_| !self.breaks_head());
        Charge {
            shared: Arc::clone(&self.shared),
            tariff,
            line,
            produced: 0,
            under_way: None,
        }
    }

    /// The time before the first byte; a plain answer may stall here.
    pub(crate) async fn think(&self, streams: bool) {
        if !self.pace.think.is_zero() {
            tokio::time::sleep(self.pace.think).await;
        }
        if !streams && matches!(self.trouble, Some(Trouble::StallAfter(_))) {
            self.shared.stall().await;
        }
    }

    /// The answer under the request's limits and this call's trouble.
    pub(crate) fn shape(&self, answer: &mut Answer, max_tokens: Option<u64>, stops: &[&str]) {
        answer.fit(max_tokens, stops);
        match &self.trouble {
            Some(Trouble::Truncated(tokens)) => answer.truncate(*tokens),
            Some(Trouble::Refusal) => {
                *answer = Answer {
                    stop: Stop::Refusal,
                    ..Answer::default()
                }
            }
            Some(Trouble::RefusalAfter(tokens)) => {
                answer.truncate(*tokens);
                answer.stop = Stop::Refusal;
            }
            Some(Trouble::Empty) => *answer = Answer::default(),
            _ => {}
        }
    }

    /// A plain answer, sent when its tokens have been produced.
    pub(crate) async fn reply_plain(self, body: Bytes, answers: &[Answer], mut charge: Charge) -> Reply {
        let output = output_of(answers);
        if !self.pace.token.is_zero() {
            charge.under_way = Some((Instant::now(), self.pace.token, output));
            tokio::time::sleep(self.pace.of_tokens(output)).await;
        }
        let body = match self.trouble {
            Some(Trouble::GarbageAfter(_)) => Bytes::from_static(b"\x00\xff{garbage]\xfe\x00"),
            _ => body,
        };
        let length = body.len();
        let playback = Playback::plain(body, output, end_of(answers), charge, self.trouble.as_ref());
        let mut reply = Response::new(self.compress(playback));
        let headers = reply.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.accepts_gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        } else {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        reply
    }

    /// A streamed answer; `error` is the event of a scripted error.
    pub(crate) fn reply_stream(self, pieces: Vec<Piece>, answers: &[Answer], error: Bytes, charge: Charge) -> Reply {
        let script = (&self.pace, self.trouble.as_ref());
        let playback = Playback::stream(pieces, output_of(answers), end_of(answers), script, error, charge);
        let mut reply = Response::new(self.compress(playback));
        let headers = reply.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if self.accepts_gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        reply
    }

    fn compress(&self, playback: Playback) -> Playback {
        if self.accepts_gzip {
            return playback.gzip().unwrap_or_default();
        }
        playback
    }
}

/// A JSON body under a status.
pub(crate) fn json(status: u16, body: &serde_json::Value) -> Reply {
    let mut reply = Response::new(Playback::whole(body.to_string()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// Sets a header whose value is known to be legal; an illegal one is left out.
pub(crate) fn set(reply: &mut Reply, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

fn output_of(answers: &[Answer]) -> u64 {
    answers.iter().map(Answer::output).sum()
}

/// A refusal before any output is reported, not charged.
fn end_of(answers: &[Answer]) -> End {
    let refused = |answer: &Answer| answer.stop == Stop::Refusal && answer.parts.is_empty();
    if answers.iter().all(refused) {
        End::Refused
    } else {
        End::Complete
    }
}
