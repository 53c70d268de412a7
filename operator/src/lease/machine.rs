//! The rules of the lease, without a client or a clock: what was seen and when, in; what to do next, out.
//!
//! A leader counts its time from before it *sent* the write that succeeded; others count from after they *saw* it.
//! Ten seconds of the one end before fifteen of the other begin to count, so two never lead while their clocks' rates
//! differ by less than a fifth. A Lease deleted under a leader is awaited just so by all who had seen it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::record::{Record, Versioned};

#[cfg(test)]
mod tests;

/// Time on the process's own steady clock, since an origin of its own.
pub type Moment = Duration;

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long others wait after the last change they saw; default 15 s.
    pub lease: Duration,
    /// How long a leader leads after it sent a write that succeeded; default 10 s.
    pub renew_deadline: Duration,
    /// Time between two attempts; default 2 s, followers add up to half of it at random.
    pub retry: Duration,
    /// Longest that one call may take; default 3 s.
    pub call: Duration,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing before this moment.
    Wait(Moment),
    /// Read the Lease.
    Read,
    /// Create the Lease.
    Create(Record),
    /// Replace the Lease, only if it still has this version.
    Update(Versioned),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 409: somebody else wrote first.
    Conflict,
    /// No answer, or an error; a write may have happened.
    Failed,
    /// The Lease was read.
    Found(Versioned),
    /// There is no Lease.
    Missing,
    /// Our write was taken; this is what the Lease says now.
    Written(Versioned),
}

/// One replica's part in the election.
#[derive(Debug)]
pub struct Machine {
    identity: String,
    timing: Timing,
    known: Option<Versioned>,
    seen_at: Moment,
    knowledge: Knowledge,
    due: Moment,
    leads_until: Option<Moment>,
    dice: u64,
}

/// What the next action may build upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    Absent,
    Fresh,
    Stale,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            call: Duration::from_secs(3),
        }
    }
}

impl Machine {
    /// A replica that knows nothing yet; the seed spreads its attempts from those of others.
    pub fn new(identity: String, timing: Timing, seed: u64) -> Self {
        Self {
            identity,
            timing,
            known: None,
            seen_at: Moment::ZERO,
            knowledge: Knowledge::Stale,
            due: Moment::ZERO,
            leads_until: None,
            dice: seed | 1,
        }
    }

    /// What to do now; the wall clock is only written down for people to read.
    pub fn next(&mut self, now: Moment, wall: Timestamp) -> Action {
        if now < self.due {
            return Action::Wait(self.due);
        }
        let may_take = self.may_take(now);
        match (self.knowledge, &self.known) {
            (Knowledge::Absent, known) if may_take => Action::Create(self.claim(known.as_ref(), wall)),
            (Knowledge::Fresh, Some(known)) if may_take => Action::Update(Versioned {
                record: self.claim(Some(known), wall),
                version: known.version.clone(),
            }),
            _ => Action::Read,
        }
    }

    /// Takes the answer to a call that was sent at one moment and ended at another.
    pub fn learn(&mut self, sent: Moment, now: Moment, answer: Answer) {
        match answer {
            Answer::Written(written) => self.lead(sent, now, written),
            Answer::Found(found) => self.see(now, found),
            Answer::Missing => self.miss(now),
            Answer::Conflict => {
                self.knowledge = Knowledge::Stale;
                self.due = now + self.spread(self.timing.retry / 8);
            }
            Answer::Failed => {
                self.knowledge = Knowledge::Stale;
                self.due = now.max(sent + self.timing.retry) + self.spread(self.timing.retry / 8);
            }
        }
    }

    /// Until when this replica leads, unless it renews; `None` while it does not.
    pub fn leads_until(&self, now: Moment) -> Option<Moment> {
        self.leads_until.filter(|until| now < *until)
    }

    /// Who holds the lease as far as this replica knows; `None` once that is too long ago to be true.
    pub fn holder(&self, now: Moment) -> Option<&str> {
        let record = &self.known.as_ref()?.record;
        let is_current = now < self.seen_at + self.patience(record);
        record.holder.as_deref().filter(|_| is_current)
    }

    /// Steps down, and says what to write so that others need not wait; `None` when the Lease is not known to be ours.
    pub fn release(&mut self, wall: Timestamp) -> Option<Versioned> {
        self.leads_until = None;
        let known = self.known.as_ref().filter(|_| self.knowledge == Knowledge::Fresh)?;
        let is_ours = known.record.holder.as_deref() == Some(&self.identity);
        is_ours.then(|| Versioned {
            record: Record {
                holder: None,
                duration: Duration::from_secs(1),
                renewed: Some(wall),
                ..known.record.clone()
            },
            version: known.version.clone(),
        })
    }

    fn lead(&mut self, sent: Moment, now: Moment, written: Versioned) {
        self.known = Some(written);
        self.knowledge = Knowledge::Fresh;
        self.seen_at = now;
        self.leads_until = Some(sent + self.timing.renew_deadline);
        self.due = now.max(sent + self.timing.retry);
    }

    fn see(&mut self, now: Moment, found: Versioned) {
        if self.known.as_ref().is_none_or(|known| known.record != found.record) {
            self.seen_at = now;
        }
        if found.record.holder.as_deref() != Some(&self.identity) {
            self.leads_until = None;
        }
        self.known = Some(found);
        self.knowledge = Knowledge::Fresh;
        self.settle(now);
    }

    fn miss(&mut self, now: Moment) {
        if let Some(known) = self.known.as_mut().filter(|known| !known.version.is_empty()) {
            known.version.clear();
            self.seen_at = now;
        }
        // Missing twice in a row: there is no place to create it in, so there is no hurry.
        let is_hopeless = self.knowledge == Knowledge::Absent;
        self.knowledge = Knowledge::Absent;
        self.settle(now);
        if is_hopeless {
            self.due = now + self.spread(self.timing.retry);
        }
    }

    /// Goes on at once when the lease is there to be taken, else looks again later.
    fn settle(&mut self, now: Moment) {
        if self.may_take(now) {
            self.due = now;
        } else {
            self.knowledge = Knowledge::Stale;
            self.due = now + self.spread(self.timing.retry);
        }
    }

    fn may_take(&self, now: Moment) -> bool {
        let Some(Versioned { record, .. }) = &self.known else {
            return true;
        };
        let is_foreign = record.holder.as_ref().is_some_and(|holder| *holder != self.identity);
        !is_foreign || now >= self.seen_at + self.patience(record)
    }

    /// A holder may ask for more patience than ours, but not for ever.
    fn patience(&self, record: &Record) -> Duration {
        record.duration.clamp(self.timing.lease, 10 * self.timing.lease)
    }

    fn claim(&self, known: Option<&Versioned>, wall: Timestamp) -> Record {
        let before = known.map(|known| &known.record);
        let is_ours = before.is_some_and(|record| record.holder.as_deref() == Some(&self.identity));
        let transitions = before.map_or(0, |record| record.transitions.saturating_add(i32::from(!is_ours)));
        Record {
            holder: Some(self.identity.clone()),
            duration: self.timing.lease,
            acquired: before
                .and_then(|record| record.acquired)
                .filter(|_| is_ours)
                .or(Some(wall)),
            renewed: Some(wall),
            transitions,
        }
    }

    /// Between one and one and a half times as long.
    fn spread(&mut self, time: Duration) -> Duration {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        time + time / 2 * u32::from(self.dice.to_le_bytes()[0]) / 256
    }
}
