//! The parent's side of the embedder's process: started, asked, and killed when it is let go of.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::{Child, Command, Stdio};
use std::thread;

use tokio::net::UnixStream;

use super::Settings;
use super::wire::{self, Answer, Hello, Opened};

/// A running child; dropping it kills it.
pub(super) struct Process {
    child: Option<Child>,
    socket: UnixStream,
}

impl Process {
    /// Starts the program, with nothing of the proxy but one socket: no environment, no output, where a library could
    /// find a secret or leave a text. Blocks until the program has begun, a millisecond or so.
    pub(super) fn start(settings: &Settings) -> io::Result<(StdStream, Child)> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = Command::new(&settings.program)
            .args(&settings.arguments)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok((ours, child))
    }

    /// Takes what `start` gave into the runtime.
    pub(super) fn attach((socket, child): (StdStream, Child)) -> io::Result<Self> {
        Ok(Self {
            child: Some(child),
            socket: UnixStream::from_std(socket)?,
        })
    }

    /// Greets the child and waits until its model is open, or it says why not.
    pub(super) async fn open(&mut self, hello: &Hello) -> io::Result<Opened> {
        let hello = serde_json::to_vec(hello)?;
        wire::read_opened(&wire::ask(&mut self.socket, &hello).await?)
    }

    /// Asks for the vector of a text. A call that is dropped leaves the connection of no use.
    pub(super) async fn embed(&mut self, text: &str) -> io::Result<Answer> {
        wire::read_answer(&wire::ask(&mut self.socket, text.as_bytes()).await?)
    }

    /// Waits until the child closes its side, which it only does by ending. May be dropped and called again.
    pub(super) async fn ended(&self) {
        loop {
            let readable = self.socket.readable().await;
            match readable.and_then(|()| self.socket.try_read(&mut [0])) {
                // What was read before may still count as readable.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Closed, failed, or a word between two questions, which no child of ours says.
                Ok(_) | Err(_) => return,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // One that has ended already cannot be killed, only be waited for.
        let _ = child.kill();
        // On a thread of its own: it takes the kernel a moment to take the memory back, and no task should wait for it.
        let reaper = thread::Builder::new().name("embedder-reaper".to_owned());
        if let Err(error) = reaper.spawn(move || child.wait()) {
            tracing::warn!(%error, "an ended embedder stays in the process table");
        }
    }
}
