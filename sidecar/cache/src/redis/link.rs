//! The connections to the store: made, lost and made again off the request path.

use std::time::Duration;

use parking_lot::Mutex;
use redis::RedisError;
use tokio::time::{Instant, sleep};

pub(super) use super::connection::Connection;
use super::dial::{Connections, Dialer};
use super::server::Server;
use crate::budget::{Breaker, Pass};

/// Pause after a failed probe; doubled up to `PAUSE_MAX`, which bounds how late a returned server is seen.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A connection that served this long was sound: the next outage is probed at once.
const SOUND: Duration = Duration::from_secs(10);

/// The connections, and whether they may be used now.
#[derive(Debug)]
pub(super) struct Link {
    server: Server,
    breaker: Breaker,
    connections: Mutex<Option<Connections>>,
}

/// What a node says that is not, or not yet, the one to ask.
const NO_LONGER: [&str; 5] = ["READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "MOVED"];

/// How long to wait before the next probe.
#[derive(Debug, Default)]
struct Pause(Duration);

impl Link {
    pub(super) fn new(server: Server, breaker: Breaker) -> Self {
        Self {
            server,
            breaker,
            connections: Mutex::default(),
        }
    }

    pub(super) fn reader(&self) -> Option<(Pass, Connection)> {
        let pass = self.breaker.pass()?;
        Some((pass, self.connections.lock().as_ref()?.reader.clone()))
    }

    pub(super) fn writer(&self) -> Option<(Pass, Connection)> {
        let pass = self.breaker.pass()?;
        Some((pass, self.connections.lock().as_ref()?.writer.clone()))
    }

    /// Waits until the store is heard again.
    pub(super) async fn closed(&self) {
        self.breaker.closed().await;
    }

    /// Says that a call under this pass had no answer.
    pub(super) fn fail(&self, pass: Pass) {
        self.breaker.trip(pass);
    }

    /// Connects whenever the breaker is open, and opens it when the store has moved elsewhere; never returns.
    pub(super) async fn keep_alive(&self) {
        let mut dialer = Dialer::new(&self.server);
        let mut pause = Pause::default();
        let mut closed_at: Option<Instant> = None;
        loop {
            tokio::select! {
                () = self.breaker.opened() => {}
                () = dialer.moved() => {
                    tracing::warn!(store = "redis", "another server is the master now");
                    if let Some(pass) = self.breaker.pass() {
                        self.breaker.trip(pass);
                    }
                    self.breaker.opened().await;
                }
            }
            *self.connections.lock() = None;
            if let Some(closed_at) = closed_at {
                sleep(pause.after_service(closed_at.elapsed())).await;
            }
            let connections = connect_until_heard(&mut dialer, &mut pause).await;
            *self.connections.lock() = Some(connections);
            self.breaker.close();
            tracing::info!(store = "redis", "store is reachable");
            closed_at = Some(Instant::now());
        }
    }
}

/// Whether an error says that this connection is of no more use: it broke, or its node is no longer who it was.
pub(super) fn is_lost(error: &RedisError) -> bool {
    let is_broken =
        error.is_io_error() || error.is_connection_dropped() || error.is_timeout() || error.is_unrecoverable_error();
    is_broken
        || super::server_codes(error)
            .iter()
            .any(|code| NO_LONGER.contains(&code.as_str()))
}

async fn connect_until_heard(dialer: &mut Dialer, pause: &mut Pause) -> Connections {
    let mut is_known = false;
    loop {
        let error = match dialer.connect().await {
            Ok(connections) => return connections,
            Err(error) => error.to_string(),
        };
        if !is_known {
            tracing::warn!(
                store = "redis",
                error,
                "store is not reachable, answering misses until it is"
            );
            is_known = true;
        }
        sleep(pause.after_failure()).await;
    }
}

impl Pause {
    fn after_failure(&mut self) -> Duration {
        self.0 = (self.0 * 2).clamp(PAUSE, PAUSE_MAX);
        self.0
    }

    // A server that answers each probe but no read in time would cost requests their budget again and again: so what
    // was learnt in one outage holds in the next, until a connection has proved sound.
    fn after_service(&mut self, served: Duration) -> Duration {
        if served < SOUND {
            return self.after_failure();
        }
        self.0 = Duration::ZERO;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_bound_and_end_with_a_sound_connection() {
        let mut pause = Pause::default();
        let failed: Vec<u128> = (0..6).map(|_| pause.after_failure().as_millis()).collect();
        assert_eq!(failed, [50, 100, 200, 400, 800, 1_000]);
        assert_eq!(pause.after_service(SOUND / 2), PAUSE_MAX);
        assert_eq!(pause.after_service(SOUND), Duration::ZERO);
        assert_eq!(pause.after_service(Duration::ZERO), PAUSE);
    }
}
