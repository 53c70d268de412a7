//! `llmcache-operator check`: asks the API server, as a dry run, for a pod that opts in, and looks for the sidecar in the
//! answer. So it proves what a pod meets: webhook, certificate, match conditions and Pod Security. It starts nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::PostParams;
use kube::{Api, Client};
use llmcache_policy::names::{ANNOTATION_INJECT, UID};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

/// Name of the pod asked for and of the service account it names, which the chart makes in the test's namespace.
pub const NAME: &str = "llmcache-check";
/// How long a fresh install may take until its webhook is trusted.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The injected container.
const CONTAINER: &str = "llmcache";
const PAUSE: Duration = Duration::from_secs(1);
/// More than the webhook's two seconds and a slow API server.
const ANSWER: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Namespace in which the pod is asked for.
    #[arg(long)]
    pub namespace: String,
}

/// Asks, and says which image injected pods get, or fails with what is wrong.
pub fn run(args: &Args) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let image = runtime.block_on(async {
        let client = Client::try_default()
            .await
            .map_err(|error| format!("no API server is configured: {error}"))?;
        check(&client, &args.namespace).await
    })?;
    tracing::info!(image, "pods that opt in get the sidecar");
    Ok(())
}

/// The image of the sidecar that pods of `namespace` get, asked for until there is one or [`PATIENCE`] has passed; else
/// what is wrong and where to look.
pub async fn check(client: &Client, namespace: &str) -> Result<String, String> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let pod = pod().map_err(|error| error.to_string())?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let problem = match ask(&pods, &pod).await {
            Ok(image) => return Ok(image),
            Err(problem) => problem,
        };
        if Instant::now() + PAUSE >= deadline {
            return Err(problem);
        }
        tracing::info!(problem, "asking again");
        sleep(PAUSE).await;
    }
}

async fn ask(pods: &Api<Pod>, pod: &Pod) -> Result<String, String> {
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let answer = timeout(ANSWER, pods.create(&dry_run, pod)).await;
    let answer = answer.map_err(|_| format!("the API server did not answer within {} s", ANSWER.as_secs()))?;
    let answer = answer.map_err(|error| format!("the API server refuses a pod that opts in: {error}"))?;
    let image = sidecar(&answer).and_then(|sidecar| sidecar.image.clone());
    image.ok_or_else(|| {
        "the API server answers without the sidecar: it did not reach the webhook in time, or does not trust its \
         certificate; see the runbook LLMCacheWebhookErrors in the chart's README"
            .into()
    })
}

fn sidecar(pod: &Pod) -> Option<&Container> {
    let inits = pod.spec.as_ref()?.init_containers.as_ref()?;
    inits
        .iter()
        .find(|init| init.name == CONTAINER && init.restart_policy.as_deref() == Some("Always"))
}

/// A pod that the restricted Pod Security Standard admits; nobody pulls its image.
fn pod() -> serde_json::Result<Pod> {
    serde_json::from_value(json!({
        "metadata": {"name": NAME, "annotations": {ANNOTATION_INJECT: "enabled"}},
        "spec": {
            "serviceAccountName": NAME,
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "app",
                "image": "app:1",
                "securityContext": {
                    "runAsNonRoot": true,
                    "runAsUser": UID,
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }],
        },
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    /// An API server that answers the pod it is sent, from the `from`th question on with the sidecar.
    fn server(from: usize) -> (Client, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            let question = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                assert_eq!(request.uri().path(), "/api/v1/namespaces/scratch/pods");
                assert!(request.uri().query().unwrap().contains("dryRun=All"));
                let mut pod: serde_json::Value =
                    serde_json::from_slice(&request.into_body().collect_bytes().await.unwrap()).unwrap();
                assert_eq!(pod["metadata"]["annotations"][ANNOTATION_INJECT], "enabled");
                if question >= from {
                    pod["spec"]["initContainers"] =
                        json!([{"name": CONTAINER, "image": "llmcache-sidecar:1", "restartPolicy": "Always"}]);
                }
                Ok::<_, tower::BoxError>(Response::new(Body::from(pod.to_string().into_bytes())))
            }
        });
        (Client::new(service, "default"), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_webhook_that_is_trusted_late_is_waited_for() {
        let (client, asked) = server(4);
        assert_eq!(check(&client, "scratch").await.unwrap(), "llmcache-sidecar:1");
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_without_sidecar_fails_with_where_to_look() {
        let (client, asked) = server(usize::MAX);
        let problem = check(&client, "scratch").await.unwrap_err();
        assert!(problem.contains("LLMCacheWebhookErrors"), "{problem}");
        assert!(asked.load(Ordering::Relaxed) > 30);
    }
}
