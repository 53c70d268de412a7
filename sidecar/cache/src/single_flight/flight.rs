//! One call under way: its head, the chunks that followers still need, and who waits for what.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use super::Lost;

mod seat;

pub(super) use seat::Seat;

/// How many times the body bound may lie between an answer's end and its slowest follower once nobody joins any more.
const LAG: usize = 4;

/// The share of the body bound that each answer keeps when all flights together hold too much: a live reader needs some.
const FULL_SHARE: usize = 16;

pub(super) struct Flight<H, V> {
    body_bytes: usize,
    bodies: Arc<Bodies>,
    state: Mutex<State<H, V>>,
}

/// Bytes that all flights keep for followers.
#[derive(Debug)]
pub(super) struct Bodies {
    limit: usize,
    held: AtomicUsize,
}

/// How the leader's part ended.
pub(super) enum End<V> {
    Finished(Option<Arc<V>>),
    Lost(Lost),
}

struct State<H, V> {
    head: Option<Arc<H>>,
    /// Chunks from number `first` on; those before no follower needs.
    chunks: VecDeque<Bytes>,
    first: usize,
    /// Bytes in `chunks`, and in all chunks ever pushed.
    held: usize,
    pushed: usize,
    is_joinable: bool,
    end: Option<End<V>>,
    seats: HashMap<u64, Place>,
    next_seat: u64,
    /// The leader's, while it waits for the last follower to leave.
    unfollowed: Option<Waker>,
}

struct Place {
    next: usize,
    waker: Option<Waker>,
}

impl Bodies {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            held: AtomicUsize::new(0),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn is_full(&self) -> bool {
        self.held() > self.limit
    }
}

impl<H, V> Flight<H, V> {
    pub(super) fn new(body_bytes: usize, bodies: Arc<Bodies>, is_joinable: bool) -> Self {
        let state = State {
            head: None,
            chunks: VecDeque::new(),
            first: 0,
            held: 0,
            pushed: 0,
            is_joinable,
            end: None,
            seats: HashMap::new(),
            next_seat: 0,
            unfollowed: None,
        };
        Self {
            body_bytes,
            bodies,
            state: Mutex::new(state),
        }
    }

    /// A place from the answer's first byte on; `None` when nobody joins any more.
    pub(super) fn sit(self: &Arc<Self>) -> Option<Seat<H, V>> {
        let mut state = self.state.lock();
        if !state.is_joinable {
            return None;
        }
        let id = state.next_seat;
        state.next_seat += 1;
        state.seats.insert(id, Place { next: 0, waker: None });
        Some(Seat::new(self.clone(), id))
    }

    pub(super) fn followers(&self) -> usize {
        self.state.lock().seats.len()
    }

    pub(super) fn begin(&self, head: H) {
        let mut state = self.state.lock();
        if state.head.is_none() {
            state.head = Some(Arc::new(head));
        }
        let wakers = state.wakers();
        drop(state);
        wake(wakers);
    }

    /// Keeps a chunk for followers; whether others may still join.
    pub(super) fn push(&self, chunk: Bytes) -> bool {
        let mut state = self.state.lock();
        state.pushed += chunk.len();
        state.held += chunk.len();
        self.bodies.held.fetch_add(chunk.len(), Ordering::Relaxed);
        state.chunks.push_back(chunk);
        if state.pushed > self.body_bytes || self.bodies.is_full() {
            state.is_joinable = false;
        }
        let mut wakers = self.trim(&mut state);
        wakers.append(&mut state.wakers());
        let is_joinable = state.is_joinable;
        drop(state);
        wake(wakers);
        is_joinable
    }

    /// Lets nobody join any more; those who follow go on.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_joinable = false;
        let wakers = self.trim(&mut state);
        drop(state);
        wake(wakers);
    }

    /// Ends the leader's part; the caller takes the flight off the list and then wakes.
    pub(super) fn end(&self, end: End<V>) -> Vec<Waker> {
        let mut state = self.state.lock();
        state.is_joinable = false;
        state.end.get_or_insert(end);
        let mut wakers = self.trim(&mut state);
        wakers.append(&mut state.wakers());
        wakers
    }

    pub(super) fn poll_unfollowed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.seats.is_empty() {
            return Poll::Ready(());
        }
        state.unfollowed = Some(cx.waker().clone());
        Poll::Pending
    }

    // While others may join, they need every chunk. After that, only what the slowest follower has not read is kept,
    // and a follower that holds back too much is cut off. Returns whom to wake once the lock is gone.
    fn trim(&self, state: &mut State<H, V>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        if !state.is_joinable {
            state.drop_read(&self.bodies);
            while self.is_too_much(state.held) {
                let Some(slowest) = state.seats.values().map(|place| place.next).min() else {
                    break;
                };
                state.seats.retain(|_, place| {
                    let is_kept = place.next > slowest;
                    wakers.extend(place.waker.take_if(|_| !is_kept));
                    is_kept
                });
                state.drop_read(&self.bodies);
            }
        }
        if state.seats.is_empty() {
            wakers.extend(state.unfollowed.take());
        }
        wakers
    }

    fn is_too_much(&self, held: usize) -> bool {
        let bound = if self.bodies.is_full() {
            self.body_bytes / FULL_SHARE
        } else {
            self.body_bytes.saturating_mul(LAG)
        };
        held > bound
    }
}

impl<H, V> Drop for Flight<H, V> {
    fn drop(&mut self) {
        self.bodies.held.fetch_sub(self.state.get_mut().held, Ordering::Relaxed);
    }
}

impl<H, V> State<H, V> {
    fn drop_read(&mut self, bodies: &Bodies) {
        let needed = self.seats.values().map(|place| place.next).min().unwrap_or(usize::MAX);
        while self.first < needed
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.first += 1;
            self.held -= chunk.len();
            bodies.held.fetch_sub(chunk.len(), Ordering::Relaxed);
        }
    }

    fn wakers(&mut self) -> Vec<Waker> {
        self.seats.values_mut().filter_map(|place| place.waker.take()).collect()
    }
}

pub(super) fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
