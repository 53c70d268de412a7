//! The base URLs that the app had before it was pointed at us: they win over the policy's.

use llmcache_policy::upstream::{Dialect, Upstream, anthropic_url, openai_dialect, openai_url};
use llmcache_policy::{Snapshot, names};

use crate::in_force::url_problem;

/// The app's own base URLs; absent = the policy's, or the provider's documented one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnUpstreams {
    anthropic: Option<Upstream>,
    openai: Option<Upstream>,
}

impl OwnUpstreams {
    /// Reads the environment: `NAME_0`, `NAME_1`, … are candidates in order and `NAME` comes last; of those that are
    /// set and not empty the last wins. One that is no URL is left out, with a line in `problems`.
    pub(crate) fn read(environment: &[(String, String)], problems: &mut Vec<String>) -> Self {
        let mut find = |name: &str| {
            let (name, url) = last(environment, name)?;
            match url_problem(url) {
                None => Some(url.clone()),
                Some(problem) => {
                    problems.push(format!("{name}: {problem}; the policy's upstream is used"));
                    None
                }
            }
        };
        let anthropic = find(names::ENV_UPSTREAM_ANTHROPIC).map(|url| upstream(anthropic_url(&url), Dialect::Native));
        let openai = find(names::ENV_UPSTREAM_OPENAI).map(|url| {
            let url = openai_url(&url);
            let dialect = openai_dialect(&url);
            upstream(url, dialect)
        });
        Self { anthropic, openai }
    }

    /// The snapshot with these addresses in place of its own.
    pub(crate) fn over(&self, mut snapshot: Snapshot) -> Snapshot {
        for (own, written) in [
            (&self.anthropic, &mut snapshot.upstreams.anthropic),
            (&self.openai, &mut snapshot.upstreams.openai),
        ] {
            if let Some(own) = own {
                written.clone_from(own);
            }
        }
        snapshot
    }
}

/// The policy's certificates are for the policy's address.
fn upstream(url: String, dialect: Dialect) -> Upstream {
    Upstream {
        url,
        ca_bundle: None,
        dialect,
    }
}

fn last<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a (String, String)> {
    let rank = |given: &str| match given.strip_prefix(name)? {
        "" => Some(u32::MAX),
        numbered => numbered.strip_prefix('_')?.parse().ok(),
    };
    environment
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|pair| Some((rank(&pair.0)?, pair)))
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, pair)| pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (OwnUpstreams, Vec<String>) {
        let pairs: Vec<_> = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let mut problems = Vec::new();
        let own = OwnUpstreams::read(&pairs, &mut problems);
        (own, problems)
    }

    #[test]
    fn the_last_one_present_wins_and_implies_its_dialect() {
        let (own, problems) = read(&[
            ("LLMCACHE_UPSTREAM_OPENAI_0", "https://a.example/v1"),
            ("LLMCACHE_UPSTREAM_OPENAI_10", "https://api.openai.com"),
            ("LLMCACHE_UPSTREAM_OPENAI_2", "https://c.example"),
            ("LLMCACHE_UPSTREAM_OPENAI_11", ""),
            ("LLMCACHE_UPSTREAM_ANTHROPIC_0", "https://a.example/"),
        ]);
        assert!(problems.is_empty(), "{problems:?}");
        let snapshot = own.over(Snapshot::pass_through());
        assert_eq!(snapshot.upstreams.openai.url, "https://api.openai.com/v1");
        assert_eq!(snapshot.upstreams.openai.dialect, Dialect::Native);
        assert_eq!(snapshot.upstreams.anthropic.url, "https://a.example");
        let (own, _) = read(&[("LLMCACHE_UPSTREAM_OPENAI", "http://gateway:8080")]);
        let snapshot = own.over(Snapshot::pass_through());
        assert_eq!(snapshot.upstreams.openai.url, "http://gateway:8080/v1");
        assert_eq!(snapshot.upstreams.openai.dialect, Dialect::Compatible);
        assert_eq!(snapshot.upstreams.anthropic.url, "https://api.anthropic.com");
    }

    #[test]
    fn what_is_no_address_is_left_out_and_said() {
        let (own, problems) = read(&[("LLMCACHE_UPSTREAM_OPENAI_0", "sk-secret")]);
        assert_eq!(own, OwnUpstreams::default());
        assert!(problems[0].starts_with("LLMCACHE_UPSTREAM_OPENAI_0: "), "{problems:?}");
        assert!(!problems[0].contains("secret"));
    }
}
