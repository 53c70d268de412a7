//! One `TokenReview`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use llmcache_policy::names;
use prometheus::{IntCounterVec, Registry};
use tokio::time::Instant;

use super::{Answer, Ask, Identity, Problem};
use crate::metrics::counters;

/// Longest call.
const PATIENCE: Duration = Duration::from_secs(5);
/// Life of a token that does not say when it ends.
const UNKNOWN_LIFE: Duration = Duration::from_mins(5);

/// Families of the reviews.
#[derive(Clone, Debug)]
pub struct Metrics(IntCounterVec);

impl Metrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let reviews = counters(
            registry,
            "token_reviews_total",
            "Tokens that the API server was asked about.",
            "result",
        )?;
        for result in ["accepted", "refused", "unavailable"] {
            reviews.with_label_values(&[result]);
        }
        Ok(Self(reviews))
    }
}

/// Asks the API server of a cluster.
pub fn of_cluster(client: Client, metrics: Metrics) -> Ask {
    Box::new(move |token| {
        let (client, metrics) = (client.clone(), metrics.clone());
        async move {
            let answer = review(client, token).await;
            let word = answer.as_ref().map_or_else(Problem::word, |_| "accepted");
            metrics.0.with_label_values(&[word]).inc();
            answer
        }
        .boxed()
    })
}

async fn review(client: Client, token: String) -> Answer {
    let ends = ends(&token);
    let review = TokenReview {
        spec: TokenReviewSpec {
            audiences: Some(vec![names::AUDIENCE.into()]),
            token: Some(token),
        },
        ..TokenReview::default()
    };
    let api: Api<TokenReview> = Api::all(client);
    let params = PostParams::default();
    let reviewed = match tokio::time::timeout(PATIENCE, api.create(&params, &review)).await {
        Ok(Ok(reviewed)) => reviewed,
        Ok(Err(error)) => return Err(Problem::Unavailable(error.to_string())),
        Err(_) => return Err(Problem::Unavailable(format!("no answer within {PATIENCE:?}"))),
    };
    let status = reviewed.status.unwrap_or_default();
    pod_of(status).map(|identity| (identity, ends))
}

/// The pod of an accepted review. A missing `authenticated` means no.
fn pod_of(status: TokenReviewStatus) -> Result<Identity, Problem> {
    let refused = |why: &str| Problem::Refused(why.to_owned());
    if status.authenticated != Some(true) {
        return Err(refused(status.error.as_deref().unwrap_or("not authenticated")));
    }
    if !status
        .audiences
        .iter()
        .flatten()
        .any(|audience| audience == names::AUDIENCE)
    {
        return Err(refused("it is for another audience"));
    }
    let user = status.user.unwrap_or_default();
    let account = user.username.unwrap_or_default();
    let account = account
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'));
    let Some((namespace, service_account)) = account else {
        return Err(refused("it belongs to no service account"));
    };
    let extra = |name: &str| {
        let values = user
            .extra
            .as_ref()?
            .get(&format!("authentication.kubernetes.io/{name}"))?;
        values.first().cloned()
    };
    let (Some(pod_name), Some(pod_uid)) = (extra("pod-name"), extra("pod-uid")) else {
        return Err(refused("it is bound to no pod: mount a projected token"));
    };
    Ok(Identity {
        namespace: namespace.into(),
        service_account: service_account.into(),
        pod_name,
        pod_uid,
    })
}

/// When a token ends by its own word, which is only used to end a connection in time.
fn ends(token: &str) -> Instant {
    let now = Instant::now();
    let payload = token
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<serde_json::Value> = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    let end = claims.and_then(|claims| claims["exp"].as_i64());
    let left = end.map(|end| u64::try_from(end - Timestamp::now().as_second()).unwrap_or_default());
    now + left.map_or(UNKNOWN_LIFE, |seconds| Duration::from_secs(seconds.min(86_400)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(value: serde_json::Value) -> Result<Identity, Problem> {
        pod_of(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn only_a_pods_token_for_us_names_anybody() {
        let extra =
            json!({"authentication.kubernetes.io/pod-name": ["p"], "authentication.kubernetes.io/pod-uid": ["u"]});
        let good = json!({"authenticated": true, "audiences": ["llmcache.dev"],
            "user": {"username": "system:serviceaccount:shop:chat", "extra": extra}});
        let identity = status(good.clone()).unwrap();
        assert_eq!(
            (identity.namespace.as_str(), identity.service_account.as_str()),
            ("shop", "chat")
        );
        assert_eq!((identity.pod_name.as_str(), identity.pod_uid.as_str()), ("p", "u"));
        for (path, value) in [
            ("/authenticated", json!(null)),
            ("/authenticated", json!(false)),
            ("/audiences", json!(["other"])),
            ("/user/username", json!("admin")),
            ("/user/extra", json!({})),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(path).unwrap() = value;
            assert!(matches!(status(bad), Err(Problem::Refused(_))), "{path}");
        }
    }

    #[test]
    fn the_end_is_the_tokens_own_word_within_bounds() {
        let token = |exp: i64| format!("h.{}.s", URL_SAFE_NO_PAD.encode(json!({"exp": exp}).to_string()));
        let now = Timestamp::now().as_second();
        let left = |token: &str| ends(token).saturating_duration_since(Instant::now());
        assert!(left(&token(now + 3_600)) > Duration::from_secs(3_500));
        assert!(left(&token(now - 5)).is_zero());
        assert!(left("garbage") <= UNKNOWN_LIFE);
    }
}
