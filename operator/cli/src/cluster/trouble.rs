//! What the API server refused, or that it did not answer, in words that name the fix.

use std::time::Duration;

use kube::Error;
use kube::core::Resource;

use crate::failure::Failure;

/// One call, as a role would allow it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    verb: &'static str,
    /// With its group, such as `llmcachepolicies.llmcache.dev`.
    resource: String,
    /// None = the whole cluster.
    namespace: Option<String>,
}

/// A call that gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    pub(crate) message: String,
}

/// What the caller may do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The account may not do this.
    Forbidden,
    /// The API server refused the object, or answered with another error.
    Refused,
    /// Nothing answers, or not to this account.
    Unreachable,
}

const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
const UNAUTHORIZED: u16 = 401;

impl Call {
    /// A call on objects of one kind.
    pub(crate) fn new<K: Resource<DynamicType = ()>>(verb: &'static str, namespace: Option<&str>) -> Self {
        let (plural, group) = (K::plural(&()), K::group(&()));
        Self {
            verb,
            resource: if group.is_empty() {
                plural.into_owned()
            } else {
                format!("{plural}.{group}")
            },
            namespace: namespace.map(str::to_owned),
        }
    }

    /// A call on a part of pods.
    pub(crate) fn on_pods(verb: &'static str, part: &str, namespace: &str) -> Self {
        Self {
            verb,
            resource: format!("pods/{part}"),
            namespace: Some(namespace.into()),
        }
    }

    /// The words of the whole call.
    fn words(&self) -> String {
        let place = self.namespace.as_ref().map_or_else(
            || "in all of the cluster".to_owned(),
            |namespace| format!("in namespace {namespace}"),
        );
        format!("{} {} {place}", self.verb, self.resource)
    }

    /// That this may not be done, and what allows it.
    pub(crate) fn forbidden(&self) -> String {
        format!(
            "not allowed: {}; fix: have a role bound that allows the verb {} on the resource {}, such as {}",
            self.words(),
            self.verb,
            self.resource,
            self.role()
        )
    }

    fn role(&self) -> &'static str {
        match (self.verb, self.resource.as_str()) {
            ("create", resource) if resource.ends_with("llmcache.dev") => "edit or llmcache-edit",
            ("get" | "list" | "watch", resource) if !resource.contains('/') => "view or llmcache-view",
            _ => "edit",
        }
    }
}

impl Trouble {
    /// What a client's error means for a call.
    pub(super) fn new(call: &Call, server: &str, error: &Error) -> Self {
        let Error::Api(status) = error else {
            return Self::of_client(server, error);
        };
        match status.code {
            FORBIDDEN if status.message.contains("cannot") => Self {
                kind: Kind::Forbidden,
                message: call.forbidden(),
            },
            UNAUTHORIZED => Self {
                kind: Kind::Unreachable,
                message: format!("{server} does not know this account; fix: log in again, or give another --context"),
            },
            NOT_FOUND if call.resource.ends_with("llmcache.dev") && call.verb != "get" => Self {
                kind: Kind::Refused,
                message: format!(
                    "the cluster has no {}, or no namespace {}; fix: helm install the chart, or give another --namespace",
                    call.resource,
                    call.namespace.as_deref().unwrap_or("of that name")
                ),
            },
            _ => Self::other(call, &status.message),
        }
    }

    /// No answer in time.
    pub(super) fn late(call: &Call, server: &str, patience: Duration) -> Self {
        Self {
            kind: Kind::Unreachable,
            message: format!(
                "{server} did not answer within {} s to {}; fix: check --context, or raise --request-timeout",
                patience.as_secs_f32(),
                call.words()
            ),
        }
    }

    /// The API server's own words.
    pub(super) fn other(call: &Call, message: &str) -> Self {
        Self {
            kind: Kind::Refused,
            message: format!("{}: {message}", call.words()),
        }
    }

    /// A watch that ended.
    pub(crate) fn of_watch(call: &Call, error: &kube::runtime::wait::Error) -> Self {
        let words = chain(error);
        let kind = if words.contains("forbidden") {
            Kind::Forbidden
        } else {
            Kind::Refused
        };
        let message = if kind == Kind::Forbidden {
            call.forbidden()
        } else {
            words
        };
        Self { kind, message }
    }

    fn of_client(server: &str, error: &Error) -> Self {
        let fix = match error {
            Error::Auth(_) => "log in again, or mend the user of the kubeconfig",
            Error::SerdeError(_) => "use the version of this program that the install has",
            _ => "check that the cluster runs, and --context and --kubeconfig",
        };
        Self {
            kind: Kind::Unreachable,
            message: format!("{server} cannot be asked: {}; fix: {fix}", chain(error)),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble.kind {
            Kind::Forbidden | Kind::Refused => Self::Problems(vec![trouble.message]),
            Kind::Unreachable => Self::Unreachable(vec![trouble.message]),
        }
    }
}

/// An error and what caused it, on one line, nothing said twice.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error.to_string();
        if !words.contains(&inner) {
            words = format!("{words}: {inner}");
        }
        source = error.source();
    }
    words
}
