//! The stream to the operator: what to execute comes down, what became of it goes up. It only ever changes what is in
//! force; a request never waits for it, and without it the last good policy goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::in_force::InForce;

mod backoff;
mod bans;
mod connect;
mod guard;
mod offer;
mod report;
mod session;
mod state;
mod told;

pub(crate) use told::Told;

use backoff::Backoff;
use guard::Guard;
use session::{End, Session};
use state::{LastGood, Trust};

pub(crate) use state::Folder;

/// Topic of `/readyz`: whether an operator is connected.
const OPERATOR: &str = "operator";
/// Time after which a failure that goes on is logged again.
const SAY_AGAIN: Duration = Duration::from_mins(5);

/// Where the operator is and how it is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    /// `https://HOST:PORT`.
    pub url: Uri,
    /// Certificates (PEM) to trust until it sends newer ones.
    pub ca: String,
    /// File of the token that says who we are; read at each connection.
    pub token: PathBuf,
    /// A silent connection is asked after this time whether it lives.
    pub ping_after: Duration,
    /// It then has so long to answer.
    pub ping_timeout: Duration,
    /// Time in which only lower generations were offered after which one is applied.
    pub regress_after: Duration,
}

/// The push client of a process.
pub(crate) struct Push {
    operator: Operator,
    in_force: Arc<InForce>,
    folder: Folder,
    guard: Mutex<Guard>,
    /// Newer certificates than the operator's settings had.
    trust: Mutex<Option<Trust>>,
}

impl Push {
    /// A client that goes on from what the process before it left; puts the last good policy in force.
    pub(crate) fn resume(operator: Operator, in_force: Arc<InForce>, folder: Folder) -> Self {
        let mut guard = Guard::new(operator.regress_after);
        if let Some(last) = folder.last_good() {
            guard.recall(&last.generations);
            put_in_force(&in_force, &last);
        }
        let trust = folder.trust();
        Self {
            operator,
            in_force,
            folder,
            guard: Mutex::new(guard),
            trust: Mutex::new(trust),
        }
    }

    /// Connects, again and again; never returns.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        let mut said: Option<(String, Instant)> = None;
        let metrics = &self.in_force.process().metrics;
        loop {
            let mut served = Duration::ZERO;
            let end = match Session::open(&self).await {
                Ok(session) => {
                    let opened = Instant::now();
                    tracing::info!("connected to the operator");
                    metrics.push_connected(true);
                    self.in_force.note(OPERATOR, None);
                    said = None;
                    let end = session.run().await;
                    metrics.push_connected(false);
                    served = opened.elapsed();
                    end
                }
                Err(problem) => End::Failed(problem),
            };
            let pause = backoff.pause(&end, served, random());
            let reason = end.to_string();
            self.in_force.note(OPERATOR, Some(format!("not connected: {reason}")));
            let is_known = said
                .as_ref()
                .is_some_and(|(known, at)| *known == reason && at.elapsed() < SAY_AGAIN);
            if is_known {
                tracing::debug!(reason, ?pause, "no operator");
            } else {
                tracing::warn!(reason, "no operator; what is in force stays in force");
                said = Some((reason, Instant::now()));
            }
            sleep(pause).await;
        }
    }

    /// The certificates to trust now.
    fn ca(&self) -> String {
        let newer = self.trust.lock();
        newer
            .as_ref()
            .map_or_else(|| self.operator.ca.clone(), |trust| trust.pem.clone())
    }
}

/// What was good once is judged again: another version may have written it.
fn put_in_force(in_force: &InForce, last: &LastGood) {
    let applied = match last.offer() {
        Ok(offer) => offer.apply(in_force),
        Err(problem) => Err(problem),
    };
    match applied {
        Ok(_) => tracing::info!(
            revision = last.revision,
            "the last good policy is in force until the operator is heard"
        ),
        Err(problem) => tracing::warn!(problem, "the last good policy cannot be used; passing through"),
    }
}

/// From 0 to 1; the middle without randomness.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
