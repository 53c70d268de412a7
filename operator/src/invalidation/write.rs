//! What is written to the API server about invalidations.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use llmcache_crds::LLMCacheInvalidation;
use serde_json::json;
use tokio::time::timeout;

use super::Verdict;
use crate::events::REPORTER;
use crate::facts::Key;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Writes a status; whether it is there now. What fails is tried again at the next look.
pub(super) async fn status(client: &Client, key: &Key, uid: &str, verdict: &Verdict) -> bool {
    let objects: Api<LLMCacheInvalidation> = Api::namespaced(client.clone(), &key.namespace);
    let patch = Patch::Apply(json!({
        "apiVersion": "llmcache.dev/v1alpha1",
        "kind": "LLMCacheInvalidation",
        // With its uid, so that a later object of the same name is not taken for it.
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
        "status": verdict.status,
    }));
    let params = PatchParams::apply(REPORTER).force();
    match timeout(TIMEOUT, objects.patch_status(&key.name, &params, &patch)).await {
        Ok(Ok(_)) => return true,
        Ok(Err(kube::Error::Api(error))) if error.code == 404 || error.code == 409 => {}
        Ok(Err(error)) => tracing::warn!(invalidation = %key, %error, "cannot write the status"),
        Err(_) => tracing::warn!(invalidation = %key, "cannot write the status: no answer within 5 s"),
    }
    false
}

/// Deletes one; one that is gone or another by now is left alone.
pub(super) async fn delete(client: &Client, object: &LLMCacheInvalidation) {
    let key = Key::of(&object.metadata);
    let objects: Api<LLMCacheInvalidation> = Api::namespaced(client.clone(), &key.namespace);
    let params = DeleteParams::default().preconditions(Preconditions {
        uid: object.metadata.uid.clone(),
        resource_version: None,
    });
    match timeout(TIMEOUT, objects.delete(&key.name, &params)).await {
        Ok(Ok(_)) => {}
        Ok(Err(kube::Error::Api(error))) if error.code == 404 || error.code == 409 => {}
        Ok(Err(error)) => tracing::warn!(invalidation = %key, %error, "cannot delete it"),
        Err(_) => tracing::warn!(invalidation = %key, "cannot delete it: no answer within 5 s"),
    }
}
