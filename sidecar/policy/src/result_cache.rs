//! Stage *result cache*: exact reuse of whole answers.

use serde::{Deserialize, Serialize};

use crate::Mode;

/// The exact cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultCache {
    /// `Observe` counts would-be hits, keeps no bodies and shares no flights.
    pub mode: Mode,
    /// Largest answer stored, bytes.
    pub max_entry_bytes: u64,
    /// Room of the in-process tier, bytes.
    pub memory_bytes: u64,
    /// Nothing older than this is ever served, milliseconds.
    pub max_age_ms: u64,
    /// One deadline per request over all store calls, milliseconds.
    pub store_budget_ms: u64,
    /// Which sampled requests are cached.
    pub sampled: Sampled,
    /// Whether answers that call tools are kept.
    pub tool_answers: ToolAnswers,
    /// Whether OpenAI Responses that the provider stores are cached.
    pub stored_responses: StoredResponses,
    /// A client's repeat within this time goes upstream and replaces the entry, milliseconds; 0 = never.
    pub repeat_window_ms: u64,
    /// Whether identical concurrent calls share one upstream call.
    pub single_flight: SingleFlight,
    /// Life of stored embeddings.
    pub embeddings: Embeddings,
}

/// Which requests with a sampling temperature are cached; an absent temperature counts as 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sampled {
    /// All.
    Always,
    /// Those with a seed or temperature 0.
    SeedOrZero,
    /// Only temperature 0.
    Never,
}

/// Whether answers that call tools are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolAnswers {
    /// Not kept: a replay would repeat the tool's side effects.
    Skip,
    /// Kept like any answer.
    Store,
}

/// Whether OpenAI Responses that the provider stores are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredResponses {
    /// Not cached: two clients could continue one stored response.
    Bypass,
    /// Cached.
    Serve,
}

/// Whether identical concurrent calls share one upstream call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SingleFlight {
    /// Off = every miss goes upstream.
    pub enabled: bool,
    /// Longest wait of a follower for the leader's first byte, milliseconds.
    pub wait_ms: u64,
}

/// Life of stored embeddings, each of which is an entry of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embeddings {
    /// Life of an entry, milliseconds, up to `max_age_ms`; a hit never extends it.
    pub ttl_ms: u64,
    /// No embedding older than this is ever served, milliseconds.
    pub max_age_ms: u64,
}
