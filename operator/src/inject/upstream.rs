//! Where the app's requests went before: its own base URL becomes the sidecar's upstream.
//!
//! A container's opinion about a provider is what its base URL can turn out to be: an explicit entry of `env`, else any
//! source of `envFrom`, whose keys the webhook cannot see. Explicit opinions must agree; a container without one is then
//! left as it is, because its requests would go to an upstream that it never named. Sources of `envFrom` rarely hold a
//! base URL, so all of them are handed on together and decide nothing.

use std::collections::HashSet;

use llmcache_policy::names::{
    ANTHROPIC_API_URL, ANTHROPIC_BASE_URL, ANTHROPIC_PREFIX, ENV_UPSTREAM_ANTHROPIC, ENV_UPSTREAM_OPENAI,
    OPENAI_API_BASE, OPENAI_BASE_URL, OPENAI_PREFIX,
};
use serde_json::{Value, json};

use super::apps::Place;
use super::skip::{Reason, Skip};

mod opinion;
mod source;

pub(super) use opinion::Opinion;
pub(super) use source::Source;

/// A provider whose clients read their base URL from the environment.
#[derive(Debug)]
pub(super) struct Provider {
    /// The SDKs' own name last: it wins where both come from sources that nobody can see.
    pub(super) names: [&'static str; 2],
    /// What the sidecar calls the app's value.
    upstream: &'static str,
    /// Where the sidecar serves it.
    prefix: &'static str,
    /// What the base URL of its SDK ends in.
    version: &'static str,
    /// Ending of base URLs that some clients want and the provider's own SDK appends itself.
    surplus: &'static str,
}

/// The providers that are redirected.
pub(super) const PROVIDERS: [Provider; 2] = [
    Provider {
        names: [ANTHROPIC_API_URL, ANTHROPIC_BASE_URL],
        upstream: ENV_UPSTREAM_ANTHROPIC,
        prefix: ANTHROPIC_PREFIX,
        version: "",
        surplus: "/v1",
    },
    Provider {
        names: [OPENAI_API_BASE, OPENAI_BASE_URL],
        upstream: ENV_UPSTREAM_OPENAI,
        prefix: OPENAI_PREFIX,
        version: "/v1",
        surplus: "",
    },
];

/// More candidates than any real app has; each becomes an entry of the sidecar's environment.
const MOST_SOURCES: usize = 64;

/// What one provider's clients had.
#[derive(Debug)]
pub(super) struct Upstream {
    provider: &'static Provider,
    /// In order; the last one present wins.
    sources: Vec<Source>,
    /// Indices of the containers that are left as they are.
    left: Vec<usize>,
}

/// The upstream of every provider.
pub(super) fn plan(places: &[Place<'_>], port: u16) -> Result<Vec<Upstream>, Skip> {
    PROVIDERS.iter().map(|provider| agree(provider, places, port)).collect()
}

/// What a container's environment gains.
pub(super) fn wanted(upstreams: &[Upstream], place: usize, port: u16) -> Vec<(&'static str, String)> {
    let redirected = upstreams.iter().filter(|upstream| !upstream.left.contains(&place));
    redirected
        .flat_map(|upstream| upstream.provider.entries(port))
        .collect()
}

/// What the sidecar's environment gains.
pub(super) fn handed(upstreams: &[Upstream]) -> Vec<Value> {
    let mut env = Vec::new();
    for Upstream { provider, sources, .. } in upstreams {
        if let [Source::Literal(value)] = sources.as_slice() {
            env.push(json!({"name": provider.upstream, "value": value}));
            continue;
        }
        for (index, source) in sources.iter().enumerate() {
            env.push(source.entry(&format!("{}_{index}", provider.upstream)));
        }
    }
    env
}

/// Says which containers keep their own way, and how to change that.
pub(super) fn warn(upstreams: &[Upstream], places: &[Place<'_>], warnings: &mut Vec<String>) {
    for Upstream { provider, left, .. } in upstreams {
        let left = left.iter().filter_map(|index| places.get(*index));
        let names: Vec<&str> = left
            .filter(|place| place.field == "containers")
            .map(Place::name)
            .collect();
        if !names.is_empty() {
            let (names, variable) = (names.join(", "), provider.names[1]);
            warnings.push(format!(
                "containers {names}: no {variable} of their own while another container has one, so they are left as \
                 they are; set the same {variable} in them to have their calls cached"
            ));
        }
    }
}

/// Whether sources decide anything: some is not just a key that `envFrom` may hold.
pub(super) fn is_explicit(sources: &[Source], from: &[Source]) -> bool {
    let from: HashSet<&Source> = from.iter().collect();
    sources.len() > MOST_SOURCES || !sources.iter().all(|source| from.contains(source))
}

/// Every source of `envFrom` that may hold a provider's base URL, once.
pub(super) fn from_all(provider: &Provider, places: &[Place<'_>]) -> Vec<Source> {
    let mut seen = HashSet::new();
    let from = places.iter().flat_map(|place| source::from(provider, place.container));
    from.filter(|source| seen.insert(source.clone())).collect()
}

fn agree(provider: &'static Provider, places: &[Place<'_>], port: u16) -> Result<Upstream, Skip> {
    let opinions: Vec<Opinion> = places
        .iter()
        .map(|place| Opinion::of(provider, place, port))
        .collect::<Result<_, _>>()?;
    let mut explicit = opinions.iter().zip(places).filter(|(opinion, _)| !opinion.is_empty());
    let first = explicit.next();
    if let Some((opinion, place)) = first
        && let Some((_, other)) = explicit.find(|(other, _)| *other != opinion)
    {
        return Err(Reason::ConflictingBaseUrl.because(format!(
            "containers {} and {} have different {}; give them the same, or give each upstream its own pod",
            place.name(),
            other.name(),
            provider.names[1]
        )));
    }
    let agreed = first.map_or(&[] as &[Source], |(opinion, _)| opinion.sources());
    let mut sources = from_all(provider, places);
    // Before anything that takes the square of it.
    if sources.len() > MOST_SOURCES || agreed.len() > MOST_SOURCES {
        return Err(Reason::ConflictingBaseUrl.because(format!(
            "more than {MOST_SOURCES} sources may hold {}; write one value in env of each container",
            provider.names[1]
        )));
    }
    let mut left = Vec::new();
    if is_explicit(agreed, &sources) {
        sources = agreed.to_vec();
        left = (0..places.len()).filter(|index| opinions[*index].is_empty()).collect();
    } else {
        sources.retain(|source| !agreed.contains(source));
        sources.extend(agreed.iter().cloned());
    }
    Ok(Upstream {
        provider,
        sources,
        left,
    })
}

impl Provider {
    /// Where the sidecar serves it.
    pub(super) fn url(&self, port: u16) -> String {
        format!("http://127.0.0.1:{port}{}{}", self.prefix, self.version)
    }

    /// The variables that send a container's calls to the sidecar.
    pub(super) fn entries(&self, port: u16) -> [(&'static str, String); 2] {
        // The SDK's own name comes first: people read the environment from the top.
        [(self.names[1], self.url(port)), (self.names[0], self.url(port))]
    }

    /// The sources that a sidecar was given.
    pub(super) fn given(&self, sidecar: &Value) -> Vec<Source> {
        source::given(self.upstream, sidecar)
    }

    /// A literal as the sidecar takes it.
    fn normal(&self, value: &str) -> String {
        let value = value.trim().trim_end_matches('/');
        let short = value.strip_suffix(self.surplus).unwrap_or(value);
        short.trim_end_matches('/').to_owned()
    }
}
