//! How often the API server may be asked: a token bucket, without a clock of its own.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket that fills steadily; whoever finds it empty is told how long to wait.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst),
            level: f64::from(burst),
            at: now,
        }
    }

    /// Takes one and says how long to wait for it; `None`, and nothing is taken, when that is too long.
    pub(super) fn take(&mut self, now: Instant, patience: Duration) -> Option<Duration> {
        let filled = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.level = (self.level + filled).min(self.burst);
        self.at = now;
        let lacks = (1.0 - self.level).max(0.0) / self.per_second;
        let wait = Duration::try_from_secs_f64(lacks)
            .ok()
            .filter(|wait| *wait <= patience)?;
        self.level -= 1.0;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_the_rest_queue_up_and_the_last_are_turned_away() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 3, start);
        let patience = Duration::from_millis(250);
        let waits: Vec<Option<u128>> = (0..7)
            .map(|_| bucket.take(start, patience).map(|wait| wait.as_millis()))
            .collect();
        assert_eq!(waits, [Some(0), Some(0), Some(0), Some(100), Some(200), None, None]);
        let later = start + Duration::from_mins(1);
        assert_eq!(
            bucket.take(later, patience),
            Some(Duration::ZERO),
            "it has filled again"
        );
    }
}
