//! TTL classes: how long answers live. The class for everything else comes last, written or not.

use llmcache_crds::policy;
use llmcache_policy::{TtlClass, glob::Glob, ttl_class::Match};

use super::read;

const DEFAULT_NAME: &str = "dynamic";
const DEFAULT_TTL: &str = "1h";
const DEFAULT_STALE: &str = "0s";

pub(super) fn compile(written: Option<&[policy::TtlClass]>, max_age_ms: u64, threshold: u16) -> Vec<TtlClass> {
    let written = written.unwrap_or_default();
    let (matching, rest): (Vec<_>, Vec<_>) = written.iter().partition(|class| class.matches.is_some());
    let mut classes: Vec<_> = matching
        .into_iter()
        .chain(rest)
        .map(|written| class(written, threshold))
        .collect();
    if written.iter().all(|class| class.matches.is_some()) {
        classes.push(TtlClass {
            name: free_name(written),
            ttl_ms: read::milliseconds(None, DEFAULT_TTL).min(max_age_ms),
            stale_while_revalidate_ms: 0,
            stale_if_error_ms: 0,
            similarity_threshold: threshold,
            matches: Match::default(),
        });
    }
    classes
}

fn class(written: &policy::TtlClass, threshold: u16) -> TtlClass {
    TtlClass {
        name: written.name.clone(),
        ttl_ms: read::milliseconds(Some(&written.ttl), DEFAULT_TTL),
        stale_while_revalidate_ms: read::milliseconds(written.stale_while_revalidate.as_ref(), DEFAULT_STALE),
        stale_if_error_ms: read::milliseconds(written.stale_if_error.as_ref(), DEFAULT_STALE),
        similarity_threshold: written.similarity_threshold.map_or(threshold, read::ten_thousandths),
        matches: written.matches.as_ref().map_or_else(Match::default, conditions),
    }
}

fn conditions(written: &policy::Match) -> Match {
    let policy::Match {
        any_keyword,
        no_keyword,
        header,
        model,
    } = written;
    Match {
        any_keyword: read::keywords(any_keyword.as_ref()),
        no_keyword: read::keywords(no_keyword.as_ref()),
        header: read::headers(header.as_ref()),
        model: model.clone().map(Glob),
    }
}

/// The default class's name, or one like it that no written class has.
fn free_name(written: &[policy::TtlClass]) -> String {
    let is_free = |name: &String| written.iter().all(|class| class.name != *name);
    let mut names = (0..=written.len()).map(|number| match number {
        0 => DEFAULT_NAME.into(),
        number => format!("{DEFAULT_NAME}-{number}"),
    });
    names.find(is_free).unwrap_or_else(|| DEFAULT_NAME.into())
}
