//! What sidecars counted, summed exactly: requests and hits by layer, tokens, dollars.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::exposition::{Sample, samples};
use crate::usd::Usd;

/// Sums since the processes started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Requests of known endpoints.
    pub(crate) requests: u64,
    /// Requests that streamed through, not understood.
    pub(crate) opaque: u64,
    /// Requests that no cache looked at.
    pub(crate) bypass: u64,
    /// Hits by layer.
    pub(crate) hits: BTreeMap<String, u64>,
    /// Answers that the provider read from its own cache.
    pub(crate) prompt_cache_reads: u64,
    /// Tokens that providers billed, by kind; `input` includes what was read from their cache.
    pub(crate) tokens: BTreeMap<String, u64>,
    /// Prompt tokens spared, by layer.
    pub(crate) spared: BTreeMap<String, u64>,
    /// Paid to providers.
    pub(crate) actual: Usd,
    /// Saved by layer, gross.
    pub(crate) saved: BTreeMap<String, Usd>,
    /// What a layer cost, by layer and kind.
    pub(crate) overhead: BTreeMap<(String, String), Usd>,
    /// Sidecars that are connected to the operator, of those that say.
    pub(crate) connected: Option<u64>,
}

/// A share of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Of these.
    pub(crate) part: u64,
    /// Of all.
    pub(crate) whole: u64,
}

/// Words of layers in metrics.
pub(crate) const RESULT_CACHE: &str = "result_cache";
const SEMANTIC_CACHE: &str = "semantic_cache";
const PROMPT_CACHE: &str = "prompt_cache";
/// Layers that answer or read, in the order of a request.
pub(crate) const LAYERS: [&str; 3] = [RESULT_CACHE, SEMANTIC_CACHE, PROMPT_CACHE];

impl Tally {
    /// Reads one sidecar's metrics.
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        let mut tally = Self::default();
        for sample in samples(text)? {
            tally
                .count(&sample)
                .ok_or_else(|| format!("{} has the value {}, which is no sum", sample.name, sample.value))?;
        }
        Ok(tally)
    }

    fn count(&mut self, sample: &Sample<'_>) -> Option<()> {
        let label = |name| sample.label(name).to_owned();
        match sample.name {
            "llmcache_requests_total" => self.request(sample)?,
            "llmcache_prompt_cache_requests_total" if sample.label("result") == "read" => {
                self.prompt_cache_reads += whole(sample)?;
            }
            "llmcache_tokens_total" => *self.tokens.entry(label("kind")).or_default() += whole(sample)?,
            "llmcache_saved_tokens_total" => *self.spared.entry(label("layer")).or_default() += whole(sample)?,
            "llmcache_cost_usd_total" => self.actual += Usd::parse(sample.value)?,
            "llmcache_saved_usd_total" => *self.saved.entry(label("layer")).or_default() += Usd::parse(sample.value)?,
            "llmcache_overhead_usd_total" => {
                let entry = self.overhead.entry((label("layer"), label("kind")));
                *entry.or_default() += Usd::parse(sample.value)?;
            }
            "llmcache_push_connected" => self.connected = Some(self.connected.unwrap_or_default() + whole(sample)?),
            _ => {}
        }
        Some(())
    }

    fn request(&mut self, sample: &Sample<'_>) -> Option<()> {
        let count = whole(sample)?;
        if sample.label("endpoint") == "other" {
            self.opaque += count;
            return Some(());
        }
        self.requests += count;
        match sample.label("outcome") {
            "hit" => *self.hits.entry(sample.label("layer").to_owned()).or_default() += count,
            "bypass" => self.bypass += count,
            _ => {}
        }
        Some(())
    }

    /// Adds another's sums.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.opaque += other.opaque;
        self.bypass += other.bypass;
        self.prompt_cache_reads += other.prompt_cache_reads;
        self.actual += other.actual;
        if let Some(connected) = other.connected {
            self.connected = Some(self.connected.unwrap_or_default() + connected);
        }
        add_all(&mut self.hits, &other.hits);
        add_all(&mut self.tokens, &other.tokens);
        add_all(&mut self.spared, &other.spared);
        add_all(&mut self.saved, &other.saved);
        add_all(&mut self.overhead, &other.overhead);
    }

    /// Requests that a layer answered, or whose prompt it had the provider read from its cache.
    pub(crate) fn by_requests(&self, layer: &str) -> Share {
        let part = match layer {
            PROMPT_CACHE => self.prompt_cache_reads,
            layer => self.hits.get(layer).copied().unwrap_or_default(),
        };
        Share {
            part: part.min(self.requests),
            whole: self.requests,
        }
    }

    /// Requests with any of these; an answer from a cache reads nothing at the provider, so none is counted twice.
    pub(crate) fn combined_by_requests(&self) -> Share {
        let part: u64 = LAYERS.iter().map(|layer| self.by_requests(layer).part).sum();
        Share {
            part: part.min(self.requests),
            whole: self.requests,
        }
    }

    /// Prompt tokens that a layer spared, or that the provider read from its cache.
    pub(crate) fn by_tokens(&self, layer: &str) -> Share {
        let part = match layer {
            PROMPT_CACHE => self.tokens.get("cache_read").copied().unwrap_or_default(),
            layer => self.spared.get(layer).copied().unwrap_or_default(),
        };
        Share {
            part,
            whole: self.input_tokens(),
        }
    }

    /// Prompt tokens spared or read, by whatever layer.
    pub(crate) fn combined_by_tokens(&self) -> Share {
        Share {
            part: LAYERS.iter().map(|layer| self.by_tokens(layer).part).sum(),
            whole: self.input_tokens(),
        }
    }

    /// Prompt tokens that were billed, and those that were never sent.
    fn input_tokens(&self) -> u64 {
        let spared = self.spared.iter().filter(|(layer, _)| *layer != PROMPT_CACHE);
        let billed = self.tokens.get("input").copied().unwrap_or_default();
        billed + spared.map(|(_, tokens)| tokens).sum::<u64>()
    }

    /// Saved by all layers, gross.
    pub(crate) fn gross(&self) -> Usd {
        self.saved.values().copied().sum()
    }

    /// What all layers cost.
    pub(crate) fn costs(&self) -> Usd {
        self.overhead.values().copied().sum()
    }
}

impl Share {
    /// In tenths of a percent, rounded to the nearest; none of nothing.
    pub(crate) fn tenths(self) -> Option<u64> {
        let tenths = u128::from(self.part) * 1_000 + u128::from(self.whole) / 2;
        let tenths = tenths.checked_div(u128::from(self.whole))?;
        u64::try_from(tenths).ok()
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.tenths() {
            Some(tenths) => write!(f, "{}.{} %", tenths / 10, tenths % 10),
            None => f.write_str("-"),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let percent = self.tenths().map(|tenths| format!("{}.{}", tenths / 10, tenths % 10));
        serde_json::json!({"part": self.part, "whole": self.whole, "percent": percent}).serialize(serializer)
    }
}

/// A counter of things, which are whole.
fn whole(sample: &Sample<'_>) -> Option<u64> {
    let nano = Usd::parse(sample.value)?.0;
    u64::try_from(nano / 1_000_000_000).ok()
}

fn add_all<K: Ord + Clone, V: std::ops::AddAssign + Copy + Default>(
    sums: &mut BTreeMap<K, V>,
    others: &BTreeMap<K, V>,
) {
    for (name, value) in others {
        *sums.entry(name.clone()).or_default() += *value;
    }
}

#[cfg(test)]
mod tests;
