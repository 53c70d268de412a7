//! Every word by which a layer says that it did not act: those of the metrics, which exist from the start.

use llmcache_provider::request::{NoKey, NoQuestion, Opaque};

use super::{routing, semantic_cache};
use crate::metrics::Bypasses;

/// The words with which a layer says why it did not act; their series exist from the start.
pub(crate) const REASONS: Bypasses<'static> = &[
    ("parse", &["compressed", "cut", "endpoint", "memory", "too_large"]),
    ("parse", &Opaque::WORDS),
    ("routing", &[routing::FALLBACK, routing::RESCUE]),
    ("routing", routing::KEPT),
    (
        "result_cache",
        &[
            "class",
            "disabled",
            "internal",
            "no_store",
            "no_tenant",
            "observe_hit",
            "observe_miss",
            "sampled",
        ],
    ),
    ("result_cache", &NoKey::WORDS),
    ("semantic_cache", &semantic_cache::REFUSALS),
    ("semantic_cache", &NoQuestion::WORDS),
    (
        "store",
        &[
            "banned",
            "cancelled",
            "empty",
            "error_event",
            "expired",
            "failed",
            routing::FALLBACK,
            "internal",
            "malformed",
            "no_lease",
            "paused",
            "refused",
            routing::RESCUE,
            "status",
            "tags",
            "too_large",
            "tool_use",
            "truncated",
            "unfinished",
            "unknown",
            "unmerged",
            "upstream_cut",
        ],
    ),
];
