//! What a workload executes while it has no policy: nothing.

use super::{Identity, Mode, Snapshot};
use crate::prompt_cache::{MarkTtl, PromptCache, Strategy};
use crate::result_cache::{Embeddings, ResultCache, Sampled, SingleFlight, StoredResponses, ToolAnswers};
use crate::routing::Routing;
use crate::scope::{EndUsers, Scope, Share};
use crate::semantic_cache::SemanticCache;
use crate::ttl_class::{self, Match, TtlClass};
use crate::upstream::{ANTHROPIC, Dialect, OPENAI, Upstream, Upstreams};

impl Snapshot {
    /// Every layer off, every request to the providers' documented addresses.
    pub fn pass_through() -> Self {
        let upstream = |url: &str| Upstream {
            url: url.into(),
            ca_bundle: None,
            dialect: Dialect::Native,
        };
        Self {
            identity: Identity {
                namespace: String::new(),
                name: String::new(),
                uid: String::new(),
                generation: 0,
            },
            upstreams: Upstreams {
                anthropic: upstream(ANTHROPIC),
                openai: upstream(OPENAI),
            },
            scope: Scope {
                share: Share::Credential,
                end_users: EndUsers::Separate,
                tenant_header: None,
            },
            tags: Vec::new(),
            ttl_classes: vec![idle_class()],
            result_cache: idle_cache(),
            semantic_cache: SemanticCache::disabled(),
            prompt_cache: PromptCache {
                mode: Mode::Disabled,
                strategy: Strategy::Economic,
                ttl: MarkTtl::Auto,
                hold_ms: 0,
            },
            routing: Routing {
                mode: Mode::Disabled,
                request_models: Vec::new(),
                allow_upgrade: false,
                tiers: Vec::new(),
                rules: Vec::new(),
                default_tier: None,
                fallback: Vec::new(),
            },
            invalidation: Vec::new(),
            store_class: None,
        }
    }

    /// Whether this is no policy's snapshot.
    pub fn is_pass_through(&self) -> bool {
        self.identity.name.is_empty()
    }
}

fn idle_class() -> TtlClass {
    TtlClass {
        name: "dynamic".into(),
        ttl_ms: 0,
        similarity_threshold: ttl_class::SIMILARITY_THRESHOLD,
        stale_while_revalidate_ms: 0,
        stale_if_error_ms: 0,
        matches: Match::default(),
    }
}

fn idle_cache() -> ResultCache {
    ResultCache {
        mode: Mode::Disabled,
        max_entry_bytes: 0,
        memory_bytes: 0,
        max_age_ms: 0,
        store_budget_ms: 25,
        sampled: Sampled::Always,
        tool_answers: ToolAnswers::Skip,
        stored_responses: StoredResponses::Bypass,
        repeat_window_ms: 0,
        single_flight: SingleFlight {
            enabled: false,
            wait_ms: 0,
        },
        embeddings: Embeddings {
            ttl_ms: 0,
            max_age_ms: 0,
        },
    }
}
