//! Stage 2, *scope*: who may share this answer. It never fails a request: without a scope nothing is cached or
//! remembered, and the request goes on.
//!
//! A credential is hashed without its header's name or scheme, because SDKs send the same key in either form.

use http::{HeaderMap, HeaderName, HeaderValue};
use llmcache_cache::seal::{Digest, NamespaceKey};
use llmcache_policy::scope::{EndUsers, Share};
use llmcache_policy::{Snapshot, names};

use super::parse::Call;

/// Headers that hold a credential.
const CREDENTIALS: [&str; 2] = ["authorization", "x-api-key"];
/// Headers that choose an account under the credential.
const ACCOUNTS: [&str; 4] = [
    "openai-organization",
    "openai-project",
    "anthropic-workspace-id",
    "anthropic-user-profile-id",
];
/// `x-llmcache-tags`: most tags, and most bytes of one.
const MAX_TAGS: usize = 16;
const MAX_TAG: usize = 128;

/// Within this boundary answers may be shared.
pub(crate) struct Scope {
    /// Keyed hash of all that separates sharers.
    pub digest: Digest,
    /// Keyed hash of the credential and its account alone.
    pub credential: Digest,
}

/// Why a request has no scope: a word of the `bypass_total` metric.
pub(crate) const NO_TENANT: &str = "no_tenant";

/// Finds the scope of a request; `Err` holds the reason why it has none.
pub(crate) fn identify(
    key: &NamespaceKey,
    policy: &Snapshot,
    service_account: &str,
    call: &Call,
) -> Result<Scope, &'static str> {
    let credential = credential(key, &call.headers).ok_or(NO_TENANT)?;
    let tenant = match &policy.scope.tenant_header {
        None => None,
        Some(name) => Some(call.headers.get(name).ok_or(NO_TENANT)?),
    };
    let mut mac = key.mac("scope");
    mac.field(policy.identity.name.as_bytes());
    match policy.scope.share {
        Share::Credential => mac.field(&credential.0),
        Share::ServiceAccount => mac.field(b"service-account").field(service_account.as_bytes()),
        // The key is the namespace's.
        Share::Namespace => mac.field(b"namespace"),
    };
    mac.field(tenant.map_or(b"", HeaderValue::as_bytes));
    if policy.scope.end_users == EndUsers::Separate {
        for user in call.request.end_users() {
            mac.field(user.as_bytes());
        }
    }
    Ok(Scope {
        digest: mac.finish(),
        credential,
    })
}

/// The tags of the answer: the policy's templates filled in, then the client's own. `Err` = the client's header
/// breaks its bounds; the answer must not be stored, since it could not be invalidated as meant.
pub(crate) fn tags(policy: &Snapshot, call: &Call, model: &str, class: &str) -> Result<Vec<String>, &'static str> {
    let users = call.request.end_users();
    let value = |name: &str| match name {
        "user" => users.first().cloned(),
        "model" => Some(model.to_owned()),
        "class" => Some(class.to_owned()),
        _ => call
            .headers
            .get(name.strip_prefix("header:")?)?
            .to_str()
            .ok()
            .map(str::to_owned),
    };
    let mut tags: Vec<String> = policy
        .tags
        .iter()
        .filter_map(|template| fill(template, &value))
        .collect();
    for header in call.headers.get_all(HeaderName::from_static(names::HEADER_TAGS)) {
        for tag in header
            .to_str()
            .map_err(|_| "tags")?
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
        {
            if tag.len() > MAX_TAG || tag.contains('*') || !tag.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                return Err("tags");
            }
            tags.push(tag.to_owned());
        }
    }
    if tags.len() > policy.tags.len() + MAX_TAGS {
        return Err("tags");
    }
    Ok(tags)
}

/// A template with its `{…}` replaced; none when a value is missing.
fn fill(template: &str, value: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&value(name)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// Keyed hash of a request's credential and its account; none without a credential.
pub(crate) fn credential(key: &NamespaceKey, headers: &HeaderMap) -> Option<Digest> {
    let mut secrets: Vec<&[u8]> = CREDENTIALS
        .iter()
        .flat_map(|name| headers.get_all(*name))
        .map(|value| strip_scheme(value.as_bytes()))
        .filter(|secret| !secret.is_empty())
        .collect();
    secrets.sort_unstable();
    secrets.dedup();
    if secrets.is_empty() {
        return None;
    }
    let mut mac = key.mac("credential");
    for secret in secrets {
        mac.field(secret);
    }
    for name in ACCOUNTS {
        mac.field(headers.get(name).map_or(b"", HeaderValue::as_bytes));
    }
    Some(mac.finish())
}

/// `Bearer abc` and `abc` are the same credential.
fn strip_scheme(value: &[u8]) -> &[u8] {
    match value.iter().position(|byte| *byte == b' ') {
        Some(at) if value[..at].eq_ignore_ascii_case(b"bearer") => value[at..].trim_ascii(),
        _ => value.trim_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn credential_is_the_same_in_either_header_and_differs_by_account() {
        let key = NamespaceKey::random().unwrap();
        let of = |pairs: &[(&'static str, &str)]| credential(&key, &headers(pairs));
        let bearer = of(&[("authorization", "Bearer k1")]);
        assert_eq!(bearer, of(&[("x-api-key", "k1")]));
        assert_eq!(bearer, of(&[("x-api-key", "k1"), ("authorization", "bearer  k1")]));
        assert_ne!(bearer, of(&[("x-api-key", "k1"), ("authorization", "Bearer k2")]));
        assert_ne!(bearer, of(&[("x-api-key", "k2")]));
        assert_ne!(bearer, of(&[("x-api-key", "k1"), ("openai-project", "p")]));
        assert_eq!(None, of(&[]));
        assert_eq!(None, of(&[("authorization", "Bearer ")]));
    }

    #[test]
    fn template_with_a_missing_value_yields_no_tag() {
        let value = |name: &str| (name == "user").then(|| "u1".to_owned());
        assert_eq!(fill("user:{user}", &value), Some("user:u1".into()));
        assert_eq!(fill("{user}:{user}-x", &value), Some("u1:u1-x".into()));
        assert_eq!(fill("doc:{header:x-doc-id}", &value), None);
        assert_eq!(fill("plain", &value), Some("plain".into()));
    }
}
