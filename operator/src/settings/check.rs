//! What is wrong with settings that have the right shape.

use llmcache_policy::names;

use super::{Mode, Settings, StoreClass};
use crate::compile::STORE_CLASS;
use crate::settings::store_class::{Qdrant, Redis};

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];

/// Every problem, each naming the key, the value and the fix.
pub(super) fn problems(settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    let sidecar = &settings.sidecar;
    if sidecar.image.is_empty() {
        problems.push("sidecar.image: empty; write the image of the sidecar with its tag or digest".into());
    }
    for (key, value, allowed) in [
        ("sidecar.logLevel", &sidecar.log_level, &LEVELS[..]),
        (
            "sidecar.imagePullPolicy",
            &sidecar.image_pull_policy,
            &PULL_POLICIES[..],
        ),
    ] {
        if !allowed.contains(&value.as_str()) {
            problems.push(format!("{key}: {value:?}; write one of {}", allowed.join(", ")));
        }
    }
    if settings.service.is_empty() {
        problems.push(format!(
            "service: empty; write the Service's name, such as {}",
            names::SERVICE
        ));
    }
    for (name, class) in &settings.store_classes {
        check_class(&format!("storeClasses.{name}"), class, &mut problems);
    }
    check_defaults(settings, &mut problems);
    problems
}

fn check_class(key: &str, class: &StoreClass, problems: &mut Vec<String>) {
    match (&class.redis, &class.qdrant) {
        (None, Some(_)) => problems.push(format!(
            "{key}.qdrant: without redis; add {key}.redis, where the answers to the vectors are kept"
        )),
        (Some(redis), index) => {
            check_redis(&format!("{key}.redis"), redis, problems);
            problems.extend(index.as_ref().and_then(|index| check_qdrant(key, index)));
        }
        (None, None) => {}
    }
}

fn check_qdrant(key: &str, index: &Qdrant) -> Option<String> {
    let is_address = index.url.parse::<http::Uri>().is_ok_and(|url| {
        let has_login = url
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
        matches!(url.scheme_str(), Some("http" | "https")) && url.path() == "/" && url.query().is_none() && !has_login
    });
    (!is_address).then(|| {
        format!(
            "{key}.qdrant.url: {:?}; write http://host:6334 or https://host:6334, and a key in secretName",
            index.url
        )
    })
}

fn check_redis(key: &str, redis: &Redis, problems: &mut Vec<String>) {
    if redis.addresses.is_empty() {
        problems.push(format!("{key}.addresses: empty; write host:port of the servers"));
    }
    for (at, address) in redis.addresses.iter().enumerate() {
        let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) || address.contains(['/', '@']) {
            problems.push(format!("{key}.addresses[{at}]: {address:?}; write host:port"));
        }
    }
    if redis.mode == Mode::Single && redis.addresses.len() > 1 {
        problems.push(format!(
            "{key}.addresses: {} with mode Single; write one, or mode Cluster",
            redis.addresses.len()
        ));
    }
    if (redis.mode == Mode::Sentinel) != redis.master.is_some() {
        problems.push(format!("{key}.master: needed with mode Sentinel, and only then"));
    }
    if redis.tls.ca_secret.is_some() && !redis.tls.enabled {
        problems.push(format!(
            "{key}.tls.caSecret: with TLS off; set {key}.tls.enabled, or leave caSecret out"
        ));
    }
    if redis.credentials == super::Login::PerNamespace && redis.secret_name.is_none() {
        problems.push(format!(
            "{key}.secretName: needed with credentials perNamespace: the login by which the operator keeps one user per \
             namespace"
        ));
    }
}

/// The defaults are judged as a policy is.
fn check_defaults(settings: &Settings, problems: &mut Vec<String>) {
    let Some(spec) = &settings.defaults.spec else { return };
    if spec.selector.is_some() {
        problems.push("defaults.spec.selector: the defaults are for every pod; leave the selector out".into());
    }
    let mut policy = llmcache_crds::LLMCachePolicy::new(super::DEFAULTS, spec.clone());
    policy.metadata.namespace = Some(crate::compile::NAMESPACE.into());
    match crate::validate::validate(&policy) {
        Err(found) => problems.extend(found.iter().map(|problem| format!("defaults.{problem}"))),
        Ok(_) => problems.extend(
            settings
                .admit_upstreams(spec)
                .err()
                .map(|problem| format!("defaults.{problem}")),
        ),
    }
    let class = spec
        .stores
        .as_ref()
        .map(|stores| stores.class.as_deref().unwrap_or(STORE_CLASS));
    if let Some(class) = class.filter(|class| *class != STORE_CLASS && !settings.store_classes.contains_key(*class)) {
        problems.push(format!(
            "defaults.spec.stores.class: {class} is not in storeClasses; name one that is"
        ));
    }
}
