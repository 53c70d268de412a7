//! Tells the API server whom to trust at the webhook: `caBundle` by JSON patch, on a watch, in the leader alone.
//!
//! The chart renders the key not even empty, so it is owned here and survives `kubectl apply` and `helm upgrade`; what
//! `kubectl replace` takes away is put back.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::follow::{WatchEnded, follow, within};
use crate::lease::Leadership;

#[cfg(test)]
mod tests;

/// How often the object is compared without being told of a change.
const LOOK: Duration = Duration::from_mins(1);
/// How soon a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps the bundle in the `MutatingWebhookConfiguration` of this name; ends only when the watch does.
pub async fn run(
    api: Api<MutatingWebhookConfiguration>,
    name: &str,
    leadership: Leadership,
    mut bundle: watch::Receiver<Option<Arc<str>>>,
) -> Result<Infallible, WatchEnded> {
    let mut events = pin!(follow(api.clone(), name));
    let mut turns = leadership.subscribe();
    let mut seen = None;
    let mut look = Instant::now() + LOOK;
    loop {
        tokio::select! {
            event = events.next() => seen = event.ok_or(WatchEnded("MutatingWebhookConfiguration"))?,
            Ok(()) = bundle.changed() => {}
            _ = turns.changed() => {}
            () = sleep_until(look) => {}
        }
        look = Instant::now() + LOOK;
        let wanted = bundle.borrow_and_update().clone();
        let (Some(configuration), Some(wanted), true) = (&seen, wanted, leadership.is_leader()) else {
            continue;
        };
        let operations = patch(configuration, &wanted);
        if operations.is_empty() {
            continue;
        }
        match write(&api, name, operations).await {
            Ok(written) => {
                info!(name, "the API server was told whom to trust at the webhook");
                seen = Some(written);
            }
            // The list changed meanwhile: the watch brings the new one.
            Err(error) => {
                warn!(%error, name, "caBundle could not be written; trying again");
                look = Instant::now() + RETRY;
            }
        }
    }
}

/// The operations after which every entry holds the bundle; none for entries that do. An entry that has moved meanwhile
/// makes the API server refuse the whole patch.
pub fn patch(configuration: &MutatingWebhookConfiguration, bundle: &str) -> Vec<Value> {
    let mut operations = Vec::new();
    let entries = configuration.webhooks.iter().flatten().enumerate();
    for (index, entry) in entries {
        let current = entry.client_config.ca_bundle.as_ref();
        if current.is_some_and(|current| current.0 == bundle.as_bytes()) {
            continue;
        }
        let path = format!("/webhooks/{index}");
        operations.push(json!({"op": "test", "path": format!("{path}/name"), "value": entry.name}));
        operations.push(json!({
            "op": "add",
            "path": format!("{path}/clientConfig/caBundle"),
            "value": STANDARD.encode(bundle),
        }));
    }
    operations
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Call(#[from] crate::follow::Error),
    #[error("the patch cannot be written: {0}")]
    Patch(#[from] serde_json::Error),
}

async fn write(
    api: &Api<MutatingWebhookConfiguration>,
    name: &str,
    operations: Vec<Value>,
) -> Result<MutatingWebhookConfiguration, Error> {
    let patch = Patch::Json::<()>(serde_json::from_value(Value::Array(operations))?);
    Ok(within(api.patch(name, &PatchParams::default(), &patch)).await?)
}
