//! Follows the certificates' Secret in every replica, and keeps it in the one that leads.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::plan::{Rotation, Step, plan};
use super::serving::ServingCertificate;
use super::stored::Stored;
use crate::follow::{self, WatchEnded, follow};
use crate::lease::Leadership;

#[cfg(test)]
mod tests;

/// How often the dates are looked at, by the wall clock: a machine may have slept.
const LOOK: Duration = Duration::from_mins(1);
/// How soon a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Writes in a row; a repair needs two at most.
const STEPS: usize = 4;

/// Who keeps the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The leader, with an authority of its own.
    Own,
    /// Somebody else, such as cert-manager; it is only read.
    Provided,
}

/// The Secret and what is done with it.
#[derive(Debug)]
pub struct Keeper {
    /// Secrets of the install namespace.
    pub api: Api<Secret>,
    /// Name of the Secret.
    pub name: String,
    /// Who keeps it.
    pub mode: Mode,
    /// How long things are good.
    pub rotation: Rotation,
    /// Whether this replica may write.
    pub leadership: Leadership,
    /// Where what was read is put to use.
    pub serving: Arc<ServingCertificate>,
}

/// How an attempt to keep the Secret ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    TryAgain,
}

impl Keeper {
    /// Follows and keeps the Secret; ends only when the watch does.
    pub async fn run(self) -> Result<Infallible, WatchEnded> {
        let mut events = pin!(follow(self.api.clone(), &self.name));
        let mut turns = self.leadership.subscribe();
        let mut seen: Option<Option<Secret>> = None;
        let mut look = Instant::now() + LOOK;
        loop {
            tokio::select! {
                event = events.next() => seen = Some(event.ok_or(WatchEnded("Secret"))?),
                _ = turns.changed() => {}
                () = sleep_until(look) => {}
            }
            look = Instant::now() + LOOK;
            if let Some(secret) = &mut seen
                && self.act(secret).await == Outcome::TryAgain
            {
                look = Instant::now() + RETRY;
            }
        }
    }

    async fn act(&self, secret: &mut Option<Secret>) -> Outcome {
        let mut outcome = Outcome::Done;
        if self.mode == Mode::Own {
            outcome = self.keep(secret).await;
        }
        let now = SystemTime::now();
        if let Some(secret) = secret
            && let Err(rejection) = self.serving.take(now, &read(secret))
        {
            let is_serving = self.serving.is_ready();
            warn!(%rejection, is_serving, secret = self.name, "the certificates are not put to use");
        }
        self.serving.measure(now);
        outcome
    }

    /// Takes the steps that are due, while this replica leads.
    async fn keep(&self, secret: &mut Option<Secret>) -> Outcome {
        for _ in 0..STEPS {
            if !self.leadership.is_leader() {
                return Outcome::Done;
            }
            let stored = secret.as_ref().map(read).unwrap_or_default();
            let now = SystemTime::now();
            let mended = match self.serving.stored() {
                Some(memory) => stored.mend(&memory),
                None => stored.clone(),
            };
            let step = plan(now, &mended, &self.rotation);
            if step == Step::Keep && mended == stored {
                return Outcome::Done;
            }
            match step.apply(now, &mended, &self.rotation) {
                Ok(after) => match self.write(secret.as_ref(), &after).await {
                    Ok(written) => {
                        info!(?step, secret = self.name, "the certificates were written");
                        *secret = Some(written);
                    }
                    Err(error) => {
                        warn!(%error, ?step, secret = self.name, "the certificates could not be written");
                        return Outcome::TryAgain;
                    }
                },
                Err(error) => {
                    warn!(%error, ?step, "the certificates could not be made");
                    return Outcome::TryAgain;
                }
            }
        }
        Outcome::TryAgain
    }

    /// One write of all parts; it fails when somebody else wrote first, and then theirs is what counts.
    async fn write(&self, secret: Option<&Secret>, after: &Stored) -> Result<Secret, follow::Error> {
        let params = PostParams::default();
        let mut next = secret.cloned().unwrap_or_default();
        next.metadata = ObjectMeta {
            name: Some(self.name.clone()),
            managed_fields: None,
            ..next.metadata
        };
        after.write_to(next.data.get_or_insert_default());
        match secret {
            Some(_) => follow::within(self.api.replace(&self.name, &params, &next)).await,
            None => follow::within(self.api.create(&params, &next)).await,
        }
    }
}

fn read(secret: &Secret) -> Stored {
    secret.data.as_ref().map(Stored::read).unwrap_or_default()
}
