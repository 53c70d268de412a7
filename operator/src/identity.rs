//! Who a token belongs to: asked of the API server, remembered for a while, never read from the token itself.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

mod review;
#[cfg(test)]
mod tests;

pub use review::{Metrics, of_cluster};

/// How long a positive answer is believed, unless the token ends before.
const BELIEVED: Duration = Duration::from_mins(5);
/// How long a negative answer is believed.
const REFUSED: Duration = Duration::from_secs(10);
/// Tokens remembered; the API server is asked again about others.
const MAX_KNOWN: usize = 20_000;
/// Reviews under way at once: the API server has other things to do.
const MAX_REVIEWS: usize = 16;
/// Callers that may wait for a review; more are told to try again.
const MAX_WAITING: usize = 2_048;
/// Longest wait for an answer, the queue included.
const PATIENCE: Duration = Duration::from_secs(10);

/// One pod, as the API server names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Namespace.
    pub namespace: String,
    /// Service account.
    pub service_account: String,
    /// Name of the pod.
    pub pod_name: String,
    /// Uid of the pod.
    pub pod_uid: String,
}

/// Why a token names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The API server does not accept it.
    #[error("the token is refused: {0}")]
    Refused(String),
    /// The API server gave no answer: try again.
    #[error("the token could not be reviewed: {0}")]
    Unavailable(String),
    /// Too many are asking: try again.
    #[error("too many tokens wait for a review: try again")]
    Busy,
}

/// What a review says.
pub type Answer = Result<(Identity, Instant), Problem>;

/// Asks the API server about one token; gives the pod and when the token ends.
pub type Ask = Box<dyn Fn(String) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Remembers answers, and asks once for equal tokens.
pub struct Reviewer {
    ask: Ask,
    known: Mutex<HashMap<[u8; 32], Known>>,
    reviews: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

enum Known {
    Answered(Answer, Instant),
    Asking(Shared<BoxFuture<'static, Answer>>),
}

impl Reviewer {
    /// A reviewer that knows nobody.
    pub fn new(ask: Ask) -> Arc<Self> {
        Arc::new(Self {
            ask,
            known: Mutex::default(),
            reviews: Arc::new(Semaphore::new(MAX_REVIEWS)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        })
    }

    /// The pod that a token belongs to, and when the token ends.
    pub async fn identify(&self, token: &str) -> Answer {
        let name: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let Ok(_place) = self.waiting.clone().try_acquire_owned() else {
            return Err(Problem::Busy);
        };
        let asking = match self.known(name, token) {
            Ok(answer) => return answer,
            Err(asking) => asking,
        };
        let answer = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(Problem::Unavailable(format!("no answer within {PATIENCE:?}"))),
        };
        self.remember(name, &answer);
        answer
    }

    /// What is known, or the question under way.
    fn known(&self, name: [u8; 32], token: &str) -> Result<Answer, Shared<BoxFuture<'static, Answer>>> {
        let now = Instant::now();
        let mut known = self.known.lock();
        match known.get(&name) {
            Some(Known::Answered(answer, until)) if *until > now => return Ok(answer.clone()),
            Some(Known::Asking(asking)) => return Err(asking.clone()),
            _ => {}
        }
        if known.len() >= MAX_KNOWN {
            known.retain(|_, known| !matches!(known, Known::Answered(_, until) if *until <= now));
        }
        let question = queued(self.reviews.clone(), (self.ask)(token.to_owned()))
            .boxed()
            .shared();
        if known.len() < MAX_KNOWN {
            known.insert(name, Known::Asking(question.clone()));
        }
        Err(question)
    }

    /// Only what the API server said is remembered: its silence must not outlast itself.
    fn remember(&self, name: [u8; 32], answer: &Answer) {
        let now = Instant::now();
        let until = match answer {
            Ok((_, ends)) => (now + BELIEVED).min(*ends),
            Err(Problem::Refused(_)) => now + REFUSED,
            Err(_) => {
                self.known.lock().remove(&name);
                return;
            }
        };
        let mut known = self.known.lock();
        if let Some(entry) = known.get_mut(&name) {
            *entry = Known::Answered(answer.clone(), until);
        }
    }
}

async fn queued(reviews: Arc<Semaphore>, ask: impl Future<Output = Answer>) -> Answer {
    let _turn = reviews.acquire_owned().await;
    ask.await
}

impl Problem {
    /// One word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
            Self::Busy => "busy",
        }
    }
}

impl From<Problem> for tonic::Status {
    fn from(problem: Problem) -> Self {
        match &problem {
            Problem::Refused(_) => Self::unauthenticated(problem.to_string()),
            Problem::Unavailable(_) => Self::unavailable(problem.to_string()),
            Problem::Busy => Self::resource_exhausted(problem.to_string()),
        }
    }
}
