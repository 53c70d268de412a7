//! The leader's side: what it passes on, and how its flight ends.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::flight::{End, Flight, wake};
use super::{Flights, Lost};
use crate::seal::Digest;

/// The one call that goes upstream; dropped without `finish` it is lost to its followers.
pub struct Leader<H, V> {
    key: Digest,
    flight: Arc<Flight<H, V>>,
    flights: Flights<H, V>,
}

impl<H, V> Leader<H, V> {
    pub(super) fn new(key: Digest, flight: Arc<Flight<H, V>>, flights: Flights<H, V>) -> Self {
        Self { key, flight, flights }
    }

    /// Passes on the head of an answer that may be shared; only the first call counts.
    pub fn begin(&self, head: H) {
        self.flight.begin(head);
    }

    /// Passes on a chunk of the body, at the cost of a short lock; past the body bound nobody joins any more.
    pub fn push(&self, chunk: Bytes) {
        if !chunk.is_empty() && !self.flight.push(chunk) {
            self.flights.unlist(&self.key, &self.flight);
        }
    }

    /// Ends the answer; admit it to the store before, so that who comes next finds it there.
    pub fn finish(self, value: Option<Arc<V>>) {
        self.end(End::Finished(value));
    }

    /// Tells the followers to go upstream alone, for this answer must not be shared.
    pub fn refuse(self) {
        self.end(End::Lost(Lost::Unshared));
    }

    /// Lets nobody join any more; those who follow go on.
    pub fn no_more_followers(&self) {
        self.flight.close();
        self.flights.unlist(&self.key, &self.flight);
    }

    /// Calls that follow now.
    pub fn followers(&self) -> usize {
        self.flight.followers()
    }

    /// Waits until nobody follows: a leader whose own client has gone may then stop.
    pub async fn unfollowed(&self) {
        poll_fn(|cx| self.poll_unfollowed(cx)).await;
    }

    /// As `unfollowed`, for a poll loop; one task at a time may wait.
    pub fn poll_unfollowed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.flight.poll_unfollowed(cx)
    }

    // Off the list before the wakers: a follower that joins again must not find the flight it has just lost.
    fn end(&self, end: End<V>) {
        let wakers = self.flight.end(end);
        self.flights.unlist(&self.key, &self.flight);
        wake(wakers);
    }
}

impl<H, V> Drop for Leader<H, V> {
    fn drop(&mut self) {
        self.end(End::Lost(Lost::Leader));
    }
}

impl<H, V> std::fmt::Debug for Leader<H, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leader").field("key", &self.key).finish_non_exhaustive()
    }
}
