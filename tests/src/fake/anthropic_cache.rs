//! Anthropic's prompt cache: one entry per mark, the hash of the whole prefix up to it.
//!
//! A mark reads the nearest entry at most 20 blocks back, itself included; a read renews the entry's life, counted from
//! the start of the request. Entries become visible when the response that writes them begins, so parallel first calls
//! each pay. A prefix read at A, with hour marks up to B and any marks up to C, pays read A, hour write B − A, five-minute
//! write C − B, input for the rest.
//!
//! A mark before A that has no entry of its own still writes one, free of charge: every mark writes one entry, and the
//! tokens before A are charged as read.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::bill::Tokens;
use super::tokens::tokens_of;

mod prompt;

pub(crate) use prompt::{Prompt, read};

/// Blocks that a mark looks at, its own included.
const LOOK_BACK: usize = 20;

/// Entries kept at most; beyond it dead ones go, then all.
const ENTRIES: usize = 262_144;

/// The hash of a prefix.
pub(crate) type Prefix = [u8; 16];

/// The life a mark asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ttl {
    FiveMinutes,
    Hour,
}

/// A mark on a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The block's place in rendered order.
    pub(crate) at: usize,
    pub(crate) ttl: Ttl,
}

/// What a request reads and pays, and the entries it will write.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) tokens: Tokens,
    writes: Vec<(Prefix, Ttl)>,
    started: Duration,
}

/// Every entry of every model and workspace; both are part of the prefix.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<Prefix, Entry>>);

#[derive(Debug, Clone, Copy)]
struct Entry {
    ttl: Ttl,
    expires: Duration,
}

impl Ttl {
    const fn life(self) -> Duration {
        match self {
            Self::FiveMinutes => Duration::from_mins(5),
            Self::Hour => Duration::from_hours(1),
        }
    }
}

impl Cache {
    /// Reads for a request that starts now; prefixes under `minimum` tokens are silently not cached.
    pub(crate) fn look_up(&self, prompt: &Prompt, minimum: u64, now: Duration) -> Plan {
        let total = tokens_of(prompt.chars());
        let mut plan = Plan {
            started: now,
            ..Plan::default()
        };
        let (mut read, mut hour, mut any) = (0, 0, 0);
        let mut entries = self.0.lock();
        for mark in prompt.marks() {
            let through = tokens_of(prompt.chars_through(mark.at));
            if through < minimum {
                continue;
            }
            let hit = (0..LOOK_BACK.min(mark.at + 1)).map(|back| mark.at - back).find(|at| {
                let entry = entries.get_mut(&prompt.prefix(*at));
                entry.is_some_and(|entry| entry.read(now))
            });
            read = read.max(hit.map_or(0, |at| tokens_of(prompt.chars_through(at))));
            if hit != Some(mark.at) {
                plan.writes.push((prompt.prefix(mark.at), mark.ttl));
            }
            any = any.max(through);
            if mark.ttl == Ttl::Hour {
                hour = hour.max(through);
            }
        }
        drop(entries);
        plan.tokens.read = read;
        plan.tokens.write_1h = hour.saturating_sub(read);
        plan.tokens.write_5m = any.saturating_sub(hour.max(read));
        plan.tokens.input = total - read - plan.tokens.written();
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
        for (prefix, ttl) in &plan.writes {
            entries.insert(
                *prefix,
                Entry {
                    ttl: *ttl,
                    expires: plan.started + ttl.life(),
                },
            );
        }
    }

    pub(crate) fn reset(&self) {
        self.0.lock().clear();
    }
}

impl Entry {
    /// Whether the entry lives; if so, its life starts anew.
    fn read(&mut self, now: Duration) -> bool {
        let lives = self.expires > now;
        if lives {
            self.expires = self.expires.max(now + self.ttl.life());
        }
        lives
    }
}

#[cfg(test)]
mod tests;
