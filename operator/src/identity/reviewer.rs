//! Reviews for many callers at once: remembered, asked once for all who ask the same, and not too often.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::answers::{Answers, Hash};
use super::bucket::Bucket;
use super::metrics::Metrics;
use super::token::LONGEST;
use super::{Failure, Identity, review};

#[cfg(test)]
mod tests;

/// How much is asked and kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Reviews that may go to the API server in a second; default 100.
    pub per_second: u32,
    /// Reviews that may go at once after a quiet time; default 200.
    pub burst: u32,
    /// Longest wait for one's turn; default 5 s, so 500 callers queue at most.
    pub patience: Duration,
    /// Longest that one review may take, the wait for one's turn apart; default 10 s.
    pub review: Duration,
    /// Longest that an identity is kept; default 5 min, and never past the end of its token.
    pub keep: Duration,
    /// How long a refusal is kept; default 10 s.
    pub keep_refusal: Duration,
    /// Answers that are kept; default 16 384, about 8 MB.
    pub room: usize,
}

/// The reviewer; clones share what it knows.
#[derive(Clone)]
pub struct Reviewer {
    inner: Arc<Inner>,
}

type Outcome = Result<Identity, Failure>;
type Flight = watch::Receiver<Option<Outcome>>;

struct Inner {
    client: Client,
    limits: Limits,
    metrics: Metrics,
    desk: Mutex<Desk>,
}

struct Desk {
    answers: Answers,
    flights: HashMap<Hash, Flight>,
    bucket: Bucket,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_second: 100,
            burst: 200,
            patience: Duration::from_secs(5),
            review: Duration::from_secs(10),
            keep: Duration::from_mins(5),
            keep_refusal: Duration::from_secs(10),
            room: 16_384,
        }
    }
}

impl std::fmt::Debug for Reviewer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Reviewer")
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

impl Reviewer {
    /// A reviewer that knows nobody yet.
    pub fn new(client: Client, limits: Limits, metrics: Metrics) -> Self {
        let desk = Desk {
            answers: Answers::new(limits.room),
            flights: HashMap::new(),
            bucket: Bucket::new(limits.per_second, limits.burst, Instant::now()),
        };
        Self {
            inner: Arc::new(Inner {
                client,
                limits,
                metrics,
                desk: Mutex::new(desk),
            }),
        }
    }

    /// Who shows this token; a caller that goes away takes nothing from others who ask the same.
    pub async fn review(&self, token: &str) -> Outcome {
        if token.is_empty() || token.len() > LONGEST {
            let refused = Err(Failure::Refused("it is empty, or too long for a token".into()));
            self.inner.metrics.count(&refused);
            return refused;
        }
        let hash: Hash = Sha256::digest(token).into();
        let mut flight = match self.look(hash, token) {
            Ok(flight) => flight,
            Err(answer) => return answer,
        };
        let landed = flight.wait_for(Option::is_some).await;
        let outcome = landed.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(Failure::Unavailable("the review was given up".into())))
    }

    /// An answer that is known, or a review that is under way or begins now.
    fn look(&self, hash: Hash, token: &str) -> Result<Flight, Outcome> {
        let now = Instant::now();
        let mut desk = self.inner.desk.lock();
        if let Some(answer) = desk.answers.find(&hash, now) {
            // Wall and steady clock may part: what ended by either has ended.
            let has_ended = answer.as_ref().is_ok_and(|it| it.expires <= SystemTime::now());
            if !has_ended {
                self.inner.metrics.count_cached();
                return Err(answer);
            }
        }
        if let Some(flight) = desk.flights.get(&hash) {
            self.inner.metrics.count_cached();
            return Ok(flight.clone());
        }
        let Some(wait) = desk.bucket.take(now, self.inner.limits.patience) else {
            let shed = Err(Failure::Shed);
            self.inner.metrics.count(&shed);
            return Err(shed);
        };
        let (landing, flight) = watch::channel(None);
        desk.flights.insert(hash, flight.clone());
        let token = Zeroizing::new(token.to_owned());
        tokio::spawn(self.inner.clone().fly(hash, token, wait, landing));
        Ok(flight)
    }
}

impl Inner {
    async fn fly(
        self: Arc<Self>,
        hash: Hash,
        token: Zeroizing<String>,
        wait: Duration,
        to: watch::Sender<Option<Outcome>>,
    ) {
        // Also when the review panics, or the next with this token would wait for ever.
        let end = End { inner: &self, hash };
        sleep(wait).await;
        let outcome = review::ask(&self.client, &token, self.limits.review).await;
        self.metrics.count(&outcome);
        if let Some(keep) = self.keep_for(&outcome) {
            let now = Instant::now();
            self.desk.lock().answers.keep(hash, now, now + keep, outcome.clone());
        }
        drop(end);
        to.send_replace(Some(outcome));
    }

    /// How long an answer may be given again; `None` for one that another try may change.
    fn keep_for(&self, outcome: &Outcome) -> Option<Duration> {
        match outcome {
            Ok(identity) => {
                let left = identity.expires.duration_since(SystemTime::now()).unwrap_or_default();
                Some(left.min(self.limits.keep))
            }
            Err(Failure::Refused(_)) => Some(self.limits.keep_refusal),
            Err(Failure::Shed | Failure::Unavailable(_)) => None,
        }
    }
}

struct End<'a> {
    inner: &'a Inner,
    hash: Hash,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.inner.desk.lock().flights.remove(&self.hash);
    }
}
