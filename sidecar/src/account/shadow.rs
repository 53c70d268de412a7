//! The shadow prompt cache: what the provider would have read and written had nobody but the client placed marks.
//!
//! It follows the provider's documented rules on prefixes' digests alone: it holds no prompt, knows no clock (times
//! are passed in) and forgets its oldest prefix when full.

use std::collections::{BTreeMap, HashMap};

use llmcache_provider::usage::Usage;

mod outline;

pub use outline::{Outline, PrefixDigest};

/// Prefixes remembered, 80 bytes each.
#[derive(Debug)]
pub struct Shadow {
    entries: HashMap<Key, Entry>,
    /// Oldest use first.
    by_age: BTreeMap<u64, Key>,
    clock: u64,
    capacity: usize,
}

/// Prompt tokens by what the provider would have done with them; the rest is plain input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Read from its cache.
    pub read: u64,
    /// Written for 5 minutes.
    pub write_5m: u64,
    /// Written for 1 hour.
    pub write_1h: u64,
    /// Written for 30 minutes.
    pub write_30m: u64,
}

/// When a request was alive, milliseconds of any one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// It began: lifetimes count from here.
    pub started_ms: i64,
    /// Its response began: what it wrote is visible from here.
    pub begun_ms: i64,
}

/// Prefixes remembered by default: as many as the prompt-cache stage remembers having seen.
pub const CAPACITY: usize = 16_384;

/// One prefix of one scope on one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    prefix: PrefixDigest,
    model: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    life: Life,
    visible_ms: i64,
    expires_ms: i64,
    age: u64,
}

/// How long an entry lives after its last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Minutes5,
    Minutes30,
    Hour,
    Day,
}

/// Which documented rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Regime {
    /// Entries exactly at marks, found by looking back from marks; writes are charged.
    Marks,
    /// Longest common prefix in whole steps of so many tokens; writes are free.
    Prefix { step: u64 },
}

/// A place where the provider looks and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Probe {
    life: Life,
    /// The place itself, then what is looked back at, nearest first; never empty.
    stops: Vec<Stop>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stop {
    /// Bytes of the prompt's text up to here.
    end: u64,
    key: Key,
}

impl Default for Shadow {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Shadow {
    /// An empty shadow for at most `capacity` prefixes.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_age: BTreeMap::new(),
            clock: 0,
            capacity,
        }
    }

    /// What the provider would have read and written of `prompt_tokens`; remembers what it would have written.
    ///
    /// Call it once per answered request, as soon as the count is known; also for answers from our own caches.
    pub fn advance(&mut self, outline: &Outline, prompt_tokens: u64, times: Times) -> Split {
        let tokens = |end: u64| outline.tokens(end, prompt_tokens);
        let valid = |probe: &&Probe| {
            probe
                .stops
                .first()
                .is_some_and(|stop| tokens(stop.end) >= outline.min_tokens)
        };
        let probes: Vec<&Probe> = outline.probes.iter().filter(valid).collect();
        let mut read = 0;
        for probe in &probes {
            let hit = probe.stops.iter().find(|stop| self.is_live(stop.key, times.started_ms));
            if let Some(stop) = hit.filter(|stop| tokens(stop.end) >= outline.min_tokens) {
                self.refresh(stop.key, times.started_ms);
                read = read.max(stop.end);
            }
        }
        let split = match outline.regime {
            Regime::Marks => charged(&probes, read, tokens),
            Regime::Prefix { step } => Split {
                read: tokens(read) / step * step,
                ..Split::default()
            },
        };
        for probe in probes {
            let written = match outline.regime {
                Regime::Marks => 1,
                Regime::Prefix { .. } => probe.stops.len(),
            };
            for stop in &probe.stops[..written] {
                self.write(stop.key, probe.life, times);
            }
        }
        split
    }

    /// Prefixes remembered now.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn is_live(&self, key: Key, now_ms: i64) -> bool {
        self.entries
            .get(&key)
            .is_some_and(|entry| entry.visible_ms <= now_ms && now_ms < entry.expires_ms)
    }

    fn refresh(&mut self, key: Key, now_ms: i64) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.expires_ms = entry.expires_ms.max(now_ms.saturating_add(entry.life.ms()));
            self.clock += 1;
            self.by_age.remove(&entry.age);
            entry.age = self.clock;
            self.by_age.insert(entry.age, key);
        }
    }

    fn write(&mut self, key: Key, life: Life, times: Times) {
        if self.is_live(key, times.started_ms) {
            // Written before: used again, it lives on with the lifetime it was paid for.
            return self.refresh(key, times.started_ms);
        }
        let pending = self
            .entries
            .remove(&key)
            .filter(|entry| times.started_ms < entry.expires_ms);
        self.clock += 1;
        let entry = Entry {
            life,
            // Two requests in flight wrote it: visible from the first response on.
            visible_ms: pending.map_or(times.begun_ms, |other| other.visible_ms.min(times.begun_ms)),
            expires_ms: times.started_ms.saturating_add(life.ms()),
            age: self.clock,
        };
        if let Some(other) = pending {
            self.by_age.remove(&other.age);
        }
        self.by_age.insert(entry.age, key);
        self.entries.insert(key, entry);
        while self.entries.len() > self.capacity {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
        }
    }
}

impl Split {
    /// The same answer's usage as the provider would have reported it.
    pub fn usage(self, served: &Usage) -> Usage {
        Usage {
            input: served.input,
            cache_read: self.read,
            cache_write_5m: self.write_5m,
            cache_write_1h: self.write_1h,
            cache_write_30m: self.write_30m,
            cache_write_12h: 0,
            output: served.output,
            web_searches: served.web_searches,
        }
    }
}

impl Life {
    const fn ms(self) -> i64 {
        const MINUTE: i64 = 60_000;
        match self {
            Self::Minutes5 => 5 * MINUTE,
            Self::Minutes30 => 30 * MINUTE,
            Self::Hour => 60 * MINUTE,
            Self::Day => 24 * 60 * MINUTE,
        }
    }
}

/// Read up to the highest hit, then written for the longer life up to the last such mark, then for the shorter.
fn charged(probes: &[&Probe], read: u64, tokens: impl Fn(u64) -> u64) -> Split {
    let last = |life: Life| {
        let ends = probes
            .iter()
            .filter(|probe| probe.life == life)
            .filter_map(|probe| probe.stops.first());
        ends.map(|stop| stop.end).max().unwrap_or_default()
    };
    let hour = last(Life::Hour).max(read);
    let minutes_5 = last(Life::Minutes5).max(hour);
    let minutes_30 = last(Life::Minutes30).max(minutes_5);
    Split {
        read: tokens(read),
        write_1h: tokens(hour) - tokens(read),
        write_5m: tokens(minutes_5) - tokens(hour),
        write_30m: tokens(minutes_30) - tokens(minutes_5),
    }
}

#[cfg(test)]
mod tests;
