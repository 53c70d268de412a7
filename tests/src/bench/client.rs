//! One blocking keep-alive HTTP/1.1 connection that times each call: no pool, no runtime, no allocation per call.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A call that takes longer than this ends the run: something hangs.
const CALL_LIMIT: Duration = Duration::from_secs(30);
const READ_SIZE: usize = 64 * 1024;

/// When the parts of one answer arrived, counted from before the request was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// The first byte of the answer's body.
    pub(super) first_byte: Duration,
    /// The last byte of the answer.
    pub(super) total: Duration,
    /// Whether `Cache-Status` said hit.
    pub(super) hit: bool,
}

/// One connection to one server.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects with Nagle's algorithm off, as HTTP clients do.
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(CALL_LIMIT))?;
        Ok(Self {
            stream,
            buffer: vec![0; 4 * READ_SIZE],
            filled: 0,
        })
    }

    /// Sends `request` and reads its whole answer, which must have status 200.
    pub(super) fn call(&mut self, request: &[u8]) -> Result<Timing> {
        let (status, timing) = self.exchange(request)?;
        ensure!(status == 200, "status {status} instead of 200: {}", self.heard());
        Ok(timing)
    }

    /// Sends `request` and gives its whole answer as it came, head included.
    pub(super) fn fetch(&mut self, request: &[u8]) -> Result<String> {
        self.call(request)?;
        Ok(self.heard())
    }

    /// Whether a cache answers `request`, which says `only-if-cached`.
    pub(super) fn finds(&mut self, request: &[u8]) -> Result<bool> {
        let (status, timing) = self.exchange(request)?;
        ensure!(matches!(status, 200 | 504), "status {status}: {}", self.heard());
        Ok(timing.hit)
    }

    fn exchange(&mut self, request: &[u8]) -> Result<(u16, Timing)> {
        let begun = Instant::now();
        self.stream.write_all(request)?;
        self.filled = 0;
        let head = self.read_head()?;
        while self.filled == head.length {
            self.fill()?;
        }
        let first_byte = begun.elapsed();
        match head.body {
            Body::Sized(size) => self.read_to(head.length + size)?,
            Body::Chunked => self.read_chunks(head.length)?,
        }
        let timing = Timing {
            first_byte,
            total: begun.elapsed(),
            hit: head.hit,
        };
        Ok((head.status, timing))
    }

    /// The bytes of the last answer.
    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.filled]).into_owned()
    }

    fn read_head(&mut self) -> Result<Head> {
        loop {
            self.fill()?;
            if let Some(head) = Head::parse(&self.buffer[..self.filled])? {
                return Ok(head);
            }
        }
    }

    fn read_to(&mut self, end: usize) -> Result<()> {
        while self.filled < end {
            self.fill()?;
        }
        ensure!(self.filled == end, "bytes after the end of the answer");
        Ok(())
    }

    fn read_chunks(&mut self, mut at: usize) -> Result<()> {
        loop {
            let (size, digits_end) = loop {
                match httparse::parse_chunk_size(&self.buffer[at..self.filled]) {
                    Ok(httparse::Status::Complete((used, size))) => break (usize::try_from(size)?, at + used),
                    Ok(httparse::Status::Partial) => self.fill()?,
                    Err(_) => bail!("chunk size is not hexadecimal"),
                }
            };
            at = digits_end + size + 2;
            while self.filled < at {
                self.fill()?;
            }
            if size == 0 {
                return self.read_to(at);
            }
        }
    }

    fn fill(&mut self) -> Result<()> {
        if self.buffer.len() - self.filled < READ_SIZE {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.filled..])?;
        ensure!(read > 0, "connection closed in the middle of an answer");
        self.filled += read;
        Ok(())
    }
}

struct Head {
    status: u16,
    length: usize,
    body: Body,
    hit: bool,
}

enum Body {
    Sized(usize),
    Chunked,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = response.parse(bytes)? else {
            return Ok(None);
        };
        let mut head = Self {
            status: response.code.unwrap_or_default(),
            length,
            body: Body::Sized(0),
            hit: false,
        };
        for header in response.headers {
            if header.name.eq_ignore_ascii_case("content-length") {
                head.body = Body::Sized(std::str::from_utf8(header.value)?.trim().parse()?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                head.body = Body::Chunked;
            } else if header.name.eq_ignore_ascii_case("cache-status") {
                head.hit = memchr::memmem::find(header.value, b"; hit").is_some();
            }
        }
        Ok(Some(head))
    }
}
