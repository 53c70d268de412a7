//! The embedder's process: it opens the model, then answers one text after the other until its parent is gone.
//!
//! Its standard input is one end of a socket pair, so that nobody else can ask it, no file system is needed, and the end
//! of the parent, however it comes, is the end of the stream.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::wire::{self, Hello};
use super::{Model, ModelError, Space, TextError, Vector};

/// What turns texts into vectors: the model, or a stand-in of the tests.
pub(super) trait Embed {
    /// The space of the vectors.
    fn space(&self) -> &Space;
    /// The vector of a text.
    fn embed(&mut self, text: &str) -> Result<Vector, TextError>;
}

impl Embed for Model {
    fn space(&self) -> &Space {
        self.space()
    }

    fn embed(&mut self, text: &str) -> Result<Vector, TextError> {
        self.embed(text)
    }
}

/// Serves the parent on standard input until that closes it; fails when standard input is no socket of a parent, or when
/// what comes from there is no frame. A model that does not open is told to the parent and is no failure here.
pub fn run() -> io::Result<()> {
    serve(inherited()?, Model::open)
}

/// The parent's socket; an error when this process was started by hand.
pub(super) fn inherited() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    match socket.local_addr() {
        Ok(_) => Ok(socket),
        Err(_) => Err(io::Error::other(
            "the sidecar starts the embedder; by hand it does nothing",
        )),
    }
}

/// The whole life of the process.
pub(super) fn serve<E: Embed>(mut socket: UnixStream, open: impl Fn(&Path) -> Result<E, ModelError>) -> io::Result<()> {
    let Some(hello) = wire::receive(&mut socket)? else {
        return Ok(());
    };
    let hello: Hello = serde_json::from_slice(&hello)?;
    bound(hello.memory_bytes)?;
    let mut model = match open(&hello.folder) {
        Ok(model) => model,
        Err(error) => return wire::send(&mut socket, &wire::opened_bytes(&Err(error.to_string()))),
    };
    let space = model.space().to_string();
    wire::send(&mut socket, &wire::opened_bytes(&Ok(space)))?;
    while let Some(text) = wire::receive(&mut socket)? {
        let answer = match str::from_utf8(&text) {
            Ok(text) => model.embed(text),
            Err(error) => Err(TextError::Failed(error.to_string())),
        };
        wire::send(&mut socket, &wire::answer_bytes(&answer))?;
    }
    Ok(())
}

/// Caps what this process may allocate, and offers it to the kernel before the proxy when a machine runs out.
fn bound(memory_bytes: u64) -> io::Result<()> {
    // Where the kernel does not let us, the cap below still holds.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let maximum = getrlimit(Resource::Data).maximum;
    let cap = maximum.map_or(memory_bytes, |maximum| maximum.min(memory_bytes));
    setrlimit(
        Resource::Data,
        Rlimit {
            current: Some(cap),
            maximum: Some(cap),
        },
    )?;
    Ok(())
}
