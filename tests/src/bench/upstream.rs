//! A provider in Anthropic's shape that answers from memory: one blocking thread per connection, no bookkeeping but counters.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::answers;

/// The running upstream; it ends with the process.
pub(super) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    calls: AtomicU64,
    marked: AtomicU64,
    think_micros: AtomicU64,
}

impl Upstream {
    /// Listens on a free loopback port.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("bind the upstream")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("upstream".into())
            .spawn(move || accept(&listener, &of_thread))?;
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls answered since the start of the run.
    pub(super) fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Calls whose body held at least one `cache_control`.
    pub(super) fn marked(&self) -> u64 {
        self.shared.marked.load(Ordering::Relaxed)
    }

    /// How long each later answer waits before its first byte; zero at the start.
    pub(super) fn think(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.shared.think_micros.store(micros, Ordering::Relaxed);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        let shared = Arc::clone(shared);
        // A connection that breaks ends its own thread only: the load generator sees the failure and reports it.
        let spawned = thread::Builder::new()
            .name("upstream-connection".into())
            .spawn(move || serve(stream, &shared));
        if spawned.is_err() {
            return;
        }
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 20];
    let mut filled = 0;
    while let Some((body_start, end)) = read_request(&mut stream, &mut buffer, &mut filled)? {
        let body = &buffer[body_start..end];
        shared.calls.fetch_add(1, Ordering::Relaxed);
        if memchr::memmem::find(body, b"\"cache_control\"").is_some() {
            shared.marked.fetch_add(1, Ordering::Relaxed);
        }
        let think = shared.think_micros.load(Ordering::Relaxed);
        if think > 0 {
            thread::sleep(Duration::from_micros(think));
        }
        for part in answers::for_body(body) {
            stream.write_all(&part.bytes)?;
            if !part.pause.is_zero() {
                thread::sleep(part.pause);
            }
        }
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
    Ok(())
}

/// Reads until `buffer` holds one whole request; gives where its body starts and ends, or nothing once the peer has closed.
fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, filled: &mut usize) -> Result<Option<(usize, usize)>> {
    loop {
        if let Some((body_start, end)) = request_bounds(&buffer[..*filled])? {
            if *filled >= end {
                return Ok(Some((body_start, end)));
            }
            if buffer.len() < end {
                buffer.resize(end, 0);
            }
        }
        let read = stream.read(&mut buffer[*filled..])?;
        if read == 0 {
            return Ok(None);
        }
        *filled += read;
    }
}

fn request_bounds(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(body_start) = request.parse(bytes)? else {
        return Ok(None);
    };
    let length = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    if let Some(length) = length {
        let length: usize = std::str::from_utf8(length.value)?.trim().parse()?;
        return Ok(Some((body_start, body_start + length)));
    }
    // The proxy may send a body it has streamed in chunks; the end of the last chunk ends the request.
    let chunked = request
        .headers
        .iter()
        .any(|header| header.name.eq_ignore_ascii_case("transfer-encoding"));
    if !chunked {
        return Ok(Some((body_start, body_start)));
    }
    Ok(memchr::memmem::find(&bytes[body_start..], b"\r\n0\r\n\r\n").map(|at| (body_start, body_start + at + 7)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::answers::{FEW_FRAMES, FRAMES, Request};
    use crate::bench::client::Connection;

    #[test]
    fn plain_calls_on_one_connection_are_answered_and_counted() {
        let upstream = Upstream::start().unwrap();
        let mut connection = Connection::open(upstream.address()).unwrap();
        let mut ask = Request::plain();
        for nonce in 0..3 {
            let timing = connection.call(ask.numbered(nonce)).unwrap();
            assert!(!timing.hit && timing.first_byte <= timing.total);
        }
        assert_eq!((upstream.calls(), upstream.marked()), (3, 0));
    }

    #[test]
    fn streams_are_answered_in_every_shape() {
        let upstream = Upstream::start().unwrap();
        let mut connection = Connection::open(upstream.address()).unwrap();
        for (frames, paced) in [(FRAMES, false), (FEW_FRAMES, false), (FEW_FRAMES, true)] {
            connection.call(Request::stream(frames, paced).numbered(7)).unwrap();
        }
        assert_eq!(upstream.calls(), 3);
    }

    #[test]
    fn a_body_larger_than_the_buffer_is_read_whole_and_its_marks_are_counted() {
        let upstream = Upstream::start().unwrap();
        let mut connection = Connection::open(upstream.address()).unwrap();
        let body = format!("{{\"cache_control\":1,\"text\":\"{}\"}}", "x".repeat(2 << 20));
        let head = format!("POST /v1/messages HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
        connection.call([head, body].concat().as_bytes()).unwrap();
        assert_eq!(upstream.marked(), 1);
    }

    #[test]
    fn a_chunked_request_ends_at_its_last_chunk() {
        let request = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        assert_eq!(request_bounds(request).unwrap(), Some((47, request.len())));
        assert_eq!(request_bounds(&request[..50]).unwrap(), None);
    }
}
