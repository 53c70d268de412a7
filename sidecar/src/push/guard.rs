//! Generations of a policy never go back: a replica that has not seen the newest must not undo it. Only when for a
//! minute nothing but lower ones was offered is the lower one the truth, as after a restore of the cluster's store.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Policies whose generation is remembered, the latest last.
const MAX_POLICIES: usize = 64;

/// What was applied, by the policy's uid.
#[derive(Debug)]
pub(super) struct Guard {
    applied: VecDeque<(String, i64)>,
    /// Since when only lower generations of this policy were offered.
    refusing: Option<(String, Instant)>,
    patience: Duration,
}

/// What to do with an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Apply it.
    Apply,
    /// Keep what is in force.
    Older,
    /// Apply it although it is lower, and count that.
    Regress,
}

impl Guard {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            applied: VecDeque::new(),
            refusing: None,
            patience,
        }
    }

    /// What to do with a generation offered at a moment; policies without uid have none to compare.
    pub(super) fn judge(&mut self, uid: &str, generation: i64, now: Instant) -> Verdict {
        let known = self.applied.iter().find(|(known, _)| known == uid);
        if known.is_none_or(|(_, known)| generation >= *known) || uid.is_empty() {
            self.refusing = None;
            return Verdict::Apply;
        }
        match &self.refusing {
            Some((refused, since)) if refused == uid => {
                if now.duration_since(*since) >= self.patience {
                    self.refusing = None;
                    return Verdict::Regress;
                }
            }
            _ => self.refusing = Some((uid.to_owned(), now)),
        }
        Verdict::Older
    }

    /// Notes what is in force.
    pub(super) fn applied(&mut self, uid: &str, generation: i64) {
        if uid.is_empty() {
            return;
        }
        self.applied.retain(|(known, _)| known != uid);
        self.applied.push_back((uid.to_owned(), generation));
        if self.applied.len() > MAX_POLICIES {
            self.applied.pop_front();
        }
    }

    /// Goes on from what a process before noted.
    pub(super) fn recall(&mut self, generations: &[(String, i64)]) {
        for (uid, generation) in generations {
            self.applied(uid, *generation);
        }
    }

    /// What a process after this one has to know.
    pub(super) fn generations(&self) -> Vec<(String, i64)> {
        self.applied.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    #[test]
    fn a_lower_generation_waits_until_nothing_else_was_offered_for_a_minute() {
        let mut guard = Guard::new(PATIENCE);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(guard.judge("a", 7, start), Verdict::Apply);
        guard.applied("a", 7);
        assert_eq!(guard.judge("a", 7, at(1)), Verdict::Apply);
        assert_eq!(guard.judge("a", 6, at(2)), Verdict::Older);
        assert_eq!(guard.judge("a", 5, at(61)), Verdict::Older);
        assert_eq!(guard.judge("a", 8, at(62)), Verdict::Apply);
        assert_eq!(guard.judge("a", 6, at(63)), Verdict::Older);
        assert_eq!(guard.judge("a", 6, at(122)), Verdict::Older);
        assert_eq!(guard.judge("a", 6, at(123)), Verdict::Regress);
        guard.applied("a", 6);
        assert_eq!(guard.judge("a", 6, at(124)), Verdict::Apply);
    }

    #[test]
    fn policies_are_told_apart_and_remembered_across_processes() {
        let mut guard = Guard::new(PATIENCE);
        let now = Instant::now();
        guard.applied("a", 7);
        assert_eq!(guard.judge("b", 1, now), Verdict::Apply);
        guard.applied("b", 1);
        assert_eq!(guard.judge("a", 6, now), Verdict::Older);
        let mut next = Guard::new(PATIENCE);
        next.recall(&guard.generations());
        assert_eq!(next.judge("a", 6, now), Verdict::Older);
        assert_eq!(next.judge("", 0, now + 2 * PATIENCE), Verdict::Apply);
        assert_eq!(next.judge("a", 6, now + 2 * PATIENCE), Verdict::Older);
        for other in 0..100 {
            next.applied(&other.to_string(), 1);
        }
        assert_eq!(next.generations().len(), MAX_POLICIES);
    }
}
