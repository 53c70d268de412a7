//! A response body played step by step: events at the token pace, scripted breaks, and the entry in the bill.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::Shared;
use super::bill::{End, Line, Tariff};
use super::script::{Pace, Trouble};
use super::tokens::tokens_of;

const GARBAGE: &[u8] = b"\x00\xff{garbage]\xfe\x00";

/// One event of a stream, or the one piece of a plain answer.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// Characters of output that the event carries.
    pub(crate) chars: u64,
}

/// What a call owes; dropped unsettled, the client went away.
pub(crate) struct Charge {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tariff: Tariff,
    pub(crate) line: Option<Line>,
    /// Output tokens handed over so far.
    pub(crate) produced: u64,
    /// A plain answer under way: since when, how fast, how much at most.
    pub(crate) under_way: Option<(Instant, Duration, u64)>,
}

/// A body made of steps.
#[derive(Default)]
pub(crate) struct Playback {
    steps: VecDeque<Step>,
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    charge: Option<Charge>,
}

enum Step {
    Break,
    /// A moment in which what was sent reaches the socket: a break would throw it away.
    Flush,
    Send {
        bytes: Bytes,
        produced: u64,
    },
    Settle(End),
    Stall,
    Wait(Duration),
}

impl Charge {
    /// Enters the line in the bill; only the first settlement counts.
    pub(crate) fn settle(&mut self, end: End, output: u64) {
        let Some(mut line) = self.line.take() else { return };
        line.end = end;
        line.tokens.output = output;
        if end != End::Refused {
            line.nanos = self.tariff.charge(&line.tokens, line.searches);
        }
        self.shared.book.enter(line);
    }

    /// The call costs nothing and is no line of the bill.
    pub(crate) fn waive(mut self) {
        self.line = None;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut produced = self.produced;
        if let Some((since, token, most)) = self.under_way {
            let tokens = since.elapsed().as_nanos().checked_div(token.as_nanos()).unwrap_or(0);
            produced = u64::try_from(tokens).unwrap_or(u64::MAX).min(most);
        }
        self.settle(End::Cancelled, produced);
    }
}

impl Playback {
    /// A whole body without a charge.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let steps = if bytes.is_empty() {
            VecDeque::new()
        } else {
            VecDeque::from([Step::Send { bytes, produced: 0 }])
        };
        Self {
            steps,
            pause: None,
            charge: None,
        }
    }

    /// A plain answer of `output` tokens, whole or broken.
    pub(crate) fn plain(bytes: Bytes, output: u64, end: End, mut charge: Charge, trouble: Option<&Trouble>) -> Self {
        let steps = match trouble {
            Some(Trouble::CutAfter(0)) => vec![Step::Settle(End::Cut), Step::Flush, Step::Break],
            Some(Trouble::CutAfter(_)) => {
                let half = bytes.slice(..bytes.len() / 2);
                vec![
                    Step::Settle(End::Cut),
                    Step::Send {
                        bytes: half,
                        produced: output,
                    },
                    Step::Flush,
                    Step::Break,
                ]
            }
            _ => vec![
                Step::Settle(end),
                Step::Send {
                    bytes,
                    produced: output,
                },
            ],
        };
        charge.under_way = None;
        charge.produced = output;
        Self {
            steps: steps.into(),
            pause: None,
            charge: Some(charge),
        }
    }

    /// A stream of events that adds up to `output` tokens; `error` is the event of a scripted error.
    pub(crate) fn stream(
        pieces: Vec<Piece>,
        output: u64,
        end: End,
        script: (&Pace, Option<&Trouble>),
        error: Bytes,
        charge: Charge,
    ) -> Self {
        let (pace, trouble) = script;
        let mut steps = VecDeque::with_capacity(pieces.len() + 4);
        let (last, mut chars, mut produced) = (pieces.len().saturating_sub(1), 0, 0);
        for (at, piece) in pieces.into_iter().enumerate() {
            match trouble {
                Some(Trouble::CutAfter(n)) if *n == at => {
                    steps.extend([Step::Settle(End::Cut), Step::Flush, Step::Break]);
                    break;
                }
                Some(Trouble::GarbageAfter(n)) if *n == at => {
                    let bytes = Bytes::from_static(GARBAGE);
                    steps.extend([Step::Settle(End::Cut), Step::Send { bytes, produced }]);
                    break;
                }
                Some(Trouble::ErrorEventAfter(n)) if *n == at => {
                    steps.extend([Step::Settle(End::Cut), Step::Send { bytes: error, produced }]);
                    break;
                }
                Some(Trouble::StallAfter(n)) if *n == at => steps.push_back(Step::Stall),
                _ => {}
            }
            chars += piece.chars;
            let reached = tokens_of(chars).min(output);
            if reached > produced && !pace.token.is_zero() {
                steps.push_back(Step::Wait(pace.of_tokens(reached - produced)));
            }
            produced = reached;
            if at == last {
                produced = output;
                steps.push_back(Step::Settle(end));
            }
            steps.push_back(Step::Send {
                bytes: piece.bytes,
                produced,
            });
        }
        Self {
            steps,
            pause: None,
            charge: Some(charge),
        }
    }

    /// The same body, each step compressed and flushed on its own.
    pub(crate) fn gzip(mut self) -> io::Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let last = self.steps.iter().rposition(|step| matches!(step, Step::Send { .. }));
        for (at, step) in self.steps.iter_mut().enumerate() {
            let Step::Send { bytes, .. } = step else { continue };
            encoder.write_all(bytes)?;
            encoder.flush()?;
            if Some(at) == last {
                encoder.try_finish()?;
            }
            *bytes = std::mem::take(encoder.get_mut()).into();
        }
        Ok(self)
    }

    /// Bytes that the steps will send.
    pub(crate) fn bytes(&self) -> usize {
        let sent = self.steps.iter().map(|step| {
            if let Step::Send { bytes, .. } = step {
                bytes.len()
            } else {
                0
            }
        });
        sent.sum()
    }

    fn step(&mut self, step: Step) -> Option<io::Result<Bytes>> {
        match step {
            Step::Break => return Some(Err(io::ErrorKind::ConnectionAborted.into())),
            Step::Send { bytes, produced } => {
                if let Some(charge) = &mut self.charge {
                    charge.produced = produced;
                }
                return Some(Ok(bytes));
            }
            Step::Flush => self.pause = Some(Box::pin(tokio::task::yield_now())),
            Step::Settle(end) => self.settle(end),
            Step::Stall => self.pause = self.charge.as_ref().map(|charge| charge.shared.stall()),
            Step::Wait(wait) => self.pause = Some(Box::pin(tokio::time::sleep(wait))),
        }
        None
    }

    /// A complete answer is billed whole, a broken one up to what was handed over.
    fn settle(&mut self, end: End) {
        let whole = self.steps.iter().find_map(|step| match step {
            Step::Send { produced, .. } if end != End::Cut => Some(*produced),
            _ => None,
        });
        if let Some(charge) = &mut self.charge {
            let output = whole.unwrap_or(charge.produced);
            charge.settle(end, output);
        }
    }
}

impl Body for Playback {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            let Some(step) = self.steps.pop_front() else {
                return Poll::Ready(None);
            };
            if let Some(sent) = self.step(step) {
                return Poll::Ready(Some(sent.map(Frame::data)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.pause.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let steady = self.steps.iter().all(|step| matches!(step, Step::Send { .. }));
        if steady {
            SizeHint::with_exact(self.bytes() as u64)
        } else {
            SizeHint::default()
        }
    }
}
