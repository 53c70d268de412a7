//! Vectors of texts, from the model in a process of its own, as the sidecar runs it.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use llmcache_sidecar::embedder::COMMAND;
use llmcache_sidecar::semantic::embedding::{Embedder, Settings, State, Unavailable, Vector};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::failure::Failure;

/// Starts of the process for one text before it is given up.
const TRIES: usize = 3;
/// How long the process may take to start.
const START: Duration = Duration::from_secs(30);
/// Time between two looks whether the model is refused.
const LOOK: Duration = Duration::from_millis(200);
/// How long one text may take; the embedder itself gives up earlier.
const PATIENCE: Duration = Duration::from_secs(30);
/// The cap of the process's data.
const MEMORY: u64 = 512 << 20;

/// The running model.
pub(crate) struct Vectors {
    // Let go of before the runtime that keeps its process.
    embedder: Embedder,
    runtime: Runtime,
}

impl Vectors {
    /// Starts the process and waits for the model; fails when it cannot be opened.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::usage(format!(
                "this program is not found again ({error}); start it by its path"
            ))
        })?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::usage(format!("no event loop can be had ({error})")))?;
        let embedder = Embedder::new(Settings {
            program,
            arguments: vec![COMMAND.into()],
            folder: folder.to_owned(),
            queue: 1,
            memory_bytes: MEMORY,
        });
        let vectors = Self { embedder, runtime };
        vectors.ready()?;
        Ok(vectors)
    }

    /// The vector of a text; none when it is over 128 tokens.
    pub(crate) fn of(&self, text: &str) -> Result<Option<Vector>, Failure> {
        let mut last = Unavailable::Down;
        for _ in 0..TRIES {
            let answer = self.embedder.embed(text, Instant::now() + PATIENCE);
            match self.runtime.block_on(answer) {
                Ok(vector) => return Ok(Some(vector)),
                Err(Unavailable::TooLong) => return Ok(None),
                Err(reason) => last = reason,
            }
            self.ready()?;
        }
        let line = format!(
            "--model: no vector of a text in {TRIES} tries ({}); run it again",
            last.word()
        );
        Err(Failure::Problems(vec![line]))
    }

    fn ready(&self) -> Result<(), Failure> {
        let until = Instant::now() + START;
        while Instant::now() < until {
            if self.runtime.block_on(self.embedder.ready(Instant::now() + LOOK)) {
                return Ok(());
            }
            if let State::Off(reason) = self.embedder.state() {
                return Err(Failure::usage(format!("--model: {reason}")));
            }
        }
        let state = self.embedder.state();
        let line = format!(
            "--model: the embedder does not start ({}); is there memory for it?",
            state.word()
        );
        Err(Failure::usage(line))
    }
}

/// How far a long run is: a line on stderr, if a person sees it.
pub(crate) struct Progress {
    of: usize,
    done: usize,
    is_shown: bool,
}

impl Progress {
    /// At the start of `of` steps.
    pub(crate) fn new(of: usize) -> Self {
        Self {
            of,
            done: 0,
            is_shown: io::stderr().is_terminal(),
        }
    }

    /// One step further.
    pub(crate) fn step(&mut self) {
        self.done += 1;
        if self.is_shown && (self.done.is_multiple_of(100) || self.done == self.of) {
            let end = if self.done == self.of { "\n" } else { "" };
            // Whoever closed stderr wants no progress.
            let _ = write!(io::stderr().lock(), "\r{} of {} embedded{end}", self.done, self.of);
        }
    }
}
