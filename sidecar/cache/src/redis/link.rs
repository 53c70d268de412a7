//! The connections to the server: made, lost and made again off the request path.

use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::time::{Instant, sleep, timeout};

use crate::budget::{Breaker, Pass};

/// How long connecting and one PING may take before the probe gives up and tries again.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after a failed probe; doubled up to `PAUSE_MAX`, which bounds how late a returned server is seen.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A connection that served this long was sound: the next outage is probed at once.
const SOUND: Duration = Duration::from_secs(10);

/// One of the connections; clones share it.
pub(super) type Connection = MultiplexedConnection;

/// The connections, and whether they may be used now.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    breaker: Breaker,
    connections: Mutex<Option<Connections>>,
}

/// Two, so that a small read never waits behind a large write.
#[derive(Clone)]
struct Connections {
    reader: MultiplexedConnection,
    writer: MultiplexedConnection,
}

/// How long to wait before the next probe.
#[derive(Debug, Default)]
struct Pause(Duration);

impl Link {
    pub(super) fn new(client: Client, breaker: Breaker) -> Self {
        Self {
            client,
            breaker,
            connections: Mutex::default(),
        }
    }

    pub(super) fn reader(&self) -> Option<(Pass, MultiplexedConnection)> {
        let pass = self.breaker.pass()?;
        Some((pass, self.connections.lock().as_ref()?.reader.clone()))
    }

    pub(super) fn writer(&self) -> Option<(Pass, MultiplexedConnection)> {
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

    /// Connects whenever the breaker is open; never returns.
    pub(super) async fn keep_alive(&self) {
        let mut pause = Pause::default();
        let mut closed_at: Option<Instant> = None;
        loop {
            self.breaker.opened().await;
            *self.connections.lock() = None;
            if let Some(closed_at) = closed_at {
                sleep(pause.after_service(closed_at.elapsed())).await;
            }
            let connections = self.connect_until_heard(&mut pause).await;
            *self.connections.lock() = Some(connections);
            self.breaker.close();
            tracing::info!(store = "redis", "store is reachable");
            closed_at = Some(Instant::now());
        }
    }

    async fn connect_until_heard(&self, pause: &mut Pause) -> Connections {
        let mut is_known = false;
        loop {
            let error = match timeout(PROBE_TIMEOUT, self.connect()).await {
                Ok(Ok(connections)) => return connections,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
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

    async fn connect(&self) -> Result<Connections, RedisError> {
        let (reader, writer) = (self.greet().await?, self.greet().await?);
        Ok(Connections { reader, writer })
    }

    async fn greet(&self) -> Result<MultiplexedConnection, RedisError> {
        // The callers bound each call themselves.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        Ok(connection)
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connections")
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
