//! The admission server: reviews in over HTTPS, patches out.
//!
//! It never stands in a pod's way: whatever goes wrong, the answer is `allowed`, without a patch, with a warning, and
//! counted. It asks the API server nothing; what it knows of the cluster is a snapshot that the watches keep.

mod answer;
mod body;
mod facts;
mod judge;
mod keep;
mod metrics;
mod notice;
mod review;
mod server;

pub use facts::Facts;
pub use keep::keep_facts;
pub use metrics::Metrics;
pub use notice::{Notice, Regarding, Topic};
pub use server::serve;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use tokio::sync::{Semaphore, mpsc};

use crate::inject::Patch;
use answer::Answer;
use body::Trouble;
use review::{Review, Route};

/// The API server waits two seconds; an answer after them costs it the time and helps nobody.
const DEADLINE: Duration = Duration::from_millis(1800);

/// What answers reviews.
#[derive(Debug)]
pub struct Webhook {
    facts: Arc<ArcSwap<Facts>>,
    notices: mpsc::Sender<Notice>,
    metrics: Metrics,
    /// KiB of bodies that may be in memory at once.
    room: Arc<Semaphore>,
}

impl Webhook {
    /// Answers by these facts; what should become an Event goes to `notices`, and is dropped when that is full.
    pub fn new(facts: Arc<ArcSwap<Facts>>, notices: mpsc::Sender<Notice>, metrics: Metrics) -> Self {
        Self {
            facts,
            notices,
            metrics,
            room: Arc::new(Semaphore::new(body::ROOM_KIB)),
        }
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(route) = Route::of(request.uri().path()) else {
            return bare(StatusCode::NOT_FOUND);
        };
        if request.method() != Method::POST {
            return bare(StatusCode::METHOD_NOT_ALLOWED);
        }
        let timer = self.metrics.timer(route);
        let reading = self.read(request);
        let answer = match tokio::time::timeout(DEADLINE, reading).await {
            Ok(Ok(review)) => self.judge(route, review),
            Ok(Err(trouble)) => self.excuse(route, String::new(), trouble),
            Err(_) => self.excuse(route, String::new(), Trouble::Slow),
        };
        let response = answer.render();
        timer.observe_duration();
        response
    }

    async fn read<B>(&self, request: Request<B>) -> Result<Review, Trouble>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let bytes = body::read(request, &self.room).await?;
        Review::read(&bytes.0).ok_or(Trouble::Garbage)
    }

    /// The verdict on one review; a defect of ours costs the injection, not the pod.
    fn judge(&self, route: Route, review: Review) -> Answer {
        let facts = self.facts.load();
        let judged = catch_unwind(AssertUnwindSafe(|| judge::judge(route, &review, &facts)));
        match judged {
            Ok(Ok(verdict)) => {
                if !review.is_dry_run() {
                    self.report(&verdict);
                }
                Answer {
                    uid: review.uid,
                    patch: verdict.patch,
                    warnings: verdict.warnings,
                }
            }
            Ok(Err(trouble)) => self.excuse(route, review.uid, trouble),
            Err(_) => self.excuse(route, review.uid, Trouble::Defect),
        }
    }

    fn report(&self, verdict: &judge::Verdict) {
        if let Some(result) = verdict.result {
            self.metrics.injection(result);
        }
        if let Some(reason) = verdict.skip {
            self.metrics.skip(reason);
        }
        if let Some(notice) = verdict.notice.clone()
            && let Err(error) = self.notices.try_send(notice)
        {
            tracing::debug!(%error, "an Event is lost");
        }
    }

    fn excuse(&self, route: Route, uid: String, trouble: Trouble) -> Answer {
        tracing::warn!(path = route.path(), %trouble, "a review was answered without judgement");
        self.metrics.error(route);
        if route == Route::Pods {
            self.metrics.injection(metrics::ERROR);
        }
        Answer {
            uid,
            patch: Patch::default(),
            warnings: vec![format!("not injected: {trouble}")],
        }
    }
}

fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
