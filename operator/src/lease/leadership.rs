//! What the leader's duties ask before each write; it says no by itself when the time is up.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::holder::Holder;

/// How often those who wait look for themselves.
const LOOK: Duration = Duration::from_secs(1);

/// Who leads, as this replica sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Another replica does, or nobody that is known.
    Following {
        /// The leader; `None` while none is known.
        leader: Option<Holder>,
    },
    /// This replica does.
    Leading,
}

/// The guard of all that only the leader does; clones share it.
#[derive(Debug, Clone)]
pub struct Leadership {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    own: Holder,
    until: Mutex<Option<Until>>,
    state: watch::Sender<State>,
}

/// Both clocks must agree: the steady one stands still while a machine sleeps, the other may be set back.
#[derive(Debug, Clone, Copy)]
struct Until {
    steady: Instant,
    wall: SystemTime,
}

impl Leadership {
    /// A replica that does not lead yet.
    pub(super) fn new(own: Holder) -> Self {
        let state = watch::Sender::new(State::Following { leader: None });
        let until = Mutex::new(None);
        Self {
            inner: Arc::new(Inner { own, until, state }),
        }
    }

    /// Whether this replica leads now; exact to the moment, whatever the election is doing.
    pub fn is_leader(&self) -> bool {
        let until = *self.inner.until.lock();
        until.is_some_and(|until| Instant::now() < until.steady && SystemTime::now() < until.wall)
    }

    /// This replica.
    pub fn own(&self) -> &Holder {
        &self.inner.own
    }

    /// Where the leader is reached, itself included; `None` while no leader is known.
    pub fn leader_address(&self) -> Option<IpAddr> {
        if self.is_leader() {
            return Some(self.inner.own.address);
        }
        match &*self.inner.state.borrow() {
            State::Following { leader } => leader.as_ref().map(|leader| leader.address),
            State::Leading => None,
        }
    }

    /// Changes of the state, the present one first.
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.inner.state.subscribe()
    }

    /// Ends when this replica leads.
    pub async fn gained(&self) {
        let mut state = self.subscribe();
        while !self.is_leader() {
            // A turn so short that nobody told it is seen within a second.
            let _ = timeout(LOOK, state.changed()).await;
        }
    }

    /// Ends when this replica does not lead, even if nobody says so.
    pub async fn lost(&self) {
        loop {
            let until = *self.inner.until.lock();
            let Some(until) = until.filter(|_| self.is_leader()) else {
                return;
            };
            // A machine that slept is seen within a second of its waking.
            let look = until.steady.min(Instant::now() + LOOK);
            tokio::time::sleep_until(look).await;
        }
    }

    /// Leads for so long, counted from the moment at which the write was sent.
    pub(super) fn hold(&self, sent: Instant, sent_wall: SystemTime, time: Duration) {
        *self.inner.until.lock() = Some(Until {
            steady: sent + time,
            wall: sent_wall + time,
        });
    }

    /// Leads no more.
    pub(super) fn drop_now(&self) {
        *self.inner.until.lock() = None;
    }

    /// Tells the state to those who wait for it; true when this replica has just begun or ceased to lead.
    pub(super) fn publish(&self, leader: Option<Holder>) -> bool {
        let now = if self.is_leader() {
            State::Leading
        } else {
            State::Following {
                leader: leader.filter(|leader| *leader != self.inner.own),
            }
        };
        let mut is_turn = false;
        self.inner.state.send_if_modified(|state| {
            is_turn = (*state == State::Leading) != (now == State::Leading);
            let is_news = *state != now;
            *state = now;
            is_news
        });
        is_turn
    }
}
