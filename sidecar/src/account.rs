//! Stage *account*: tokens, dollars and outcome of every accepted request, exactly once, also on cancel.
//!
//! A request is opened when it is accepted and closed when its answer ends. Closing consumes the record, and a record
//! that is dropped unclosed (a panic, a lost future) closes itself, so that none is counted twice or never.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use llmcache_provider::{Endpoint, Provider};
use parking_lot::Mutex;
use serde_json::Value;

pub mod ledger;
pub mod money;
pub mod prices;
pub mod settle;
pub mod shadow;
mod window;

pub use ledger::{Ledger, Line};
pub use money::Nano;
pub use prices::PriceTable;
pub use settle::{Served, Settlement};
pub use shadow::{Outline, PrefixDigest};
pub use window::Window;

use crate::clock::wall_ms;
use crate::metrics::Metrics;
use crate::outcome::Outcome;

/// Prices, shadow prompt cache, ledger and metrics of one process.
#[derive(Debug)]
pub struct Account {
    prices: PriceTable,
    shadow: Mutex<shadow::Shadow>,
    ledger: Ledger,
    hour: Mutex<window::Hour>,
    metrics: Arc<Metrics>,
    other: Arc<str>,
}

/// One accepted request that is not accounted yet.
#[derive(Debug)]
#[must_use = "a record dropped unclosed is accounted as bypass(internal)"]
pub struct Record {
    account: Arc<Account>,
    provider: Provider,
    endpoint: Option<Endpoint>,
    id: Option<String>,
}

/// How a request went, besides what the ledger keeps of it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Name of the tier that routing chose.
    pub tier: Option<Arc<str>>,
    /// Whether the client asked for a stream.
    pub is_stream: bool,
    /// From the request's first byte to the answer's last.
    pub duration: Duration,
    /// The part of it that we added: without the upstream's.
    pub added: Duration,
}

/// Model label of what the price table does not know.
const OTHER: &str = "other";

impl Account {
    /// An empty account that began `since`.
    pub fn new(prices: PriceTable, metrics: Arc<Metrics>, since: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            prices,
            shadow: Mutex::default(),
            ledger: Ledger::new(since),
            hour: Mutex::default(),
            metrics,
            other: OTHER.into(),
        })
    }

    /// The prices in force.
    pub fn prices(&self) -> &PriceTable {
        &self.prices
    }

    /// The label of a model: its id when the price table knows it, else `other`.
    pub fn model_label(&self, provider: Provider, model: &str) -> &Arc<str> {
        self.prices.id(provider, model).unwrap_or(&self.other)
    }

    /// Moves the shadow on by one answered request and settles it; `facts.shadow` is filled in here.
    ///
    /// Call it once, as soon as the answer's usage is known; `begun` is when the response began.
    pub fn settle(&self, outline: Option<&Outline>, begun: Timestamp, mut facts: settle::Facts<'_>) -> Settlement {
        let times = shadow::Times {
            started_ms: facts.at.as_millisecond(),
            begun_ms: begun.as_millisecond(),
        };
        facts.shadow = outline.map(|outline| self.shadow.lock().advance(outline, facts.usage.input, times));
        settle::settle(&self.prices, &facts)
    }

    /// Opens the record of an accepted request under our id of it; `endpoint` is absent for paths that only stream
    /// through.
    pub fn open(self: &Arc<Self>, provider: Provider, endpoint: Option<Endpoint>, id: String) -> Record {
        Record {
            account: Arc::clone(self),
            provider,
            endpoint,
            id: Some(id),
        }
    }

    /// The body of `GET /llmcache/account`.
    pub fn json(&self) -> Value {
        self.ledger.json()
    }

    /// The body of `GET /llmcache/account?id=…`; absent when it is not among the latest.
    pub fn find(&self, id: &str) -> Option<Value> {
        self.ledger.find(id)
    }

    /// Requests since the start, and the last hour.
    pub fn window(&self) -> (u64, Window) {
        self.hour.lock().sums(wall_ms())
    }

    fn add(&self, provider: Provider, endpoint: Option<Endpoint>, line: Line, delivery: Option<&Delivery>) {
        let model = self.model_label(provider, &line.model);
        self.metrics.record(endpoint, model, &line, delivery);
        self.hour.lock().add(&line, wall_ms());
        self.ledger.add(model, line);
    }
}

impl Record {
    /// Our id of the request.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// Accounts nothing: another record of the same request does.
    pub(crate) fn abandon(mut self) {
        self.id = None;
    }

    /// Accounts a call of ours: what it cost, and no request.
    pub(crate) fn spent(mut self, of: settle::Expense, model: &str, settlement: &Settlement) {
        self.id = None;
        let settlement = settlement.as_expense(of);
        let model = self.account.model_label(self.provider, model);
        self.account.metrics.spent(model, &settlement);
        self.account.ledger.spent(&settlement);
        self.account.hour.lock().spent(&settlement, wall_ms());
    }

    /// Accounts the request; the line's id is the record's, whatever it says.
    pub fn close(mut self, line: Line, delivery: &Delivery) {
        if let Some(id) = self.id.take() {
            self.account
                .add(self.provider, self.endpoint, Line { id, ..line }, Some(delivery));
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let line = Line {
                id,
                outcome: Outcome::Bypass,
                layer: None,
                reason: Some("internal"),
                requested_model: String::new(),
                model: String::new(),
                settlement: Settlement {
                    estimated: true,
                    ..Settlement::default()
                },
                stored: false,
            };
            self.account.add(self.provider, self.endpoint, line, None);
        }
    }
}

#[cfg(test)]
mod tests;
