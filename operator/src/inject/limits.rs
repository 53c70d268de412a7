//! Fits the sidecar into what its namespace and its pod allow, or says that it cannot.
//!
//! A `LimitRange` refuses the app's pod, not only ours, so each bound is met here: min, max, ratio, per container and
//! per pod; the defaults of a resource that we do not ask for. A Guaranteed pod stays so: its ratio is 1.

use std::collections::{BTreeMap, BTreeSet};

use llmcache_policy::names::ANNOTATION_RESOURCES;
use serde_json::Value;

use super::read::text;
use super::resources::{Resources, Span};
use super::skip::{Reason, Skip};

mod bounds;
mod pod;

use bounds::Bounds;

/// What one item of a `LimitRange` bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each container.
    Container,
    /// All containers of a pod together.
    Pod,
}

/// One item of a `LimitRange`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    scope: Scope,
    bounds: BTreeMap<String, Bounds>,
}

impl Limit {
    /// The items of a `LimitRange` (its `spec.limits`) that bound pods; an amount that cannot be read bounds nothing.
    pub fn read(items: &Value) -> Vec<Self> {
        let items = items.as_array().into_iter().flatten();
        items
            .filter_map(|item| {
                let scope = match text(item, "type") {
                    "Container" => Scope::Container,
                    "Pod" => Scope::Pod,
                    _ => return None,
                };
                let bounds = Bounds::read(item);
                Some(Self { scope, bounds })
            })
            .collect()
    }
}

/// The wanted resources as they are allowed.
pub(super) fn fit(wanted: &Resources, spec: &Value, limits: &[Limit]) -> Result<Resources, Skip> {
    let mut spans = wanted.0.clone();
    for resource in bounded(limits) {
        let bounds = bounds(&resource, spec, limits);
        let Some(wanted) = spans.get(&resource).copied().or_else(|| bounds.preset()) else {
            continue;
        };
        let fitting = bounds.fit(&resource, wanted);
        spans.insert(
            resource.clone(),
            fitting.ok_or_else(|| skip(&resource, wanted, &bounds))?,
        );
    }
    Ok(Resources(spans))
}

/// Resources with a bound of any kind; the two that we ask for always.
fn bounded(limits: &[Limit]) -> BTreeSet<String> {
    let ours = ["cpu", "memory"].map(str::to_owned);
    let theirs = limits.iter().flat_map(|limit| limit.bounds.keys().cloned());
    ours.into_iter().chain(theirs).collect()
}

/// All bounds of one resource together.
fn bounds(resource: &str, spec: &Value, limits: &[Limit]) -> Bounds {
    let mut narrowed = pod::bounds(resource, spec);
    for limit in limits {
        let Some(bounds) = limit.bounds.get(resource) else {
            continue;
        };
        narrowed = match limit.scope {
            Scope::Container => narrowed.and(bounds),
            Scope::Pod => narrowed.and(&pod::remaining(resource, spec, bounds)),
        };
    }
    narrowed
}

fn skip(resource: &str, span: Span, bounds: &Bounds) -> Skip {
    let Span { request, limit } = span;
    Skip {
        reason: Reason::LimitRange,
        message: format!(
            "the namespace's LimitRange or the pod's own limits leave no {resource} for the sidecar \
             (wanted {request}/{limit}, allowed {bounds}); raise them or set annotation {ANNOTATION_RESOURCES}"
        ),
    }
}
