//! TTL classes: how long an answer lives, by what was asked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ResultCache, glob::Glob, keyword::Keywords};

/// Floor of similarity where a policy names none, in ten-thousandths.
pub const SIMILARITY_THRESHOLD: u16 = 8_000;

/// One class; the first whose `matches` holds decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TtlClass {
    /// Unique in the policy.
    pub name: String,
    /// Life of an entry in milliseconds; a hit never extends it.
    pub ttl_ms: u64,
    /// How long past its life an entry is served, marked as stale, while one refresh runs behind, milliseconds; 0 = never.
    pub stale_while_revalidate_ms: u64,
    /// How long past its life an entry is served, marked as stale, when the provider fails, milliseconds; 0 = never.
    pub stale_if_error_ms: u64,
    /// Floor of the similarity (cosine) of two questions that may share an answer, in ten-thousandths.
    #[serde(default = "similarity_threshold")]
    pub similarity_threshold: u16,
    /// All conditions must hold; the default class has none.
    pub matches: Match,
}

/// Conditions over a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// At least one is in the last user text; empty = no condition.
    pub any_keyword: Keywords,
    /// None is in the last user text.
    pub no_keyword: Keywords,
    /// Request headers (lower case) with the value each must have.
    pub header: BTreeMap<String, String>,
    /// Glob over the effective model.
    pub model: Option<Glob>,
}

const fn similarity_threshold() -> u16 {
    SIMILARITY_THRESHOLD
}

/// What a request shows to conditions.
pub struct Facts<'a> {
    /// Last user text, folded by [`crate::keyword::fold`].
    pub folded_text: &'a str,
    /// Effective model.
    pub model: &'a str,
    /// Value of a request header.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl TtlClass {
    /// How long an answer of this class is fresh, and how long it may be kept at all, counted from its request.
    pub fn life(&self, cache: &ResultCache) -> (Duration, Duration) {
        let stale_ms = self.stale_while_revalidate_ms.max(self.stale_if_error_ms);
        let keep_ms = self.ttl_ms.saturating_add(stale_ms).min(cache.max_age_ms);
        (Duration::from_millis(self.ttl_ms), Duration::from_millis(keep_ms))
    }
}

impl Match {
    /// Whether all conditions hold.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let Self {
            any_keyword,
            no_keyword,
            header,
            model,
        } = self;
        (any_keyword.is_empty() || any_keyword.any_in(facts.folded_text))
            && !no_keyword.any_in(facts.folded_text)
            && header.iter().all(|(name, value)| (facts.header)(name) == Some(value))
            && model.as_ref().is_none_or(|glob| glob.matches(facts.model))
    }
}
