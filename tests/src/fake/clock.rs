//! The provider's clock: real time plus what a test has added; the life of cache entries follows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Time since the fake started, and the date, both moved forward by [`Clock::advance`].
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    date: SystemTime,
    ahead_ms: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            date: SystemTime::now(),
            ahead_ms: AtomicU64::new(0),
        }
    }

    /// Moves the clock forward, by whole milliseconds; it never goes back.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(by, Ordering::SeqCst);
    }

    /// Time since the start of the fake.
    pub fn now(&self) -> Duration {
        self.started.elapsed() + Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst))
    }

    /// Seconds since 1970 by this clock.
    pub fn unix_seconds(&self) -> u64 {
        let date = self.date + self.now();
        date.duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    /// The date by this clock as `YYYY-MM-DDThh:mm:ssZ`.
    pub fn rfc3339(&self) -> String {
        let seconds = i64::try_from(self.unix_seconds()).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |at| at.to_string())
    }
}
