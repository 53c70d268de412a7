//! Stage *upstream*: where requests go.

use llmcache_crds::policy;
use llmcache_policy::upstream::{ANTHROPIC, OPENAI, anthropic_url};
pub use llmcache_policy::upstream::{openai_dialect, openai_url};
use llmcache_policy::{Dialect, Upstream, Upstreams};

pub(super) fn compile(written: Option<&policy::Upstreams>) -> Upstreams {
    let anthropic = written.and_then(|upstreams| upstreams.anthropic.as_ref());
    let openai = written.and_then(|upstreams| upstreams.openai.as_ref());
    let openai_url = openai_url(openai.and_then(|upstream| upstream.url.as_deref()).unwrap_or(OPENAI));
    Upstreams {
        anthropic: Upstream {
            url: anthropic_url(
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

fn dialect(written: policy::Dialect) -> Dialect {
    match written {
        policy::Dialect::OpenAi => Dialect::Native,
        policy::Dialect::Compatible => Dialect::Compatible,
    }
}
