//! The calls of the election: reads and writes the Lease as the [`Machine`] says, each call under a time limit.

use std::time::SystemTime;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::holder::Holder;
use super::leadership::Leadership;
use super::machine::{Action, Answer, Machine, Timing};
use super::metrics::Metrics;
use super::record::{Record, Versioned};

#[cfg(test)]
mod tests;

/// How often a release is tried; each try may meet a write of our own that was still on its way.
const RELEASE_TRIES: usize = 4;

/// One replica's standing for leader.
#[derive(Debug)]
pub struct Election {
    api: Api<Lease>,
    name: String,
    timing: Timing,
    machine: Machine,
    leadership: Leadership,
    metrics: Metrics,
    origin: Instant,
    lease: Option<Lease>,
}

impl Election {
    /// Stands for the Lease of this name; `own` must be unlike that of every other replica.
    pub fn new(api: Api<Lease>, name: &str, own: Holder, timing: Timing, metrics: Metrics) -> Self {
        let seed = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
        Self {
            api,
            name: name.to_owned(),
            timing,
            machine: Machine::new(own.to_string(), timing, seed),
            leadership: Leadership::new(own),
            metrics,
            origin: Instant::now(),
            lease: None,
        }
    }

    /// The guard that the leader's duties ask.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Stands until told to stop, then steps down and hands the Lease back; an API server that is away ends nothing.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = self.step() => {}
            }
        }
        self.release().await;
    }

    async fn step(&mut self) {
        self.publish();
        match self.machine.next(self.origin.elapsed(), Timestamp::now()) {
            Action::Wait(until) => self.wait(self.origin + until).await,
            Action::Read => self.perform(Call::Read).await,
            Action::Create(record) => self.perform(Call::Create(record)).await,
            Action::Update(versioned) => self.perform(Call::Update(versioned)).await,
        }
    }

    async fn wait(&self, until: Instant) {
        tokio::select! {
            () = sleep_until(until) => {}
            () = self.lost() => {}
        }
    }

    async fn perform(&mut self, call: Call) {
        let (sent, sent_wall) = (Instant::now(), SystemTime::now());
        let answer = {
            let mut answer = std::pin::pin!(self.call(&call));
            tokio::select! {
                answer = &mut answer => answer,
                () = self.lost() => {
                    self.publish();
                    answer.await
                }
            }
        };
        if let Ok(Some(lease)) = &answer {
            self.lease = Some(lease.clone());
        }
        let answer = call.understand(answer);
        let is_written = matches!(answer, Answer::Written(_));
        self.machine.learn(sent - self.origin, self.origin.elapsed(), answer);
        if is_written {
            self.leadership.hold(sent, sent_wall, self.timing.renew_deadline);
        } else if self.machine.leads_until(self.origin.elapsed()).is_none() {
            self.leadership.drop_now();
        }
    }

    async fn call(&self, call: &Call) -> Result<Option<Lease>, Failure> {
        let params = PostParams::default();
        let answer = match call {
            Call::Read => timeout(self.timing.call, self.api.get_opt(&self.name)).await,
            Call::Create(record) => {
                let lease = self.compose(None, record);
                let create = self.api.create(&params, &lease);
                timeout(self.timing.call, create).await.map(|lease| lease.map(Some))
            }
            Call::Update(Versioned { record, version }) => {
                let lease = self.compose(Some(version), record);
                let replace = self.api.replace(&self.name, &params, &lease);
                timeout(self.timing.call, replace).await.map(|lease| lease.map(Some))
            }
        };
        Ok(answer??)
    }

    /// The object to write: what was read last, with the record's fields changed.
    fn compose(&self, version: Option<&str>, record: &Record) -> Lease {
        let mut lease = version.and_then(|_| self.lease.clone()).unwrap_or_default();
        lease.metadata = ObjectMeta {
            name: Some(self.name.clone()),
            resource_version: version.map(str::to_owned),
            managed_fields: None,
            ..lease.metadata
        };
        record.write_to(&mut lease);
        lease
    }

    /// Ends when leading ends; never while this replica does not lead.
    async fn lost(&self) {
        if self.leadership.is_leader() {
            self.leadership.lost().await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    fn publish(&self) {
        let holder = self.machine.holder(self.origin.elapsed());
        let is_turn = self.leadership.publish(holder.and_then(|holder| holder.parse().ok()));
        let is_leader = self.leadership.is_leader();
        self.metrics.is_leader.set(i64::from(is_leader));
        if is_turn {
            self.metrics.transitions.inc();
            info!(is_leader, lease = self.name, "the leadership of this replica changed");
        }
    }

    async fn release(mut self) {
        self.leadership.drop_now();
        for _ in 0..RELEASE_TRIES {
            let call = match self.machine.release(Timestamp::now()) {
                Some(release) => Call::Update(release),
                None => Call::Read,
            };
            let answer = self.call(&call).await;
            if let Ok(Some(lease)) = &answer {
                self.lease = Some(lease.clone());
            }
            let answer = call.understand(answer);
            let is_over = match &answer {
                Answer::Found(found) => found.record.holder.as_deref() != Some(&self.leadership.own().to_string()),
                Answer::Missing | Answer::Written(_) => true,
                Answer::Conflict | Answer::Failed => false,
            };
            if is_over {
                break;
            }
            let now = self.origin.elapsed();
            self.machine.learn(now, now, answer);
        }
        self.publish();
    }
}

#[derive(Debug)]
enum Call {
    Create(Record),
    Read,
    Update(Versioned),
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("the API server did not answer in time")]
    TimeOut(#[from] tokio::time::error::Elapsed),
}

impl Call {
    fn understand(&self, answer: Result<Option<Lease>, Failure>) -> Answer {
        let is_read = matches!(self, Self::Read);
        match answer {
            Ok(Some(lease)) if is_read => Answer::Found(Versioned::from(&lease)),
            Ok(Some(lease)) => Answer::Written(Versioned::from(&lease)),
            Ok(None) => Answer::Missing,
            Err(Failure::Api(kube::Error::Api(status))) if status.code == 409 => {
                debug!("another replica wrote the Lease first");
                Answer::Conflict
            }
            Err(Failure::Api(kube::Error::Api(status))) if status.code == 404 => Answer::Missing,
            Err(error) => {
                warn!(%error, "a call for the Lease failed; trying again");
                Answer::Failed
            }
        }
    }
}
