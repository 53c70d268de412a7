//! Who is calling: a projected token becomes a pod by `TokenReview`, and nothing that the caller says counts.
//!
//! Answers are kept for a while by the token's hash, equal questions are asked once, and the API server is asked only so
//! often; what does not fit is shed, for the caller to try again.

use std::sync::Arc;
use std::time::SystemTime;

use kube::Client;

mod answers;
mod bucket;
mod metrics;
mod review;
mod reviewer;
mod token;

pub use metrics::Metrics;
pub use reviewer::{Limits, Reviewer};

/// A pod that has proven who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Namespace of the pod.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// Its name.
    pub pod_name: String,
    /// Its uid; a new pod of the same name has another.
    pub pod_uid: String,
    /// When the proof ends; a connection that rests upon it ends then too.
    pub expires: SystemTime,
}

/// Why a caller is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The token proves nothing; trying again with the same one is no use.
    #[error("the token is refused: {0}")]
    Refused(Arc<str>),
    /// Too many are asking; try again later.
    #[error("too many tokens are waiting for review; try again later")]
    Shed,
    /// The API server gave no answer; try again later.
    #[error("the token cannot be reviewed now: {0}")]
    Unavailable(Arc<str>),
}

/// The common reviewer of an operator.
pub fn reviewer(client: Client, metrics: Metrics) -> Reviewer {
    Reviewer::new(client, Limits::default(), metrics)
}

impl Failure {
    /// One word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Shed => "busy",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl From<Failure> for tonic::Status {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Refused(_) => Self::unauthenticated(failure.to_string()),
            Failure::Shed => Self::resource_exhausted(failure.to_string()),
            Failure::Unavailable(_) => Self::unavailable(failure.to_string()),
        }
    }
}
