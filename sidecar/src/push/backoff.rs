//! How long to wait before the next connection: a fleet that lost its operator must not come back all at once.

use std::time::Duration;

use super::session::End;

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(15);
/// After a clean end: long enough to spread a replica's sidecars over the others, short enough to miss no change.
const CLEAN: Duration = Duration::from_secs(1);
/// A stream that lived so long was sound.
const STABLE: Duration = Duration::from_mins(1);

/// Doubles from 10 ms to 15 s, each pause drawn from zero to that; begins anew after a stable minute.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after a stream that served so long; `random` is from 0 to 1.
    pub(super) fn pause(&mut self, end: &End, served: Duration, random: f64) -> Duration {
        if served >= STABLE {
            self.failures = 0;
        }
        // A server that closes at once, however cleanly, is not well.
        if matches!(end, End::Clean) && served >= CLEAN {
            return CLEAN.mul_f64(random);
        }
        let most = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        most.mul_f64(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_bound_and_only_a_stable_minute_begins_anew() {
        let mut backoff = Backoff::default();
        let failed = End::Failed("x".into());
        let mut pause = |served, random| backoff.pause(&failed, Duration::from_secs(served), random).as_millis();
        let pauses: Vec<u128> = (0..13).map(|_| pause(0, 1.0)).collect();
        assert_eq!(pauses[..4], [10, 20, 40, 80]);
        assert_eq!(pauses[11..], [15_000, 15_000]);
        assert_eq!(pause(59, 1.0), 15_000);
        assert_eq!(pause(0, 0.5), 7_500);
        assert_eq!(pause(60, 1.0), 10);
        assert_eq!(pause(0, 0.0), 0);
    }

    #[test]
    fn a_clean_end_is_followed_at_once_unless_it_came_at_once() {
        let mut backoff = Backoff::default();
        assert_eq!(
            backoff.pause(&End::Clean, Duration::from_secs(5), 0.25),
            Duration::from_millis(250)
        );
        assert_eq!(backoff.pause(&End::Clean, Duration::ZERO, 1.0), FIRST);
    }
}
