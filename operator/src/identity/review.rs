//! One `TokenReview` and what its answer means.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::time::timeout;

use super::token::expiry;
use llmcache_policy::names::AUDIENCE;

use super::{Failure, Identity};

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// A proof ends no sooner than this, by our clock: clocks differ, and a connection that ends at once is no use.
const SHORTEST: Duration = Duration::from_mins(1);
/// A token that does not say when it ends is good for so long.
const UNSAID: Duration = Duration::from_mins(5);

/// Asks the API server.
pub(super) async fn ask(client: &Client, token: &str, longest: Duration) -> Result<Identity, Failure> {
    let api: Api<TokenReview> = Api::all(client.clone());
    let review = TokenReview {
        spec: TokenReviewSpec {
            audiences: Some(vec![AUDIENCE.to_owned()]),
            token: Some(token.to_owned()),
        },
        ..TokenReview::default()
    };
    // The client itself tries again on 429 and 503, and would wait for an answer for ever.
    let answer = timeout(longest, api.create(&PostParams::default(), &review)).await;
    let answer = answer.map_err(|_| Failure::Unavailable("the API server did not answer in time".into()))?;
    let answer = answer.map_err(|error| Failure::Unavailable(error.to_string().into()))?;
    understand(&answer.status.unwrap_or_default(), token, SystemTime::now()).map_err(|why| Failure::Refused(why.into()))
}

fn understand(status: &TokenReviewStatus, token: &str, now: SystemTime) -> Result<Identity, String> {
    if status.authenticated != Some(true) {
        let why = status.error.as_deref().filter(|error| !error.is_empty());
        return Err(why.unwrap_or("the API server does not know it").to_owned());
    }
    // A server that knows no audiences answers without any: the token may be meant for another.
    if !status.audiences.iter().flatten().any(|it| it == AUDIENCE) {
        return Err(format!("its audience is not {AUDIENCE}"));
    }
    let user = status.user.as_ref().ok_or("it names no user")?;
    let username = user.username.as_deref().unwrap_or_default();
    let (namespace, service_account) = username
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'))
        .filter(|(namespace, account)| !namespace.is_empty() && !account.is_empty())
        .ok_or("it is not that of a service account")?;
    let end = expiry(token).unwrap_or(now + UNSAID);
    Ok(Identity {
        namespace: namespace.to_owned(),
        service_account: service_account.to_owned(),
        pod_name: extra(user, POD_NAME)?,
        pod_uid: extra(user, POD_UID)?,
        expires: end.max(now + SHORTEST),
    })
}

/// The one value of a claim about the pod.
fn extra(user: &UserInfo, name: &str) -> Result<String, String> {
    let values = user.extra.as_ref().and_then(|extra| extra.get(name));
    match values.map(Vec::as_slice) {
        Some([value]) if !value.is_empty() => Ok(value.clone()),
        _ => Err(format!(
            "it is not bound to a pod ({name} is missing); use a projected token"
        )),
    }
}
