//! Stage *upstream*: where requests go.

use llmcache_crds::policy;
use llmcache_policy::{Dialect, Upstream, Upstreams};

const ANTHROPIC: &str = "https://api.anthropic.com";
const OPENAI: &str = "https://api.openai.com/v1";
const OPENAI_HOST: &str = "api.openai.com";
/// What an OpenAI URL without a path means, as in the SDK's default.
const OPENAI_VERSION: &str = "/v1";

pub(super) fn compile(written: Option<&policy::Upstreams>) -> Upstreams {
    let anthropic = written.and_then(|upstreams| upstreams.anthropic.as_ref());
    let openai = written.and_then(|upstreams| upstreams.openai.as_ref());
    let openai_url = openai_url(openai.and_then(|upstream| upstream.url.as_deref()).unwrap_or(OPENAI));
    Upstreams {
        anthropic: Upstream {
            url: trim(
                anthropic
                    .and_then(|upstream| upstream.url.as_deref())
                    .unwrap_or(ANTHROPIC),
            ),
            ca_bundle: anthropic.and_then(|upstream| upstream.ca_bundle.clone()),
            dialect: Dialect::Native,
        },
        openai: Upstream {
            dialect: openai
                .and_then(|upstream| upstream.dialect)
                .map_or_else(|| openai_dialect(&openai_url), dialect),
            url: openai_url,
            ca_bundle: openai.and_then(|upstream| upstream.ca_bundle.clone()),
        },
    }
}

/// An OpenAI base URL as the sidecar uses it: without a closing slash, with the version path when it has no path.
pub fn openai_url(url: &str) -> String {
    let url = trim(url);
    match split(&url) {
        (_, "") => url + OPENAI_VERSION,
        _ => url,
    }
}

/// The dialect of an OpenAI base URL that states none.
pub fn openai_dialect(url: &str) -> Dialect {
    let (authority, _) = split(url);
    let host = authority.split(':').next().unwrap_or_default();
    if host.eq_ignore_ascii_case(OPENAI_HOST) {
        Dialect::Native
    } else {
        Dialect::Compatible
    }
}

fn dialect(written: policy::Dialect) -> Dialect {
    match written {
        policy::Dialect::OpenAi => Dialect::Native,
        policy::Dialect::Compatible => Dialect::Compatible,
    }
}

fn trim(url: &str) -> String {
    url.trim_end_matches('/').into()
}

/// Authority and path of an address.
fn split(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash))
}
