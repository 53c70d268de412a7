//! Sums over the last hour, by the minute.

use super::{Line, Settlement};
use crate::outcome::Outcome;

const MINUTES: usize = 60;
const MINUTE_MS: u64 = 60_000;

/// What happened in the last hour; dollars are nano-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Accepted requests.
    pub requests: u64,
    /// Answered by a cache of ours.
    pub hits: u64,
    /// Saved, overheads not taken off.
    pub saved: i64,
    /// Overheads.
    pub overhead: i64,
}

/// A ring of minutes.
#[derive(Debug)]
pub(super) struct Hour {
    minutes: [(u64, Window); MINUTES],
    total: u64,
}

impl Default for Hour {
    fn default() -> Self {
        Self {
            minutes: [(0, Window::default()); MINUTES],
            total: 0,
        }
    }
}

impl Hour {
    /// Adds a request that ended at this moment.
    pub(super) fn add(&mut self, line: &Line, now_ms: u64) {
        self.total += 1;
        let minute = self.minute(now_ms);
        minute.requests += 1;
        minute.hits += u64::from(line.outcome == Outcome::Hit);
        minute.spend(&line.settlement);
    }

    /// Adds a call of ours that is no request.
    pub(super) fn spent(&mut self, settlement: &Settlement, now_ms: u64) {
        self.minute(now_ms).spend(settlement);
    }

    /// Requests since the start, and the last hour.
    pub(super) fn sums(&self, now_ms: u64) -> (u64, Window) {
        let now = now_ms / MINUTE_MS;
        let mut sum = Window::default();
        for (minute, window) in &self.minutes {
            if now.saturating_sub(*minute) < MINUTES as u64 {
                sum.requests += window.requests;
                sum.hits += window.hits;
                sum.saved = sum.saved.saturating_add(window.saved);
                sum.overhead = sum.overhead.saturating_add(window.overhead);
            }
        }
        (self.total, sum)
    }

    fn minute(&mut self, now_ms: u64) -> &mut Window {
        let now = now_ms / MINUTE_MS;
        let place = usize::try_from(now % MINUTES as u64).unwrap_or_default();
        let (minute, window) = &mut self.minutes[place];
        if *minute != now {
            (*minute, *window) = (now, Window::default());
        }
        window
    }
}

impl Window {
    fn spend(&mut self, settlement: &Settlement) {
        let saved = &settlement.saved;
        for nano in [
            saved.routing,
            saved.result_cache,
            saved.semantic_cache,
            saved.prompt_cache,
        ] {
            self.saved = self.saved.saturating_add(clamped(nano.0));
        }
        for nano in [
            settlement.write_premium,
            settlement.refresh,
            settlement.judge,
            settlement.re_ask,
        ] {
            self.overhead = self.overhead.saturating_add(clamped(nano.0));
        }
    }
}

fn clamped(nano: i128) -> i64 {
    i64::try_from(nano).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Nano;
    use crate::account::settle::Saved;

    fn line(outcome: Outcome, saved: Nano) -> Line {
        Line {
            id: String::new(),
            outcome,
            layer: None,
            reason: None,
            requested_model: String::new(),
            model: String::new(),
            settlement: Settlement {
                saved: Saved {
                    result_cache: saved,
                    ..Saved::default()
                },
                ..Settlement::default()
            },
            stored: false,
        }
    }

    #[test]
    fn an_hour_is_summed_and_what_is_older_is_not() {
        let mut hour = Hour::default();
        let start = 1_000 * MINUTE_MS;
        hour.add(&line(Outcome::Hit, Nano(5)), start);
        hour.add(&line(Outcome::Miss, Nano(-2)), start + 30 * MINUTE_MS);
        let expected = Window {
            requests: 2,
            hits: 1,
            saved: 3,
            overhead: 0,
        };
        assert_eq!(hour.sums(start + 59 * MINUTE_MS), (2, expected));
        assert_eq!(hour.sums(start + 60 * MINUTE_MS).1.requests, 1);
        hour.add(&line(Outcome::Hit, Nano(1)), start + 60 * MINUTE_MS);
        assert_eq!(hour.sums(start + 60 * MINUTE_MS).1.hits, 1);
        assert_eq!(hour.sums(start + 200 * MINUTE_MS), (3, Window::default()));
    }
}
