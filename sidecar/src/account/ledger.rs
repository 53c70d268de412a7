//! The ledger: sums since start and the latest requests one by one. It holds no prompt, answer or credential.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use llmcache_provider::usage::Usage;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};

use super::money::Nano;
use super::settle::{Saved, Settlement};
use crate::outcome::{Layer, Outcome};

/// Sums since start and the latest requests.
#[derive(Debug)]
pub struct Ledger {
    since: Timestamp,
    state: Mutex<State>,
}

/// One request as the ledger keeps it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Our id of the request, as in its response's headers.
    pub id: String,
    /// How the lookup ended.
    pub outcome: Outcome,
    /// The cache that answered.
    pub layer: Option<Layer>,
    /// Why it was bypassed, or not stored; a closed word.
    pub reason: Option<&'static str>,
    /// The model the client asked for, as it wrote it.
    pub requested_model: String,
    /// The model that answered.
    pub model: String,
    /// Dollars and tokens.
    pub settlement: Settlement,
    /// Whether the answer was admitted to the result cache.
    pub stored: bool,
}

/// Requests kept one by one, about 400 bytes each.
pub const RECENT: usize = 1_000;

/// Longest model name kept: names come from clients.
const MAX_NAME: usize = 128;

#[derive(Debug, Default)]
struct State {
    requests: Requests,
    tokens: Tokens,
    models: BTreeMap<Arc<str>, u64>,
    usd: Usd,
    recent: VecDeque<Line>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Requests {
    total: u64,
    hit: BTreeMap<&'static str, u64>,
    miss: u64,
    bypass: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Tokens {
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Usd {
    counterfactual: Nano,
    actual: Nano,
    saved: Saved,
    write_premium: Nano,
    refresh: Nano,
    judge: Nano,
    re_ask: Nano,
}

impl Ledger {
    /// An empty ledger that began `since`.
    pub fn new(since: Timestamp) -> Self {
        let mut state = State::default();
        for layer in [Layer::ResultCache, Layer::SemanticCache] {
            state.requests.hit.insert(layer.word(), 0);
        }
        Self {
            since,
            state: Mutex::new(state),
        }
    }

    /// Adds one request; `model` is the price table's id of the model that answered, or `other`.
    pub(super) fn add(&self, model: &Arc<str>, mut line: Line) {
        truncate(&mut line.requested_model);
        truncate(&mut line.model);
        let mut state = self.state.lock();
        state.requests.add(&line);
        state.tokens.add(&line.settlement.billed);
        state.usd.add(&line.settlement);
        *state.models.entry(Arc::clone(model)).or_default() += 1;
        if state.recent.len() == RECENT {
            state.recent.pop_back();
        }
        state.recent.push_front(line);
    }

    /// Adds what a call of ours cost that is no request.
    pub(super) fn spent(&self, settlement: &Settlement) {
        let mut state = self.state.lock();
        state.tokens.add(&settlement.billed);
        state.usd.add(settlement);
    }

    /// Everything, the latest requests first.
    pub fn json(&self) -> Value {
        let state = self.state.lock();
        json!({
            "since": self.since.to_string(),
            "requests": state.requests,
            "tokens": state.tokens,
            "models": state.models,
            "usd": state.usd.json(),
            "recent": state.recent.iter().map(Line::json).collect::<Vec<_>>(),
        })
    }

    /// One of the latest requests.
    pub fn find(&self, id: &str) -> Option<Value> {
        self.state
            .lock()
            .recent
            .iter()
            .find(|line| line.id == id)
            .map(Line::json)
    }
}

impl Line {
    fn json(&self) -> Value {
        let mut usd = Usd::default();
        usd.add(&self.settlement);
        let mut usd = usd.json();
        if !self.settlement.unpriced.is_empty() {
            usd["unpriced"] = json!(self.settlement.unpriced);
        }
        let mut usage = Tokens::default();
        usage.add(&self.settlement.answer);
        json!({
            "id": self.id,
            "outcome": self.outcome,
            "layer": self.layer,
            "reason": self.reason,
            "requestedModel": self.requested_model,
            "model": self.model,
            "usage": usage,
            "usd": usd,
            "estimated": self.settlement.estimated,
            "stored": self.stored,
        })
    }
}

impl Requests {
    fn add(&mut self, line: &Line) {
        self.total += 1;
        match line.outcome {
            Outcome::Hit => *self.hit.entry(line.layer.map_or("none", Layer::word)).or_default() += 1,
            Outcome::Miss => self.miss += 1,
            Outcome::Bypass => *self.bypass.entry(line.reason.unwrap_or("none")).or_default() += 1,
        }
    }
}

impl Tokens {
    fn add(&mut self, usage: &Usage) {
        self.input = self.input.saturating_add(usage.input);
        self.cache_read = self.cache_read.saturating_add(usage.cache_read);
        self.cache_write = self.cache_write.saturating_add(usage.cache_write());
        self.output = self.output.saturating_add(usage.output);
    }
}

impl Usd {
    fn add(&mut self, settlement: &Settlement) {
        self.counterfactual += settlement.counterfactual;
        self.actual += settlement.actual;
        self.saved.routing += settlement.saved.routing;
        self.saved.result_cache += settlement.saved.result_cache;
        self.saved.semantic_cache += settlement.saved.semantic_cache;
        self.saved.prompt_cache += settlement.saved.prompt_cache;
        self.write_premium += settlement.write_premium;
        self.refresh += settlement.refresh;
        self.judge += settlement.judge;
        self.re_ask += settlement.re_ask;
    }

    fn json(&self) -> Value {
        let Saved {
            routing,
            result_cache,
            semantic_cache,
            prompt_cache,
        } = self.saved;
        json!({
            "counterfactual": self.counterfactual,
            "actual": self.actual,
            "saved": {
                "routing": routing,
                "result_cache": result_cache,
                "semantic_cache": semantic_cache,
                "prompt_cache": prompt_cache,
            },
            "overhead": {
                "prompt_cache": {"write_premium": self.write_premium},
                "result_cache": {"refresh": self.refresh},
                "semantic_cache": {"judge": self.judge, "re_ask": self.re_ask},
            },
            "net": self.counterfactual - self.actual,
        })
    }
}

fn truncate(name: &mut String) {
    if name.len() > MAX_NAME {
        name.truncate(name.floor_char_boundary(MAX_NAME));
    }
}

#[cfg(test)]
mod tests;
