//! What the leader alone does.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Ended, Parts, Tasks, spawn};
use crate::certificates::LeafTerms;
use crate::metrics::{Reporting, counters, int_gauge};
use crate::stores::{acl, chart_redis};
use crate::{invalidation, on_change, status, watchdog};

/// Starts every duty; each looks for itself whether this replica leads.
pub(super) fn start(parts: &Parts<'_>, tasks: &mut Tasks) -> Result<(), Ended> {
    let Parts {
        place,
        lead,
        known,
        secret,
        stores,
        sidecars,
        notices,
        ..
    } = parts;
    let worlds = &known.feed;
    let (registry, leads, client) = (&place.registry, lead, &place.client);
    let writer = status::Writer {
        client: client.clone(),
        worlds: worlds.clone(),
        sidecars: sidecars.clone(),
        leads: leads.clone(),
        metrics: Reporting::new(registry)?,
        version: env!("CARGO_PKG_VERSION"),
        watched: Arc::new(|world, judged| on_change::seen(&judged.policy, &world.index)),
    };
    spawn(tasks, "status", writer.run());
    let duty = invalidation::Duty {
        client: client.clone(),
        sidecars: sidecars.clone(),
        leads: leads.clone(),
        notices: notices.clone(),
        results: counters(
            registry,
            "invalidations_total",
            "Invalidations by what came of them.",
            "result",
        )?,
    };
    spawn(tasks, "invalidations", invalidation::run(worlds.clone(), duty));
    let changes = on_change::run(worlds.clone(), leads.clone(), client.clone(), notices.clone());
    spawn(tasks, "onChange", changes);
    let sources = acl::Sources {
        worlds: worlds.clone(),
        stores: stores.clone(),
        secret: secret.clone(),
        leads: leads.clone(),
    };
    let users = counters(registry, "acl_writes_total", "Redis users written.", "result")?;
    spawn(tasks, "Redis users", acl::run(sources, users));
    if place.settings.redis.enabled {
        spawn(tasks, "chart's Redis", chart_redis::run(chart_redis_duty(parts)));
    }
    let duty = watchdog_duty(parts)?;
    spawn(tasks, "watchdog", watchdog::run(worlds.clone(), duty));
    let refused = watchdog::watch_refused(client.clone(), worlds.clone(), leads.clone(), notices.clone());
    spawn(tasks, "refused pods", refused);
    Ok(())
}

fn chart_redis_duty(parts: &Parts<'_>) -> chart_redis::Duty {
    let (place, lead, trust) = (parts.place, &parts.lead, &parts.trust);
    let (serving, lifetime) = (trust.serving.clone(), trust.rotation.leaf);
    chart_redis::Duty {
        client: place.client.clone(),
        namespace: place.pod.pod_namespace.clone(),
        issue: Arc::new(move |names| {
            let terms = LeafTerms {
                names: names.to_vec(),
                lifetime,
            };
            let issued = serving
                .issue_leaf(SystemTime::now(), &terms)
                .map_err(|error| error.to_string())?;
            Ok(chart_redis::Leaf {
                certificate: issued.certificate_pem(),
                key: issued.key_pem().to_owned().into(),
                ca: serving.bundle_pem().as_deref().unwrap_or_default().to_owned(),
            })
        }),
        ca: trust.serving.bundle(),
        leads: lead.clone(),
    }
}

fn watchdog_duty(parts: &Parts<'_>) -> Result<watchdog::Duty, Ended> {
    let registry = &parts.place.registry;
    Ok(watchdog::Duty {
        sidecars: parts.sidecars.clone(),
        leads: parts.lead.clone(),
        notices: parts.notices.clone(),
        uninjected: int_gauge(
            registry,
            "uninjected_pods",
            "Pods that ask for a sidecar and have none after 45 s.",
        )?,
        without_traffic: int_gauge(registry, "injected_without_traffic", "Sidecars that nobody calls.")?,
    })
}
