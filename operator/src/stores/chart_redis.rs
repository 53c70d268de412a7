//! The Secret of the Redis that the chart runs: certificate, password and configuration, made by the leader.
//!
//! A certificate is renewed after two thirds of its life, or when the authorities change. The kubelet brings the new files
//! into the pod within a minute or two; Redis reads them when told to, which is repeated until it serves the new one.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use crate::lease::Leadership;
use crate::settings::store_class::CHART_REDIS;

mod reload;
mod secret;
#[cfg(test)]
mod tests;

pub use reload::{Reload, reload};
pub use secret::{Leaf, certificate, need, renewed};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Folder of the Secret's files in the pod, as the chart mounts them.
pub const FOLDER: &str = "/etc/llmcache/redis";

/// Gives a certificate for these names, or says why not.
pub type Issue = Arc<dyn Fn(&[String]) -> Result<Leaf, String> + Send + Sync>;

/// What keeping the Secret needs.
#[derive(Clone)]
pub struct Duty {
    /// Where the Secret is written.
    pub client: Client,
    /// The operator's own namespace, where the Redis runs too.
    pub namespace: String,
    /// Signs certificates; the leaf's `ca` is the bundle in force.
    pub issue: Issue,
    /// PEM bundle of the authorities in force; none = not made yet.
    pub ca: watch::Receiver<Option<Arc<str>>>,
    /// Whether this replica leads; asked before each write.
    pub leads: Leadership,
}

/// Keeps the Secret while this replica leads, for as long as the process lives.
pub async fn run(mut duty: Duty) {
    loop {
        duty.leads.gained().await;
        let ca = duty.ca.borrow_and_update().clone();
        if let Some(ca) = ca
            && let Err(problem) = look(&duty, &ca).await
        {
            tracing::warn!(problem, "cannot keep the Secret {CHART_REDIS}");
        }
        tokio::select! {
            changed = duty.ca.changed() => if changed.is_err() { sleep(LOOK).await },
            () = sleep(LOOK) => {}
        }
    }
}

/// Names under which the Redis is reached.
pub fn names(namespace: &str) -> Vec<String> {
    let short = format!("{CHART_REDIS}.{namespace}");
    let names = [CHART_REDIS.to_owned(), short.clone(), format!("{short}.svc")];
    names
        .into_iter()
        .chain([format!("{short}.svc.cluster.local")])
        .collect()
}

async fn look(duty: &Duty, ca: &str) -> Result<(), String> {
    let secrets: Api<Secret> = Api::namespaced(duty.client.clone(), &duty.namespace);
    let known = in_time(secrets.get_opt(CHART_REDIS)).await?;
    let now_s = Timestamp::now().as_second();
    let names = names(&duty.namespace);
    let secret = match known {
        Some(known) if need(&known, ca, now_s).is_none() => known,
        _ if !duty.leads.is_leader() => return Ok(()),
        known => {
            let leaf = (duty.issue)(&names)?;
            let is_new = known.is_none();
            let secret = renewed(known, &leaf)?;
            // With the version that was read, so that what another replica wrote meanwhile stays.
            if is_new {
                in_time(secrets.create(&PostParams::default(), &secret)).await?
            } else {
                in_time(secrets.replace(CHART_REDIS, &PostParams::default(), &secret)).await?
            }
        }
    };
    let server = Reload {
        address: (names[2].clone(), 6_379),
        folder: FOLDER.into(),
        ca: ca.as_bytes().to_vec(),
        password: Zeroizing::new(secret::text(&secret, "password").unwrap_or_default()),
        certificate: certificate(&secret).unwrap_or_default(),
    };
    match reload(&server).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("the Redis does not serve the certificate yet; the kubelet brings it within minutes".into()),
        Err(problem) => Err(problem),
    }
}

async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    let done = timeout(TIMEOUT, call)
        .await
        .map_err(|_| "no answer within 10 s".to_owned())?;
    done.map_err(|error| error.to_string())
}
