//! What a pod leaves to one more container.

use serde_json::Value;

use super::super::apps::{all, is_native_sidecar};
use super::super::quantity::Quantity;
use super::super::read::list;
use super::Bounds;

/// The two sides of a container's resources.
#[derive(Clone, Copy)]
enum Side {
    Limits,
    Requests,
}

/// Bounds that the pod sets by itself: its quality of service, and resources of the pod as a whole.
pub(super) fn bounds(resource: &str, spec: &Value) -> Bounds {
    let whole = &spec["resources"];
    let mut bounds = Bounds {
        max: amount(whole, Side::Limits, resource),
        ..Bounds::default()
    };
    if let Some(requests) = amount(whole, Side::Requests, resource).or(bounds.max) {
        bounds.max_request = Some(requests.minus(sum(spec, Side::Requests, resource)));
    }
    if matches!(resource, "cpu" | "memory") && is_guaranteed(spec) {
        bounds.ratio = Some(Quantity::milli(1000));
    }
    bounds
}

/// What a bound on the whole pod leaves to us: the rest of its maximum, and its ratio.
pub(super) fn remaining(resource: &str, spec: &Value, whole: &Bounds) -> Bounds {
    Bounds {
        max: whole.max.map(|max| max.minus(sum(spec, Side::Limits, resource))),
        ratio: whole.ratio,
        ..Bounds::default()
    }
}

/// Whether each container's requests are its limits, for CPU and memory.
fn is_guaranteed(spec: &Value) -> bool {
    let is_fixed = |container: &Value, resource: &str| {
        let limit = amount(&container["resources"], Side::Limits, resource);
        let request = amount(&container["resources"], Side::Requests, resource);
        limit.is_some_and(|limit| !limit.is_zero()) && (request.is_none() || request == limit)
    };
    let mut containers = all(spec).peekable();
    spec["resources"].is_null()
        && containers.peek().is_some()
        && containers.all(|container| is_fixed(container, "cpu") && is_fixed(container, "memory"))
}

/// What the containers that run together have of a resource.
fn sum(spec: &Value, side: Side, resource: &str) -> Quantity {
    let sidecars = list(spec, "initContainers")
        .iter()
        .filter(|container| is_native_sidecar(container));
    let together = list(spec, "containers").iter().chain(sidecars);
    let amounts = together.filter_map(|container| amount(&container["resources"], side, resource));
    amounts.fold(Quantity::default(), Quantity::plus)
}

fn amount(resources: &Value, side: Side, resource: &str) -> Option<Quantity> {
    let side = match side {
        Side::Limits => "limits",
        Side::Requests => "requests",
    };
    match &resources[side][resource] {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    }
}
