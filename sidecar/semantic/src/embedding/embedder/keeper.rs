//! The task that keeps the process: one life after the other, with a growing pause between.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::super::process::Process;
use super::super::wire::{Answer, Hello};
use super::super::{Space, TextError, Vector};
use super::{Settings, State, Unavailable};

/// A text on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) text: String,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<Vector, Unavailable>>,
}

/// How long the process may take, and is left alone.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Patience {
    /// For opening the model; default 20 s, a hundred times what it takes on a free core.
    pub(in super::super) start: Duration,
    /// For one text; default 2 s.
    pub(in super::super) answer: Duration,
    /// Before the second start; default 250 ms, doubled each time up to `longest`.
    pub(in super::super) pause: Duration,
    /// Between starts at most, and between tries to open a model that is wrong; default 30 s. A process that lived that
    /// long was well: the next pause is a short one.
    pub(in super::super) longest: Duration,
}

/// The task.
#[derive(Debug)]
pub(super) struct Keeper {
    settings: Settings,
    patience: Patience,
    queue: mpsc::Receiver<Job>,
    state: watch::Sender<State>,
    restarts: Arc<AtomicU64>,
}

/// How a life ended.
enum End {
    /// The handle is gone.
    Dropped,
    /// The model cannot be opened.
    Refused(String),
    /// The process ended, hung or spoke nonsense.
    Lost(io::Error),
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(20),
            answer: Duration::from_secs(2),
            pause: Duration::from_millis(250),
            longest: Duration::from_secs(30),
        }
    }
}

impl Keeper {
    pub(super) fn new(
        settings: Settings,
        patience: Patience,
        queue: mpsc::Receiver<Job>,
        state: watch::Sender<State>,
        restarts: Arc<AtomicU64>,
    ) -> Self {
        Self {
            settings,
            patience,
            queue,
            state,
            restarts,
        }
    }

    /// Until the handle is gone.
    pub(super) async fn run(mut self) {
        let mut pause = self.patience.pause;
        loop {
            let began = Instant::now();
            let state = match self.life().await {
                End::Dropped => return,
                End::Refused(reason) => {
                    tracing::warn!(reason, "the semantic cache is off: its embedder cannot open the model");
                    pause = self.patience.longest;
                    State::Off(reason)
                }
                End::Lost(error) => {
                    tracing::warn!(%error, "the embedder ended and is started again");
                    if began.elapsed() >= self.patience.longest {
                        pause = self.patience.pause;
                    }
                    State::Down
                }
            };
            self.state.send_replace(state);
            if !self.rest(Instant::now() + pause).await {
                return;
            }
            pause = (pause * 2).min(self.patience.longest);
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One process, from its start to its end. It is dead when this returns.
    async fn life(&mut self) -> End {
        // A model that is off stays so in the report until it is known to be better.
        self.state.send_if_modified(|state| {
            let is_off = matches!(state, State::Off(_));
            if !is_off {
                *state = State::Starting;
            }
            !is_off
        });
        let mut process = match self.open().await {
            Ok(Ok(process)) => process,
            Ok(Err(reason)) => return End::Refused(reason),
            Err(error) => return End::Lost(error),
        };
        self.state.send_replace(State::Ready);
        loop {
            let job = tokio::select! {
                job = self.queue.recv() => job,
                () = process.ended() => return End::Lost(io::ErrorKind::UnexpectedEof.into()),
            };
            let Some(job) = job else { return End::Dropped };
            // Nobody waits for it any more.
            if job.reply.is_closed() {
                continue;
            }
            match self.answer(&mut process, &job).await {
                // Whoever asked may be gone; then nobody is told.
                Ok(answer) => drop(job.reply.send(answer.map_err(unavailable))),
                Err(error) => return End::Lost(error),
            }
        }
    }

    async fn open(&self) -> io::Result<Result<Process, String>> {
        let settings = self.settings.clone();
        let hello = Hello {
            folder: settings.folder.clone(),
            memory_bytes: settings.memory_bytes,
        };
        let started = tokio::task::spawn_blocking(move || Process::start(&settings)).await;
        let mut process = Process::attach(started.map_err(io::Error::other)??)?;
        let opened = timeout(self.patience.start, process.open(&hello)).await?;
        Ok(match opened? {
            Ok(space) if space == Space::known().as_str() => Ok(process),
            Ok(space) => Err(format!(
                "its vectors are of the space {space}, ours of {}",
                Space::known()
            )),
            Err(reason) => Err(reason),
        })
    }

    /// Waits past the deadline of the request: that one has gone on, and what is half said cannot be unsaid.
    async fn answer(&self, process: &mut Process, job: &Job) -> io::Result<Answer> {
        let give_up = Instant::now() + self.patience.answer;
        let mut call = std::pin::pin!(timeout_at(give_up, process.embed(&job.text)));
        let Ok(answer) = timeout_at(job.deadline, &mut call).await else {
            self.state.send_replace(State::Slow);
            let answer = call.await??;
            self.state.send_replace(State::Ready);
            return Ok(answer);
        };
        answer?
    }

    /// Waits until it is time to start again, and answers what still comes; false when the handle is gone.
    async fn rest(&mut self, until: Instant) -> bool {
        loop {
            tokio::select! {
                job = self.queue.recv() => match job {
                    // Dropping a job tells whoever asked that the embedder is down.
                    Some(job) => drop(job),
                    None => return false,
                },
                () = sleep_until(until) => return true,
            }
        }
    }
}

fn unavailable(error: TextError) -> Unavailable {
    match error {
        TextError::TooLong => Unavailable::TooLong,
        TextError::Failed(reason) => {
            tracing::warn!(reason, "the embedder failed on a text");
            Unavailable::Down
        }
    }
}
