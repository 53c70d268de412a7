//! OpenAI's prompt cache, in both regimes; automatic, from 1 024 tokens on.
//!
//! GPT-5.6 and later: entries lie exactly at breakpoints. A request writes at the end of its newest message and at its
//! latest three explicit breakpoints (mode `explicit`: the latest four, none = no caching), and reads the longest entry
//! among the latest 80 message ends and explicit breakpoints of the conversation. Writes are charged; reuse renews.
//!
//! GPT-5.5 and earlier: the longest common prefix with any earlier prompt, in steps of 128 tokens; writes are free.
//!
//! An entry belongs to one API key, model and `prompt_cache_key`, and exists once the response that writes it begins.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::bill::Tokens;
use super::tokens::tokens_of;

mod prompt;

pub(crate) use prompt::{Prompt, read};

/// Tokens below which nothing is cached.
const MINIMUM: u64 = 1_024;

/// Tokens between the possible hits of the older regime.
const STEP: u64 = 128;

/// Breakpoints considered for a read.
const LOOK_BACK: usize = 80;

/// Breakpoints written by a request.
const WRITES: usize = 4;

/// Entries kept at most; beyond it dead ones go, then all.
const ENTRIES: usize = 524_288;

/// The hash of a prefix.
pub(crate) type Prefix = [u8; 16];

/// How long a request's entries live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Older regime, `in_memory`: five minutes idle, an hour at most.
    InMemory,
    /// Older regime: a day.
    Day,
    /// Breakpoints, `30m`.
    HalfHour,
    /// Breakpoints, `12h`.
    HalfDay,
}

/// A place where an entry may lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) prefix: Prefix,
    pub(crate) chars: u64,
    pub(crate) is_explicit: bool,
    pub(crate) ends_message: bool,
}

/// What a request reads and pays, and the entries it will write.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) tokens: Tokens,
    writes: Vec<(Prefix, Life)>,
    started: Duration,
}

/// Every entry of every key and model; both are part of the prefix.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<Prefix, Entry>>);

#[derive(Debug, Clone, Copy)]
struct Entry {
    life: Life,
    expires: Duration,
    ends: Duration,
}

impl Life {
    const fn idle(self) -> Duration {
        Duration::from_secs(match self {
            Self::InMemory => 300,
            Self::HalfHour => 1_800,
            Self::HalfDay => 43_200,
            Self::Day => 86_400,
        })
    }

    const fn most(self) -> Duration {
        match self {
            Self::InMemory => Duration::from_hours(1),
            _ => Duration::MAX,
        }
    }
}

impl Entry {
    fn new(life: Life, now: Duration) -> Self {
        let ends = now.saturating_add(life.most());
        Self {
            life,
            expires: (now + life.idle()).min(ends),
            ends,
        }
    }

    fn read(&mut self, now: Duration) -> bool {
        let lives = self.expires > now;
        if lives {
            self.expires = self.expires.max((now + self.life.idle()).min(self.ends));
        }
        lives
    }
}

impl Cache {
    /// Reads for a request that starts now.
    pub(crate) fn look_up(&self, prompt: &Prompt, now: Duration) -> Plan {
        match prompt {
            Prompt::Breakpoints {
                chars,
                points,
                life,
                implicit,
            } => self.at_breakpoints(tokens_of(*chars), points, (*life, *implicit), now),
            Prompt::Steps { chars, steps, life } => self.longest(tokens_of(*chars), steps, *life, now),
        }
    }

    fn at_breakpoints(&self, total: u64, points: &[Point], mode: (Life, bool), now: Duration) -> Plan {
        let (life, implicit) = mode;
        let mut plan = Plan {
            started: now,
            ..Plan::default()
        };
        plan.tokens.input = total;
        let explicit = points.iter().rev().filter(|point| point.is_explicit);
        let newest = points
            .iter()
            .rev()
            .find(|point| point.ends_message)
            .filter(|_| implicit);
        let marked: Vec<&Point> = newest
            .into_iter()
            .chain(explicit.filter(|point| newest.is_none_or(|newest| newest.prefix != point.prefix)))
            .take(WRITES)
            .filter(|point| tokens_of(point.chars) >= MINIMUM)
            .collect();
        if marked.is_empty() {
            return plan;
        }
        let mut entries = self.0.lock();
        let mut lives = |point: &Point| entries.get_mut(&point.prefix).is_some_and(|entry| entry.read(now));
        let read = points.iter().rev().take(LOOK_BACK).find(|point| lives(point));
        let read = read.map_or(0, |point| tokens_of(point.chars));
        let mut through = read;
        for point in marked {
            through = through.max(tokens_of(point.chars));
            if !lives(point) {
                plan.writes.push((point.prefix, life));
            }
        }
        plan.tokens.read = read;
        match life {
            Life::HalfDay => plan.tokens.write_12h = through - read,
            _ => plan.tokens.write_30m = through - read,
        }
        plan.tokens.input = total - through;
        plan
    }

    fn longest(&self, total: u64, steps: &[Prefix], life: Life, now: Duration) -> Plan {
        let mut plan = Plan {
            started: now,
            ..Plan::default()
        };
        let mut entries = self.0.lock();
        let mut hits = 0;
        for step in steps {
            if !entries.get_mut(step).is_some_and(|entry| entry.read(now)) {
                break;
            }
            hits += 1;
        }
        plan.writes.extend(steps.iter().skip(hits).map(|step| (*step, life)));
        plan.tokens.read = if hits == 0 {
            0
        } else {
            MINIMUM + STEP * (hits as u64 - 1)
        };
        plan.tokens.input = total - plan.tokens.read;
        plan
    }

    /// The response begins: its entries can be read from now on.
    pub(crate) fn begin(&self, plan: &Plan) {
        if plan.writes.is_empty() {
            return;
        }
        let mut entries = self.0.lock();
        if entries.len() + plan.writes.len() > ENTRIES {
            entries.retain(|_, entry| entry.expires > plan.started);
            if entries.len() + plan.writes.len() > ENTRIES {
                entries.clear();
            }
        }
        for (prefix, life) in &plan.writes {
            entries.insert(*prefix, Entry::new(*life, plan.started));
        }
    }

    pub(crate) fn reset(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests;
