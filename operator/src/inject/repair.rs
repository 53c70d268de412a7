//! A second look at a pod that has our sidecar: what other webhooks changed since the first.
//!
//! Our container's image, resources and probes are left as found: a registry mirror or a mesh may have changed them on
//! purpose. Repaired are its operator and CA, its place before the app's init containers, what is missing of volumes
//! and label, and the environment of containers that came later.

use llmcache_policy::names::{ENV_CA, ENV_OPERATOR, ENV_PROXY_PORT, PROXY_PORT};
use serde_json::Value;

use super::apps::{Place, places};
use super::environment::{literal, set};
use super::patch::{Patch, pointer};
use super::upstream::{self, Opinion, PROVIDERS, Provider, Source};
use super::{Settings, proxy, volumes};

/// The repairs, and what the user should know of containers that cannot be redirected.
pub(super) fn repair(pod: &Value, ours: usize, settings: &Settings) -> (Patch, Vec<String>) {
    let (mut patch, mut warnings) = (Patch::default(), Vec::new());
    let places = places(pod);
    let sidecar = Place {
        field: "initContainers",
        index: ours,
        container: &pod["spec"]["initContainers"][ours],
    };
    redirect(&mut patch, &places, sidecar.container, &mut warnings);
    let address = [
        (ENV_OPERATOR, settings.operator.clone()),
        (ENV_CA, settings.ca_bundle.clone()),
    ];
    set(&mut patch, &sidecar, &address);
    if places
        .iter()
        .any(|place| place.field == "initContainers" && place.index < ours)
    {
        patch.relocate(&sidecar.path(&[]), &pointer(&["spec", "initContainers", "0"]));
    }
    volumes::add(&mut patch, pod);
    volumes::label(&mut patch, pod);
    (patch, warnings)
}

/// Sends the calls of containers that came later to the sidecar, where that is what they would get at first.
fn redirect(patch: &mut Patch, places: &[Place<'_>], sidecar: &Value, warnings: &mut Vec<String>) {
    let port = literal(sidecar, ENV_PROXY_PORT).and_then(|port| port.parse().ok());
    let port = port.unwrap_or(PROXY_PORT);
    let open: Vec<(&Provider, Vec<Source>)> = PROVIDERS
        .iter()
        .map(|provider| (provider, provider.given(sidecar)))
        .filter(|(provider, given)| !upstream::is_explicit(given, &upstream::from_all(provider, places)))
        .collect();
    for place in places {
        let lacking = open
            .iter()
            .filter(|(provider, _)| !is_redirected(provider, place, port));
        let mut wanted = Vec::new();
        for (provider, given) in lacking {
            if may_redirect(provider, given, place, port) {
                wanted.extend(provider.entries(port));
            } else {
                warnings.push(format!(
                    "container {}: added after the sidecar, with an upstream of its own; it is left as it is",
                    place.name()
                ));
            }
        }
        if !wanted.is_empty() {
            wanted.extend(proxy::loopback(place.container));
            set(patch, place, &wanted);
        }
    }
}

fn is_redirected(provider: &Provider, place: &Place<'_>, port: u16) -> bool {
    let url = provider.url(port);
    let mut names = provider.names.into_iter();
    names.all(|name| literal(place.container, name) == Some(url.as_str()))
}

fn may_redirect(provider: &Provider, given: &[Source], place: &Place<'_>, port: u16) -> bool {
    let is_silent = Opinion::of(provider, place, port).is_ok_and(|opinion| opinion.is_empty());
    let from = upstream::from_all(provider, &[*place]);
    is_silent && !upstream::is_explicit(&from, given) && proxy::problem(place.container).is_none()
}
