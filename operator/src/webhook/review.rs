//! An `AdmissionReview` as it came.

use serde_json::Value;

use crate::inject::Rule;

/// What a path reviews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Jobs,
    Owners,
    Pods,
}

/// One request of the API server.
#[derive(Debug)]
pub(super) struct Review {
    pub(super) uid: String,
    pub(super) request: Value,
}

impl Route {
    pub(super) const ALL: [Self; 3] = [Self::Jobs, Self::Owners, Self::Pods];

    pub(super) fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.path() == path)
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Jobs => "/mutate/jobs",
            Self::Owners => "/mutate/owners",
            Self::Pods => "/mutate/pods",
        }
    }

    /// When owners of this path may change.
    pub(super) fn rule(self) -> Rule {
        match self {
            Self::Jobs => Rule::Once,
            Self::Owners | Self::Pods => Rule::Lasting,
        }
    }
}

impl Review {
    /// Reads a body; none when it is no review with a uid.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut review: Value = serde_json::from_slice(body).ok()?;
        let request = review.get_mut("request")?.take();
        let uid = request["uid"].as_str().filter(|uid| !uid.is_empty())?.to_owned();
        Some(Self { uid, request })
    }

    /// Whether nothing may be written down.
    pub(super) fn is_dry_run(&self) -> bool {
        self.request["dryRun"] == true
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.request[field].as_str().unwrap_or_default()
    }
}
