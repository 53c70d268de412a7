//! How a request ended: closed words that headers, metrics, logs and the ledger share.

use serde::Serialize;

/// Result of the lookup stages for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered without the provider.
    Hit,
    /// Looked, and the answer was not there.
    Miss,
    /// Did not look; the reason says why.
    Bypass,
}

/// The cache that gave the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The exact cache.
    ResultCache,
    /// The cache of equivalent questions.
    SemanticCache,
}

impl Outcome {
    /// The word in metrics and headers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

impl Layer {
    /// The word in metrics and the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::ResultCache => "result_cache",
            Self::SemanticCache => "semantic_cache",
        }
    }
}
