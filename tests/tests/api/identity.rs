//! Tokens of pods, reviewed by a real API server.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use llmcache_operator::identity::{Failure, Limits, Metrics, Reviewer};
use llmcache_tests::kit::{Namespace, eventually};
use prometheus::Registry;
use serde_json::json;

use super::namespace;

/// A token of the account `chat`, for this audience; bound to a pod or to none.
async fn token(namespace: &Namespace<'_>, audience: &str, pod: Option<&Pod>) -> anyhow::Result<String> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            expiration_seconds: Some(3600),
            bound_object_ref: pod.map(|pod| BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
        },
        ..TokenRequest::default()
    };
    let accounts = namespace.api::<ServiceAccount>();
    let made = accounts
        .create_token_request("chat", &PostParams::default(), &request)
        .await?;
    Ok(made.status.unwrap().token)
}

fn reviewer(namespace: &Namespace<'_>, keep: Duration) -> anyhow::Result<Reviewer> {
    let limits = Limits {
        keep,
        keep_refusal: keep,
        ..Limits::default()
    };
    Ok(Reviewer::new(
        namespace.client(),
        limits,
        Metrics::new(&Registry::new())?,
    ))
}

#[tokio::test]
async fn a_token_proves_its_pod_and_no_longer_once_the_pod_is_gone() -> anyhow::Result<()> {
    let Some(namespace) = namespace("identity").await? else {
        return Ok(());
    };
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "chat"}}))?;
    namespace.api().create(&PostParams::default(), &account).await?;
    let pods = namespace.api::<Pod>();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "chat-1"},
        "spec": {"serviceAccountName": "chat", "containers": [{"name": "app", "image": "app"}]},
    }))?;
    let pod = pods.create(&PostParams::default(), &pod).await?;
    let ours = token(&namespace, "llmcache.dev", Some(&pod)).await?;
    let reviewer = reviewer(&namespace, Duration::ZERO)?;
    let identity = reviewer.review(&ours).await?;
    assert_eq!(identity.namespace, namespace.name);
    assert_eq!(
        (identity.service_account.as_str(), identity.pod_name.as_str()),
        ("chat", "chat-1")
    );
    assert_eq!(Some(identity.pod_uid), pod.uid());
    let left = identity.expires.duration_since(SystemTime::now())?;
    assert!((3000..=3700).contains(&left.as_secs()), "{left:?}");

    for (token, why) in [
        (token(&namespace, "somebody.else", Some(&pod)).await?, "audience"),
        (token(&namespace, "llmcache.dev", None).await?, "not bound to a pod"),
        ("garbage".to_owned(), ""),
    ] {
        let refused = reviewer.review(&token).await.unwrap_err();
        assert!(
            matches!(&refused, Failure::Refused(said) if said.contains(why)),
            "{refused:?}"
        );
    }

    let at_once = DeleteParams::default().grace_period(0);
    pods.delete("chat-1", &at_once).await?;
    eventually("the token of a pod that is gone is refused", async || {
        matches!(reviewer.review(&ours).await, Err(Failure::Refused(_)))
    })
    .await
}
