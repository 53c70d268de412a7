//! One sidecar's stream, from hello to the end. It tells what is missing whenever there is room, so that a slow reader
//! skips what was overtaken and costs no memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use llmcache_policy::push::{Down, Layer, Report, Sighting, Store, Up, down, up};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::{Status, Streaming};

use super::desired::{Desired, Told};
use crate::identity::Identity;
use crate::metrics::Pushing;
use crate::sidecars::{Entry, Sidecars};

/// Longest time between a snapshot and its answer; a sidecar that takes longer is not well, and connects anew.
const ANSWER: Duration = Duration::from_secs(30);
/// Longest time from the connection to hello.
const GREETING: Duration = Duration::from_secs(10);

/// Layers and stores of one report.
const MAX_LAYERS: usize = 8;
const MAX_STORES: usize = 4;

/// What holds for a sidecar now.
pub type Wanted = Arc<dyn Fn(&Identity) -> Desired + Send + Sync>;

/// One stream.
pub(super) struct Connection {
    pub(super) identity: Identity,
    pub(super) wanted: Wanted,
    /// Changes whenever what is wanted may have.
    pub(super) news: watch::Receiver<u64>,
    pub(super) sidecars: Sidecars,
    pub(super) metrics: Pushing,
    /// When the stream ends whatever happens: its age, or its token's.
    pub(super) end: Instant,
    pub(super) opened_ms: u64,
}

impl Connection {
    /// Talks until either side has had enough; the status tells the sidecar why.
    pub(super) async fn run(
        mut self,
        mut up: Streaming<Up>,
        down: mpsc::Sender<Result<Down, Status>>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Status> {
        let entry = self.greet(&mut up).await?;
        let mut told = Told::default();
        let mut answer_by: Option<(u64, Instant)> = None;
        let mut awaited = BTreeSet::new();
        let mut next = self.next(&mut told, &entry, &mut awaited);
        loop {
            let by = answer_by.map_or(self.end, |(_, by)| by.min(self.end));
            tokio::select! {
                permit = down.reserve(), if next.is_some() => {
                    let Ok(permit) = permit else { return Ok(()) };
                    if let Some(message) = next.take() {
                        if matches!(message.body, Some(down::Body::Snapshot(_))) {
                            entry.offered();
                        }
                        permit.send(Ok(message));
                    }
                    if answer_by.is_none_or(|(nonce, _)| nonce < told.nonce()) && told.nonce() > 0 {
                        self.metrics.snapshots.inc();
                        answer_by = Some((told.nonce(), Instant::now() + ANSWER));
                    }
                    next = self.next(&mut told, &entry, &mut awaited);
                }
                changed = self.news.changed(), if next.is_none() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    next = self.next(&mut told, &entry, &mut awaited);
                }
                message = up.message() => {
                    let Some(message) = message? else { return Ok(()) };
                    if self.hear(message, &told, &entry, &awaited) {
                        // Answered: no deadline until the next snapshot.
                        answer_by = Some((told.nonce(), self.end));
                    }
                }
                () = sleep_until(by) => return Err(self.ending(by)),
                _ = stop.wait_for(|stop| *stop) => return Err(Status::unavailable("this replica ends: connect to another")),
            }
        }
    }

    /// Reads the hello; the sidecar is known from then on.
    async fn greet(&self, up: &mut Streaming<Up>) -> Result<Entry, Status> {
        let first = tokio::time::timeout(GREETING, up.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no hello came"))??;
        let Some(Up {
            body: Some(up::Body::Hello(hello)),
        }) = first
        else {
            return Err(Status::invalid_argument("the first message must be a hello"));
        };
        tracing::debug!(
            pod = self.identity.pod_name,
            namespace = self.identity.namespace,
            version = hello.version,
            "connected"
        );
        Ok(self.sidecars.enter(Sighting {
            pod_uid: self.identity.pod_uid.clone(),
            namespace: self.identity.namespace.clone(),
            pod: self.identity.pod_name.clone(),
            version: bounded(hello.version, 64),
            connected_ms: self.opened_ms,
            ..Sighting::default()
        }))
    }

    fn next(&mut self, told: &mut Told, entry: &Entry, awaited: &mut BTreeSet<String>) -> Option<Down> {
        self.news.borrow_and_update();
        let mut desired = (self.wanted)(&self.identity);
        *awaited = std::mem::take(&mut desired.awaited);
        entry.forget_results_but(awaited);
        told.next(&desired)
    }

    /// Takes in one message; whether it answered the last snapshot.
    fn hear(&self, message: Up, told: &Told, entry: &Entry, awaited: &BTreeSet<String>) -> bool {
        match message.body {
            Some(up::Body::Ack(ack)) if told.is_last(ack.nonce) => {
                self.metrics.answered("ack");
                let clamped = ack.clamped.into_iter().take(8).map(|text| bounded(text, 256)).collect();
                entry.acked(bounded(ack.revision, 64), clamped);
                true
            }
            Some(up::Body::Nack(nack)) if told.is_last(nack.nonce) => {
                self.metrics.answered("nack");
                tracing::warn!(
                    pod = self.identity.pod_name,
                    namespace = self.identity.namespace,
                    reason = nack.reason,
                    "refused"
                );
                entry.nacked(bounded(nack.revision, 64), bounded(nack.reason, 512));
                true
            }
            Some(up::Body::Report(report)) => {
                entry.reported(bounded_report(report));
                false
            }
            Some(up::Body::BanResult(mut result)) if awaited.contains(&result.id) => {
                result.id = bounded(result.id, 64);
                result.error = bounded(result.error, 512);
                entry.banned(result);
                false
            }
            // An answer to a snapshot that was overtaken, a second hello, or what a later version says.
            _ => false,
        }
    }

    fn ending(&self, by: Instant) -> Status {
        if by < self.end {
            Status::deadline_exceeded("a snapshot was not answered in time: connect anew")
        } else {
            Status::unavailable("the connection is old enough: connect anew")
        }
    }
}

/// A report within bounds: it is kept, and told to the leader together with all others.
fn bounded_report(report: Report) -> Report {
    let layers = report.layers.into_iter().take(MAX_LAYERS).map(|layer| Layer {
        name: bounded(layer.name, 32),
        state: bounded(layer.state, 32),
        message: bounded(layer.message, 512),
    });
    let stores = report.stores.into_iter().take(MAX_STORES).map(|store| Store {
        name: bounded(store.name, 32),
        ..store
    });
    Report {
        layers: layers.collect(),
        stores: stores.collect(),
        ..report
    }
}

/// The first characters of a text that a sidecar chose.
fn bounded(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}
