//! What truly happened, by one true clock, and what must not have been served.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{KEEP, LEASE};
use crate::bans::pattern;

/// A write takes its way to the store after its life was counted: by so much an answer may look too young.
const WAY: Duration = Duration::from_millis(100);

/// An answer, which says itself where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) namespace: String,
    pub(super) scope: u64,
    pub(super) question: u64,
    /// The process that asked for it.
    pub(super) process: u64,
    /// True microseconds at which the provider was asked.
    pub(super) asked: u64,
}

/// A ban that its issuer has heard of as in force.
struct Ban {
    namespace: String,
    pattern: String,
    process: u64,
    is_durable: bool,
    begun: u64,
    done: u64,
}

/// What came of a history.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) crimes: Vec<String>,
    pub(super) served: u64,
    pub(super) served_by_others: u64,
    /// Lookups that found nothing where a banned, or too old, answer was bought before.
    pub(super) killed: u64,
    pub(super) too_old: u64,
    pub(super) bans: u64,
    pub(super) crashes: u64,
}

pub(super) struct Referee {
    start: Instant,
    bans: Mutex<Vec<Ban>>,
    bought: Mutex<Vec<Answer>>,
    verdict: Mutex<Verdict>,
}

impl Referee {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            bans: Mutex::default(),
            bought: Mutex::default(),
            verdict: Mutex::default(),
        }
    }

    /// The true time, microseconds.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap()
    }

    pub(super) fn banned(&self, namespace: &str, pattern: &str, process: u64, is_durable: bool, begun: u64) {
        self.verdict.lock().bans += 1;
        self.bans.lock().push(Ban {
            namespace: namespace.into(),
            pattern: pattern.into(),
            process,
            is_durable,
            begun,
            done: self.now(),
        });
    }

    pub(super) fn crashed(&self) {
        self.verdict.lock().crashes += 1;
    }

    pub(super) fn bought(&self, answer: Answer) {
        self.bought.lock().push(answer);
    }

    /// Judges what a process served to a question that came at `asked`.
    pub(super) fn served(&self, wanted: &Answer, asked: u64, process: u64, value: &Bytes) {
        let answer: Answer = serde_json::from_slice(value).unwrap();
        let mut crimes = Vec::new();
        let is_theirs =
            (&answer.namespace, answer.scope, answer.question) == (&wanted.namespace, wanted.scope, wanted.question);
        if !is_theirs {
            crimes.push(format!("{answer:?} served to {wanted:?}"));
        }
        if asked > answer.asked + micros(KEEP + WAY) {
            crimes.push(format!("{answer:?} served at {asked}, after its life"));
        }
        if let Some(ban) = self.bans.lock().iter().find(|ban| ban.kills(&answer, asked, process)) {
            crimes.push(format!(
                "{answer:?} served at {asked} by {process} against the ban {} of {} at {}..{}",
                ban.pattern, ban.process, ban.begun, ban.done
            ));
        }
        let mut verdict = self.verdict.lock();
        verdict.served += 1;
        verdict.served_by_others += u64::from(answer.process != process);
        verdict.crimes.append(&mut crimes);
    }

    /// Notes why nothing was there, where something had been.
    pub(super) fn missed(&self, wanted: &Answer, asked: u64, process: u64) {
        let bought = self.bought.lock();
        let before = bought.iter().rev().find(|answer| {
            (&answer.namespace, answer.scope, answer.question) == (&wanted.namespace, wanted.scope, wanted.question)
        });
        let Some(answer) = before else { return };
        let is_banned = self.bans.lock().iter().any(|ban| ban.kills(answer, asked, process));
        let mut verdict = self.verdict.lock();
        verdict.killed += u64::from(is_banned);
        verdict.too_old += u64::from(asked > answer.asked + micros(KEEP));
    }

    pub(super) fn verdict(&self) -> Verdict {
        std::mem::take(&mut self.verdict.lock())
    }
}

impl Answer {
    pub(super) fn tags(&self) -> Vec<String> {
        vec![format!("user:{}", self.scope), format!("doc:{}:part", self.question)]
    }
}

impl Ban {
    /// Whether an answer that was asked for before the ban must not be served by a process to who comes at `asked`.
    fn kills(&self, answer: &Answer, asked: u64, process: u64) -> bool {
        let heard = if self.process == process {
            Some(self.done)
        } else {
            self.is_durable.then(|| self.done + micros(LEASE))
        };
        self.namespace == answer.namespace
            && answer.asked < self.begun
            && heard.is_some_and(|heard| asked > heard)
            && pattern::tags(&self.pattern, &answer.tags())
    }
}

impl Verdict {
    pub(super) fn add(&mut self, other: &Self) {
        self.served += other.served;
        self.served_by_others += other.served_by_others;
        self.killed += other.killed;
        self.too_old += other.too_old;
        self.bans += other.bans;
        self.crashes += other.crashes;
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}
