//! The newest requests as they came, byte for byte.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, Method};
use parking_lot::Mutex;

/// Requests kept.
const ENTRIES: usize = 20_000;

/// Body bytes kept.
const BYTES: usize = 64 << 20;

/// One request as received.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Its headers, order and repetition kept per name.
    pub headers: HeaderMap,
    /// The exact body, transfer coding removed.
    pub body: Bytes,
}

impl Received {
    /// The value of a header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A ring bounded by 20 000 requests and 64 MiB of bodies.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<(VecDeque<Received>, usize)>);

impl Log {
    pub(crate) fn add(&self, received: Received) {
        let mut log = self.0.lock();
        let (entries, bytes) = &mut *log;
        *bytes += received.body.len();
        entries.push_back(received);
        while entries.len() > ENTRIES || (*bytes > BYTES && entries.len() > 1) {
            let oldest = entries.pop_front();
            *bytes -= oldest.map_or(0, |oldest| oldest.body.len());
        }
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.0.lock().0.iter().cloned().collect()
    }

    pub(crate) fn reset(&self) {
        *self.0.lock() = (VecDeque::new(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_bounded_by_bytes_and_keeps_the_newest() {
        let log = Log::default();
        for name in ["/a", "/b", "/c"] {
            let body = Bytes::from(vec![0; BYTES / 2]);
            log.add(Received {
                method: Method::POST,
                target: name.into(),
                headers: HeaderMap::new(),
                body,
            });
        }
        let kept: Vec<String> = log.all().into_iter().map(|received| received.target).collect();
        assert_eq!(kept, ["/b", "/c"]);
    }
}
