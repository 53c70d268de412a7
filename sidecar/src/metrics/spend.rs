//! Tokens and dollars. Dollars are summed as integers and converted once, when read, so they equal the ledger's.

use std::collections::BTreeMap;
use std::sync::Arc;

use llmcache_provider::usage::Usage;
use parking_lot::{Mutex, MutexGuard};
use prometheus::{CounterVec, Error, IntCounterVec, Registry};

use super::NONE;
use super::family::{counts, dollars};
use crate::account::{Nano, Settlement};

#[derive(Debug)]
pub(super) struct Spend {
    tokens: IntCounterVec,
    saved_tokens: IntCounterVec,
    prompt_cache: IntCounterVec,
    cost_usd: CounterVec,
    saved_usd: CounterVec,
    overhead_usd: CounterVec,
    dollars: Mutex<Dollars>,
}

/// Sums behind the dollar counters.
#[derive(Debug, Default)]
pub(super) struct Dollars {
    cost: BTreeMap<Arc<str>, Nano>,
    saved: BTreeMap<&'static str, Nano>,
    overhead: BTreeMap<(&'static str, &'static str), Nano>,
}

const ROUTING: &str = "routing";
const RESULT_CACHE: &str = "result_cache";
const SEMANTIC_CACHE: &str = "semantic_cache";
const PROMPT_CACHE: &str = "prompt_cache";
const WRITE_PREMIUM: &str = "write_premium";
const REFRESH: &str = "refresh";
const JUDGE: &str = "judge";
const RE_ASK: &str = "re_ask";
/// Kind of overhead: what a layer lost on a request, because a counter cannot fall.
const LOSS: &str = "loss";

impl Spend {
    pub(super) fn register(r: &Registry) -> Result<Self, Error> {
        let saved = "prompt tokens not sent, or read from the provider's cache for our marks";
        let spend = Self {
            tokens: counts(
                r,
                "tokens_total",
                "tokens billed; input includes cached",
                &["kind", "model"],
            )?,
            saved_tokens: counts(r, "saved_tokens_total", saved, &["layer"])?,
            prompt_cache: counts(
                r,
                "prompt_cache_requests_total",
                "answers by prompt-cache use",
                &["result"],
            )?,
            cost_usd: dollars(r, "cost_usd_total", "dollars paid to providers", &["model"])?,
            saved_usd: dollars(r, "saved_usd_total", "dollars saved, gross", &["layer"])?,
            overhead_usd: dollars(r, "overhead_usd_total", "dollars a layer cost", &["layer", "kind"])?,
            dollars: Mutex::default(),
        };
        spend.start_at_zero();
        Ok(spend)
    }

    pub(super) fn record(&self, model: &Arc<str>, settlement: &Settlement) {
        let Settlement { billed, saved, .. } = settlement;
        self.saved_tokens
            .with_label_values(&[PROMPT_CACHE])
            .inc_by(settlement.reads_gained);
        self.saved_tokens
            .with_label_values(&[RESULT_CACHE])
            .inc_by(settlement.spared.result_cache);
        self.saved_tokens
            .with_label_values(&[SEMANTIC_CACHE])
            .inc_by(settlement.spared.semantic_cache);
        if *billed != Usage::default() {
            self.billed(model, billed);
        }
        let mut dollars = self.dollars.lock();
        if settlement.actual != Nano::ZERO {
            *dollars.cost.entry(Arc::clone(model)).or_default() += settlement.actual;
        }
        dollars.saved(ROUTING, saved.routing);
        dollars.saved(RESULT_CACHE, saved.result_cache);
        dollars.saved(SEMANTIC_CACHE, saved.semantic_cache);
        dollars.saved(PROMPT_CACHE, saved.prompt_cache);
        for (layer, kind, nano) in [
            (PROMPT_CACHE, WRITE_PREMIUM, settlement.write_premium),
            (RESULT_CACHE, REFRESH, settlement.refresh),
            (SEMANTIC_CACHE, JUDGE, settlement.judge),
            (SEMANTIC_CACHE, RE_ASK, settlement.re_ask),
        ] {
            *dollars.overhead.entry((layer, kind)).or_default() += nano;
        }
    }

    /// Counts what the provider's cache did for a request; calls of ours are none.
    pub(super) fn answered(&self, usage: &Usage) {
        if *usage == Usage::default() {
            return;
        }
        let result = match (usage.cache_read, usage.cache_write()) {
            (0, 0) => NONE,
            (0, _) => "write",
            _ => "read",
        };
        self.prompt_cache.with_label_values(&[result]).inc();
    }

    /// Sets the dollar counters; nothing is added while the guard lives.
    pub(super) fn publish(&self) -> MutexGuard<'_, Dollars> {
        let dollars = self.dollars.lock();
        for (model, nano) in &dollars.cost {
            set(&self.cost_usd, &[model], *nano);
        }
        for (layer, nano) in &dollars.saved {
            set(&self.saved_usd, &[layer], *nano);
        }
        for ((layer, kind), nano) in &dollars.overhead {
            set(&self.overhead_usd, &[layer, kind], *nano);
        }
        dollars
    }

    fn billed(&self, model: &Arc<str>, usage: &Usage) {
        let kinds = [
            ("input", usage.input),
            ("cache_read", usage.cache_read),
            ("cache_write", usage.cache_write()),
            ("output", usage.output),
        ];
        for (kind, tokens) in kinds {
            self.tokens.with_label_values(&[kind, &**model]).inc_by(tokens);
        }
    }

    fn start_at_zero(&self) {
        for result in [NONE, "read", "write"] {
            self.prompt_cache.with_label_values(&[result]);
        }
        for layer in [RESULT_CACHE, SEMANTIC_CACHE, PROMPT_CACHE] {
            self.saved_tokens.with_label_values(&[layer]);
        }
        let mut dollars = self.dollars.lock();
        for layer in [ROUTING, RESULT_CACHE, SEMANTIC_CACHE, PROMPT_CACHE] {
            dollars.saved.insert(layer, Nano::ZERO);
            dollars.overhead.insert((layer, LOSS), Nano::ZERO);
        }
        dollars.overhead.insert((PROMPT_CACHE, WRITE_PREMIUM), Nano::ZERO);
    }
}

impl Dollars {
    fn saved(&mut self, layer: &'static str, saved: Nano) {
        if saved >= Nano::ZERO {
            *self.saved.entry(layer).or_default() += saved;
        } else {
            *self.overhead.entry((layer, LOSS)).or_default() += -saved;
        }
    }
}

fn set(counters: &CounterVec, labels: &[&str], nano: Nano) {
    let counter = counters.with_label_values(labels);
    counter.reset();
    counter.inc_by(nano.dollars());
}
