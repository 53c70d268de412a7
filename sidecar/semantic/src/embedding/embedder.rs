//! The handle that the proxy asks for vectors. It keeps one process alive behind the requests.
//!
//! No request ever waits for a start: while the process is not ready, the answer is "unavailable" at once. A process that
//! does not answer in time is killed and started anew.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::{MOST_BYTES, Vector};

mod keeper;

pub(super) use keeper::Patience;
use keeper::{Job, Keeper};

/// What an embedder is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program that calls `child::run`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The model folder.
    pub folder: PathBuf,
    /// Texts that may wait while another is embedded; at least 1.
    pub queue: usize,
    /// The cap of the process's data (heap and private mappings), in bytes.
    pub memory_bytes: u64,
}

/// How the process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody has asked yet.
    Idle,
    /// The process opens the model.
    Starting,
    /// It answers.
    Ready,
    /// It is over the deadline of the request it works for.
    Slow,
    /// It ended, or was killed, and is started again soon.
    Down,
    /// It cannot open the model, for the reason told; tried again every 30 s.
    Off(String),
}

/// Why there is no vector; the request goes on without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// The model cannot be opened.
    Off,
    /// Too many texts wait, or the process is over another request's deadline.
    Busy,
    /// The deadline passed.
    Late,
    /// The process is not running, still starting, or failed on this text.
    Down,
    /// The text is over 128 tokens or 4,096 bytes.
    TooLong,
}

/// A handle to the embedder's process. Dropping it ends the process.
#[derive(Debug)]
pub struct Embedder {
    jobs: mpsc::Sender<Job>,
    state: watch::Receiver<State>,
    restarts: Arc<AtomicU64>,
    /// Until the first text.
    keeper: Mutex<Option<Keeper>>,
}

impl Unavailable {
    /// The word of metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Busy => "busy",
            Self::Late => "late",
            Self::Down => "down",
            Self::TooLong => "too_long",
        }
    }
}

impl State {
    /// The word of the report.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Slow => "slow",
            Self::Down => "down",
            Self::Off(_) => "off",
        }
    }
}

impl Embedder {
    /// An embedder that starts its process with the first text.
    pub fn new(settings: Settings) -> Self {
        Self::with_patience(settings, Patience::default())
    }

    pub(super) fn with_patience(settings: Settings, patience: Patience) -> Self {
        let (jobs, queue) = mpsc::channel(settings.queue.max(1));
        let (told, state) = watch::channel(State::Idle);
        let restarts = Arc::default();
        let keeper = Keeper::new(settings, patience, queue, told, Arc::clone(&restarts));
        Self {
            jobs,
            state,
            restarts,
            keeper: Mutex::new(Some(keeper)),
        }
    }

    /// How the process is now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// How often the process was started again.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// The state as it changes.
    #[cfg(test)]
    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Starts the process unless it was started, and waits until it is ready; false when it is not so by the deadline.
    /// Needs a tokio runtime. For warming up; requests need not wait.
    pub async fn ready(&self, deadline: Instant) -> bool {
        self.start();
        let mut state = self.state.clone();
        let ready = state.wait_for(|state| *state == State::Ready);
        matches!(timeout_at(deadline, ready).await, Ok(Ok(_)))
    }

    /// The vector of a text, or why there is none by the deadline. Needs a tokio runtime.
    pub async fn embed(&self, text: &str, deadline: Instant) -> Result<Vector, Unavailable> {
        if text.len() > MOST_BYTES {
            return Err(Unavailable::TooLong);
        }
        self.start();
        self.may_ask()?;
        let (reply, answer) = oneshot::channel();
        let job = Job {
            text: text.to_owned(),
            deadline,
            reply,
        };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::Busy,
            mpsc::error::TrySendError::Closed(_) => Unavailable::Down,
        })?;
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Unavailable::Down),
            Err(_) => Err(Unavailable::Late),
        }
    }

    fn may_ask(&self) -> Result<(), Unavailable> {
        match *self.state.borrow() {
            State::Ready => Ok(()),
            State::Slow => Err(Unavailable::Busy),
            State::Idle | State::Starting | State::Down => Err(Unavailable::Down),
            State::Off(_) => Err(Unavailable::Off),
        }
    }

    fn start(&self) {
        if let Some(keeper) = self.keeper.lock().take() {
            tokio::spawn(keeper.run());
        }
    }
}
