//! A follower's place in a flight: what it has read, and what it waits for.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::{End, Flight, State, wake};
use crate::single_flight::Lost;

/// A follower's place; given up when dropped.
pub(in crate::single_flight) struct Seat<H, V> {
    flight: Arc<Flight<H, V>>,
    id: u64,
}

impl<H, V> Seat<H, V> {
    pub(super) fn new(flight: Arc<Flight<H, V>>, id: u64) -> Self {
        Self { flight, id }
    }

    pub(in crate::single_flight) fn poll_head(&self, cx: &Context<'_>) -> Poll<Result<Arc<H>, Lost>> {
        self.poll(cx, |state, _| match (&state.end, &state.head) {
            (Some(End::Lost(lost)), _) => Some(Err(*lost)),
            (_, Some(head)) => Some(Ok(head.clone())),
            (Some(End::Finished(_)), None) => Some(Err(Lost::Leader)),
            (None, None) => None,
        })
        .map(|head| head.unwrap_or(Err(Lost::Behind)))
    }

    pub(in crate::single_flight) fn poll_chunk(&self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, Lost>>> {
        let chunk = self.poll(cx, |state, next| {
            match (state.chunks.get(next - state.first), &state.end) {
                (Some(chunk), _) => Some(Some(Ok(chunk.clone()))),
                (None, Some(End::Finished(_))) => Some(None),
                (None, Some(End::Lost(lost))) => Some(Some(Err(*lost))),
                (None, None) => None,
            }
        });
        if let Poll::Ready(Some(Some(Ok(_)))) = chunk {
            self.move_to(|next| next + 1);
        }
        chunk.map(|chunk| chunk.unwrap_or(Some(Err(Lost::Behind))))
    }

    pub(in crate::single_flight) fn poll_value(&self, cx: &Context<'_>) -> Poll<Result<Option<Arc<V>>, Lost>> {
        self.poll(cx, |state, _| match &state.end {
            Some(End::Finished(value)) => Some(Ok(value.clone())),
            Some(End::Lost(lost)) => Some(Err(*lost)),
            None => None,
        })
        .map(|value| value.unwrap_or(Err(Lost::Behind)))
    }

    /// Gives up the chunks, so that they need not be kept for this follower.
    pub(in crate::single_flight) fn skip_chunks(&self) {
        self.move_to(|_| usize::MAX);
    }

    fn move_to(&self, step: impl FnOnce(usize) -> usize) {
        let mut state = self.flight.state.lock();
        if let Some(place) = state.seats.get_mut(&self.id) {
            place.next = step(place.next);
        }
        let wakers = self.flight.trim(&mut state);
        drop(state);
        wake(wakers);
    }

    // `None` when the seat was taken away for being too far behind.
    fn poll<T>(&self, cx: &Context<'_>, ask: impl FnOnce(&State<H, V>, usize) -> Option<T>) -> Poll<Option<T>> {
        let mut state = self.flight.state.lock();
        let Some(next) = state.seats.get(&self.id).map(|place| place.next) else {
            return Poll::Ready(None);
        };
        if let Some(answer) = ask(&state, next) {
            return Poll::Ready(Some(answer));
        }
        if let Some(place) = state.seats.get_mut(&self.id) {
            place.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl<H, V> Drop for Seat<H, V> {
    fn drop(&mut self) {
        let mut state = self.flight.state.lock();
        state.seats.remove(&self.id);
        let wakers = self.flight.trim(&mut state);
        drop(state);
        wake(wakers);
    }
}
