//! Stage 8, *account*: closes the record of a request exactly once, with what is known when its answer ends. A
//! pending record that is dropped is a cancelled call: the provider bills what it did, so the ledger estimates it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use llmcache_cache::seal::{Digest, NamespaceKey};
use llmcache_provider::usage::{Billing, Usage};
use tokio::time::Instant;

use super::stored::Stored;
use super::{Exchange, Pipeline};
use crate::account::settle::{Expense, Facts};
use crate::account::{Delivery, Line, Nano, Outline, PrefixDigest, Record as Open, Served, Settlement};
use crate::outcome::{Layer, Outcome};

/// A request that is not accounted yet.
pub(crate) struct Record {
    pipeline: Arc<Pipeline>,
    exchange: Arc<Exchange>,
    open: Option<Open>,
    /// It is an expense of a cache, not a request of the app.
    expense: Option<Expense>,
    /// What is known of the upstream call so far.
    pub progress: Progress,
}

/// How far the upstream call has come.
#[derive(Default)]
pub(crate) struct Progress {
    /// When it was sent; none = it was not.
    pub sent: Option<Instant>,
    /// When its response began.
    pub begun: Option<Timestamp>,
    /// The model asked.
    pub model: Option<String>,
    /// The tier asked, for metrics.
    pub tier: Option<Arc<str>>,
    /// Marks of ours in it.
    pub marks: usize,
    /// Why nothing was looked up.
    pub bypass: Option<&'static str>,
    /// Usage reported so far, or expected.
    pub usage: Option<(Usage, Billing)>,
    /// Prompt tokens billed for calls whose answers were of no use.
    pub spent: u64,
    /// Whether a part of the answer was stored.
    pub is_partial: bool,
    /// Bytes of answer passed on so far.
    pub output_bytes: u64,
}

impl Progress {
    /// What was billed besides the answer itself.
    fn in_vain(&self) -> Usage {
        Usage {
            input: self.spent,
            ..Usage::default()
        }
    }
}

impl Record {
    /// Opens the record of an understood request.
    pub(crate) fn open(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>) -> Self {
        let endpoint = exchange.call.endpoint;
        let open = pipeline
            .account
            .open(endpoint.provider(), Some(endpoint), exchange.id.clone());
        Self {
            pipeline: pipeline.clone(),
            exchange: exchange.clone(),
            open: Some(open),
            expense: None,
            progress: Progress {
                tier: exchange.route.tier.clone(),
                ..Progress::default()
            },
        }
    }

    /// Opens the record of a call that a cache makes for itself.
    pub(crate) fn expense(pipeline: &Arc<Pipeline>, exchange: &Arc<Exchange>, of: Expense) -> Self {
        let mut record = Self::open(pipeline, exchange);
        record.expense = Some(of);
        record
    }

    /// Answered from a cache; returns dollars saved.
    pub(crate) fn hit(self, stored: &Stored, layer: Layer) -> Nano {
        self.free(stored, Outcome::Hit, layer)
    }

    /// Answered by an identical call in flight; returns dollars saved.
    pub(crate) fn followed(self, stored: &Stored) -> Nano {
        self.pipeline.metrics.follower();
        self.free(stored, Outcome::Miss, Layer::ResultCache)
    }

    /// Answered by the provider; `stored` says whether the answer was admitted, or why not. Returns dollars saved.
    pub(crate) fn answered(self, usage: &Usage, billing: &Billing, stored: Result<(), &'static str>) -> Nano {
        let settlement = self.settle(usage, billing, self.by_provider(), false);
        let net = settlement.net();
        self.close(settlement, None, stored);
        net
    }

    /// Answered with `usage` of which the provider billed only `billed`, for the rest was stored. Returns dollars saved.
    pub(crate) fn answered_in_part(self, usage: &Usage, billed: &Usage, stored: Result<(), &'static str>) -> Nano {
        let served = Served::ProviderInPart(*billed);
        let settlement = self.settle(usage, &Billing::default(), served, false);
        let net = settlement.net();
        self.close(settlement, None, stored);
        net
    }

    /// Ended without an answer, which costs nothing: an error of the provider or of ours.
    pub(crate) fn failed(self, reason: &'static str) {
        let settlement = if self.progress.spent == 0 {
            Settlement {
                is_upstream: true,
                ..Settlement::default()
            }
        } else {
            self.settle(&Usage::default(), &Billing::default(), self.by_provider(), false)
        };
        self.close(settlement, None, Err(reason));
    }

    /// Ended before its end: the provider's stream was cut, or the client went away.
    pub(crate) fn cut(self, reason: &'static str) {
        let settlement = self.estimate();
        self.close(settlement, None, Err(reason));
    }

    fn free(self, stored: &Stored, outcome: Outcome, layer: Layer) -> Nano {
        let served = match layer {
            Layer::ResultCache => Served::ResultCache,
            Layer::SemanticCache => Served::SemanticCache,
        };
        let settlement = self.settle(&stored.head.usage, &stored.head.billing, served, false);
        let net = settlement.net();
        self.close(settlement, Some((outcome, layer)), Ok(()));
        net
    }

    /// What the provider will bill for an answer that nobody saw the end of: the prompt by its bytes where it was not
    /// reported, and the output passed on so far.
    fn estimate(&self) -> Settlement {
        if self.progress.sent.is_none() {
            return Settlement {
                is_upstream: true,
                ..Settlement::default()
            };
        }
        let (mut usage, billing) = self.progress.usage.clone().unwrap_or_else(|| {
            let input = (self.exchange.call.prompt().text.len() as u64).div_ceil(4);
            (
                Usage {
                    input,
                    ..Usage::default()
                },
                Billing::default(),
            )
        });
        usage.output = usage.output.max(self.progress.output_bytes.div_ceil(4));
        self.settle(&usage, &billing, self.by_provider(), true)
    }

    fn by_provider(&self) -> Served {
        if self.progress.marks > 0 {
            Served::ProviderMarked
        } else {
            Served::Provider
        }
    }

    fn settle(&self, usage: &Usage, billing: &Billing, served: Served, estimated: bool) -> Settlement {
        let Exchange {
            call,
            route,
            started_at,
            ..
        } = &*self.exchange;
        let served = match served {
            Served::ProviderInPart(billed) => Served::ProviderInPart(billed.plus(&self.progress.in_vain())),
            Served::Provider if self.progress.spent > 0 => Served::ProviderInPart(usage.plus(&self.progress.in_vain())),
            served => served,
        };
        let provider = call.endpoint.provider();
        let effective = self.progress.model.as_deref().unwrap_or(&route.model);
        let digests = Prefixes::new(&self.pipeline.key, &self.exchange);
        // A judge's prompt is not the conversation's: what the provider caches of that is as it was.
        let is_own_prompt = self.expense != Some(Expense::Judge);
        let outline = is_own_prompt
            .then(|| Outline::new(provider, effective, call.prompt(), |block| digests.at(block)))
            .flatten();
        let facts = Facts {
            provider,
            requested: &route.requested,
            effective,
            at: *started_at,
            usage,
            billing,
            shadow: None,
            served,
            estimated,
        };
        let begun = self.progress.begun.unwrap_or(*started_at);
        self.pipeline.account.settle(outline.as_ref(), begun, facts)
    }

    fn close(mut self, settlement: Settlement, hit: Option<(Outcome, Layer)>, stored: Result<(), &'static str>) {
        let Some(open) = self.open.take() else { return };
        let Exchange { call, route, .. } = &*self.exchange;
        if let Some(of) = self.expense {
            let model = self.progress.model.as_deref().unwrap_or(&route.model);
            return open.spent(of, model, &settlement);
        }
        let tier = self.progress.tier.take();
        let outcome = match (hit, self.progress.bypass) {
            (Some((outcome, _)), _) => outcome,
            (None, Some(_)) => Outcome::Bypass,
            (None, None) => Outcome::Miss,
        };
        let line = Line {
            id: String::new(),
            outcome,
            layer: match hit {
                Some((Outcome::Hit, layer)) => Some(layer),
                _ => self.progress.is_partial.then_some(Layer::ResultCache),
            },
            reason: self.progress.bypass.or_else(|| stored.err()),
            requested_model: call.request.model().to_owned(),
            model: self.progress.model.take().unwrap_or_else(|| route.model.clone()),
            settlement,
            stored: hit.is_none() && stored.is_ok(),
        };
        let duration = self.exchange.started.elapsed();
        let upstream = self.progress.sent.map_or(Duration::ZERO, |sent| sent.elapsed());
        let delivery = Delivery {
            tier,
            is_stream: call.request.wants_stream(),
            duration,
            added: duration.saturating_sub(upstream),
        };
        open.close(line, &delivery);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.open.is_none() {
            return;
        }
        if std::thread::panicking() && self.exchange.is_guarded.load(Ordering::Relaxed) {
            // The request goes on and is accounted by the record that its guard opens.
            if let Some(open) = self.open.take() {
                open.abandon();
            }
            return;
        }
        let settlement = self.estimate();
        let record = Self {
            pipeline: self.pipeline.clone(),
            exchange: self.exchange.clone(),
            open: self.open.take(),
            expense: self.expense,
            progress: std::mem::take(&mut self.progress),
        };
        record.close(settlement, None, Err("cancelled"));
    }
}

/// Digests of all prefixes that end with a block, made when the first is asked for.
struct Prefixes<'a> {
    key: &'a NamespaceKey,
    exchange: &'a Exchange,
    all: std::cell::OnceCell<Vec<PrefixDigest>>,
}

impl<'a> Prefixes<'a> {
    fn new(key: &'a NamespaceKey, exchange: &'a Exchange) -> Self {
        Self {
            key,
            exchange,
            all: std::cell::OnceCell::new(),
        }
    }

    fn at(&self, block: usize) -> PrefixDigest {
        self.all
            .get_or_init(|| self.compute())
            .get(block)
            .copied()
            .unwrap_or_default()
    }

    /// The provider keeps one cache per account, whoever the end user is: keyed by the credential.
    fn compute(&self) -> Vec<PrefixDigest> {
        let prompt = self.exchange.call.prompt();
        let credential = self.exchange.scope.as_ref().map_or([0; 32], |scope| scope.credential.0);
        let mut mac = self.key.mac("shadow");
        mac.field(&credential);
        let mut from = 0;
        let mut digest = |end: usize| {
            mac.update(&prompt.text[from..end]);
            from = end;
            let Digest(digest) = mac.clone().finish();
            let mut short = PrefixDigest::default();
            short.copy_from_slice(&digest[..16]);
            short
        };
        prompt.blocks.iter().map(|block| digest(block.end)).collect()
    }
}
