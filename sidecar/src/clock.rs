//! The time by which answers age: it never goes back, and when two clocks disagree it takes the one that says more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Unix milliseconds that only rise: a wall clock that is set back changes no answer's age, and a machine that slept
/// finds its answers as old as they are.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_ms: u64,
    latest_ms: AtomicU64,
}

impl Clock {
    /// A clock that agrees with the wall clock now.
    pub(crate) fn start() -> Self {
        let started_ms = wall_ms();
        Self {
            started: Instant::now(),
            started_ms,
            latest_ms: AtomicU64::new(started_ms),
        }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or_default();
        self.at(self.started_ms + elapsed_ms, wall_ms())
    }

    fn at(&self, steady_ms: u64, wall_ms: u64) -> u64 {
        let now_ms = steady_ms.max(wall_ms);
        self.latest_ms.fetch_max(now_ms, Ordering::Relaxed).max(now_ms)
    }
}

/// The wall clock, milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_and_sleep_counts() {
        let clock = Clock::start();
        let start = clock.started_ms;
        assert_eq!(clock.at(start + 5, start + 5), start + 5);
        assert_eq!(
            clock.at(start + 9, start - 3_600_000),
            start + 9,
            "the wall clock was set back"
        );
        assert_eq!(
            clock.at(start + 10, start + 7_200_000),
            start + 7_200_000,
            "the machine slept"
        );
        assert_eq!(clock.at(start + 11, start + 11), start + 7_200_000);
    }
}
