//! Single-flight: of identical concurrent calls one leads and goes upstream, the others follow its answer live.
//!
//! Errors are never shared: a leader that fails just drops, and of its followers the first to join again leads.
//! A slow follower reads the accumulating body and never slows the leader. Nothing here waits on a clock.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::seal::Digest;

mod flight;
mod follower;
mod leader;
#[cfg(test)]
mod tests;

pub use follower::Follower;
pub use leader::Leader;

use flight::{Bodies, Flight};

/// What all flights together and each alone may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Flights open at once; a call beyond leads alone.
    pub flights: usize,
    /// Bytes of one answer after which nobody joins any more.
    pub body_bytes: usize,
    /// Bytes kept for followers over all flights; past it joining stops and who lags a sixteenth of `body_bytes` is lost.
    pub total_bytes: usize,
}

/// The calls under way, by key; clones share them. `H` is the head of an answer, `V` the finished answer.
pub struct Flights<H, V> {
    shared: Arc<Shared<H, V>>,
}

/// What a call is to do.
pub enum Role<H, V> {
    /// Go upstream. Look into the in-process tier once more first: the last leader may just have filled it.
    Lead(Leader<H, V>),
    /// Read what the leader gets.
    Follow(Follower<H, V>),
}

/// Why a follower gets no more from its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It fell too far behind an answer that is too large to keep: go upstream alone, or end the stream.
    #[error("the follower fell too far behind")]
    Behind,
    /// The leader failed or was cancelled: join again if no byte was passed on.
    #[error("the leader was lost")]
    Leader,
    /// The leader's answer must not be shared: go upstream alone.
    #[error("the answer must not be shared")]
    Unshared,
}

struct Shared<H, V> {
    limits: Limits,
    bodies: Arc<Bodies>,
    open: Mutex<HashMap<Digest, Arc<Flight<H, V>>>>,
}

impl<H, V> Flights<H, V> {
    /// No calls under way.
    pub fn new(limits: Limits) -> Self {
        let bodies = Arc::new(Bodies::new(limits.total_bytes));
        Self {
            shared: Arc::new(Shared {
                limits,
                bodies,
                open: Mutex::default(),
            }),
        }
    }

    /// Follows the call under way for this key, or leads.
    pub fn join(&self, key: Digest) -> Role<H, V> {
        let mut open = self.shared.open.lock();
        let known = open.get(&key);
        if let Some(seat) = known.and_then(Flight::sit) {
            return Role::Follow(Follower::new(seat));
        }
        let is_listed = known.is_some() || open.len() < self.shared.limits.flights;
        let flight = Arc::new(Flight::new(
            self.shared.limits.body_bytes,
            self.shared.bodies.clone(),
            is_listed,
        ));
        if is_listed {
            open.insert(key, flight.clone());
        }
        Role::Lead(Leader::new(key, flight, self.clone()))
    }

    /// Keys that a call can join now.
    pub fn len(&self) -> usize {
        self.shared.open.lock().len()
    }

    /// Whether no call can be joined.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes kept for followers now.
    pub fn held_bytes(&self) -> usize {
        self.shared.bodies.held()
    }

    // Another flight may have taken the key since this one closed.
    fn unlist(&self, key: &Digest, flight: &Arc<Flight<H, V>>) {
        let mut open = self.shared.open.lock();
        if open.get(key).is_some_and(|listed| Arc::ptr_eq(listed, flight)) {
            open.remove(key);
        }
    }
}

impl<H, V> Clone for Flights<H, V> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<H, V> std::fmt::Debug for Flights<H, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flights")
            .field("limits", &self.shared.limits)
            .finish_non_exhaustive()
    }
}
