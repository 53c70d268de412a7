//! The app's proxy and CA settings: loopback stays off the proxy, and the sidecar goes out as the app would.

use serde_json::{Value, json};

use super::apps::Place;
use super::environment::{entry, is_literal, literal};
use super::read::{holds_variable, list, quoted, text};
use super::skip::{Reason, Skip};

mod trust;

const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// What must never go through a proxy.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

/// What the sidecar gets of the app's settings.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) env: Vec<Value>,
    pub(super) mounts: Vec<Value>,
}

/// Refuses settings that cannot be told to leave loopback alone.
pub(super) fn check(places: &[Place<'_>]) -> Result<(), Skip> {
    for place in places {
        if let Some(problem) = problem(place.container) {
            return Err(Reason::ProxyEnv.because(format!("container {}: {problem}", place.name())));
        }
    }
    Ok(())
}

/// Why loopback cannot be taken off a container's proxy.
pub(super) fn problem(container: &Value) -> Option<String> {
    for name in PROXIES.into_iter().chain(EXCEPTIONS) {
        if let Some((_, entry)) = entry(container, name)
            && (!is_literal(entry) || holds_variable(text(entry, "value")))
        {
            return Some(format!(
                "the value of {name} is known only inside the container; write it out"
            ));
        }
    }
    // A variable of `env` hides the one of `envFrom`, which the webhook cannot see: a list of ours alone would send the
    // hosts of the hidden list to the proxy.
    let is_listed = EXCEPTIONS.into_iter().any(|name| entry(container, name).is_some());
    let may_hide = has_proxy(container) && !list(container, "envFrom").is_empty();
    let is_proxy = |source: &&Value| {
        let names = ["configMapRef", "secretRef"].map(|field| text(&source[field], "name"));
        names.iter().any(|name| name.contains("proxy"))
    };
    let named = list(container, "envFrom").iter().find(is_proxy).is_some();
    (!is_listed && (may_hide || named))
        .then(|| "NO_PROXY may come from envFrom, where 127.0.0.1 cannot be added; set NO_PROXY in env".to_owned())
}

/// The exceptions of a container, with loopback among them, where it has a proxy.
pub(super) fn loopback(container: &Value) -> Vec<(&'static str, String)> {
    let present: Vec<&'static str> = EXCEPTIONS
        .into_iter()
        .filter(|name| literal(container, name).is_some())
        .collect();
    let may_have_proxy = has_proxy(container) || !(present.is_empty() || list(container, "envFrom").is_empty());
    if !may_have_proxy {
        return Vec::new();
    }
    // Where only one is set it must stay alone: most programs read the lower-case one first.
    let names = if present.is_empty() {
        EXCEPTIONS.to_vec()
    } else {
        present
    };
    names
        .into_iter()
        .filter_map(|name| Some((name, extended(literal(container, name).unwrap_or_default())?)))
        .collect()
}

/// The settings that stand in the pod, the first container's where they differ.
pub(super) fn carry(spec: &Value, places: &[Place<'_>], warnings: &mut Vec<String>) -> Carried {
    let mut carried = Carried::default();
    for name in PROXIES.into_iter().chain(EXCEPTIONS) {
        if let Some((_, value)) = agreed(name, places, warnings) {
            carried.env.push(json!({"name": name, "value": value}));
        }
    }
    for name in trust::NAMES {
        if let Some((place, value)) = agreed(name, places, warnings) {
            trust::carry(spec, place, name, value, &mut carried, warnings);
        }
    }
    carried
}

/// The first container's value of a name.
fn agreed<'a>(name: &str, places: &[Place<'a>], warnings: &mut Vec<String>) -> Option<(Place<'a>, &'a str)> {
    let mut values = places.iter().filter_map(|place| {
        let value = literal(place.container, name)?;
        (!value.is_empty() && !holds_variable(value)).then_some((*place, value))
    });
    let first = values.next()?;
    if values.any(|(_, value)| value != first.1) {
        let container = quoted(first.0.name());
        warnings.push(format!(
            "containers have different {name}; the sidecar takes that of container {container}"
        ));
    }
    Some(first)
}

fn has_proxy(container: &Value) -> bool {
    let mut values = PROXIES.into_iter().filter_map(|name| literal(container, name));
    values.any(|value| !value.is_empty())
}

/// A list with loopback; none when it has it.
fn extended(list: &str) -> Option<String> {
    let items: Vec<&str> = list.split(',').map(str::trim).collect();
    let missing: Vec<&str> = LOOPBACK.into_iter().filter(|host| !items.contains(host)).collect();
    if missing.is_empty() || items.contains(&"*") {
        return None;
    }
    let kept = list.trim_end_matches([',', ' ']);
    let kept = (!kept.is_empty()).then_some(kept);
    Some(kept.into_iter().chain(missing).collect::<Vec<_>>().join(","))
}
