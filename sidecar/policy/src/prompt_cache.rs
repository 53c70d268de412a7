//! Stage *prompt cache*: marks for the provider's own prefix cache.

use serde::{Deserialize, Serialize};

use crate::Mode;

/// Where and when marks are placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptCache {
    /// `Observe` plans marks and places none.
    pub mode: Mode,
    /// Which prefixes are marked.
    pub strategy: Strategy,
    /// Life of what is written.
    pub ttl: MarkTtl,
    /// Longest time concurrent first requests wait for the first response, milliseconds; 0 = no waiting.
    pub hold_ms: u64,
}

/// Which prefixes are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// Every prefix that may be.
    Always,
    /// Those whose expected reads pay the write premium.
    Economic,
}

/// Life of what a mark writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarkTtl {
    /// Chosen by expected gaps between requests; 5 minutes until those are known.
    Auto,
    /// 5 minutes.
    FiveMinutes,
    /// 1 hour.
    OneHour,
}
