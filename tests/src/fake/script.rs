//! Scripted trouble: each fault waits for one model call that it matches, then happens to it once.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Faults that may wait at once; more are dropped.
const WAITING: usize = 4_096;

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The connection ends after so many stream events; a plain answer ends half-way (0: before its first byte).
    CutAfter(usize),
    /// Silence after so many stream events (plain: before the head) until `Fake::release`.
    StallAfter(usize),
    /// The connection is reset before any byte of the answer.
    Reset,
    /// Sixteen bytes of the head, then silence for so many milliseconds, then the rest.
    SlowHeadMs(u64),
    /// Bytes that are no HTTP instead of an answer.
    GarbageHead,
    /// Bytes that are no event after so many events, then the end; a plain answer is garbage whole.
    GarbageAfter(usize),
    /// An error status with the provider's own envelope.
    Status {
        /// 400, 401, 403, 404, 413, 429, 500, 529, …
        status: u16,
        /// Anthropic's `details.error_code`, OpenAI's `code`; absent = the usual one.
        #[serde(default)]
        code: Option<String>,
        /// Seconds of a `retry-after` header; absent = none.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// An error event after so many events of a 200 stream (plain: an overload status).
    ErrorEventAfter(usize),
    /// The answer stops for the token limit after so many tokens.
    Truncated(u64),
    /// Refused before any output.
    Refusal,
    /// Refused after so many tokens.
    RefusalAfter(u64),
    /// An answer without content.
    Empty,
    /// Embeddings that are not what was asked for.
    Vectors(Skew),
    /// Another think time for this call, in milliseconds.
    ThinkMs(u64),
    /// Another token pace for this call, in microseconds.
    TokenUs(u64),
}

/// How the vectors of an embeddings answer go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skew {
    /// The last first; each has its own index, so that nothing is wrong.
    Reversed,
    /// The last is missing.
    Missing,
    /// The last stands there twice, the first not at all.
    Doubled,
    /// One more than asked, under the next index.
    Extra,
    /// The last has an index beyond the items.
    Beyond,
    /// The last has one number too few.
    Short,
    /// Each has half of its numbers.
    Half,
    /// Another model's vectors, under its name.
    OtherModel,
    /// The usage is missing.
    NoUsage,
}

/// Trouble, and the calls it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What happens.
    pub trouble: Trouble,
    /// Only to calls of this model; absent = any.
    #[serde(default)]
    pub model: Option<String>,
    /// Only to calls of a path that ends so; absent = any.
    #[serde(default)]
    pub path: Option<String>,
}

impl Fault {
    /// Trouble for the next model call, whichever it is.
    pub const fn new(trouble: Trouble) -> Self {
        Self {
            trouble,
            model: None,
            path: None,
        }
    }

    /// An error status for the next model call.
    pub const fn status(status: u16) -> Self {
        Self::new(Trouble::Status {
            status,
            code: None,
            retry_after: None,
        })
    }

    /// Waits for a call of this model.
    #[must_use]
    pub fn on_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Waits for a call whose path ends so.
    #[must_use]
    pub fn on_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    fn meets(&self, model: &str, path: &str) -> bool {
        self.model.as_ref().is_none_or(|wanted| wanted == model)
            && self.path.as_ref().is_none_or(|wanted| path.ends_with(wanted.as_str()))
    }
}

/// The queue of faults; the first that meets a call is taken.
#[derive(Debug, Default)]
pub(crate) struct Script(Mutex<VecDeque<Fault>>);

impl Script {
    pub(crate) fn add(&self, fault: Fault) {
        let mut waiting = self.0.lock();
        if waiting.len() < WAITING {
            waiting.push_back(fault);
        }
    }

    pub(crate) fn take(&self, model: &str, path: &str) -> Option<Trouble> {
        let mut waiting = self.0.lock();
        let at = waiting.iter().position(|fault| fault.meets(model, path))?;
        waiting.remove(at).map(|fault| fault.trouble)
    }

    pub(crate) fn reset(&self) {
        self.0.lock().clear();
    }
}

/// How fast a model answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Before the first byte.
    pub(crate) think: Duration,
    /// For each output token.
    pub(crate) token: Duration,
}

impl Pace {
    pub(crate) fn under(mut self, trouble: Option<&Trouble>) -> Self {
        match trouble {
            Some(Trouble::ThinkMs(think)) => self.think = Duration::from_millis(*think),
            Some(Trouble::TokenUs(token)) => self.token = Duration::from_micros(*token),
            _ => {}
        }
        self
    }

    pub(crate) fn of_tokens(&self, tokens: u64) -> Duration {
        self.token.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_waits_for_the_call_it_names_and_happens_once() {
        let script = Script::default();
        script.add(Fault::status(529).on_model("m").on_path("/messages"));
        script.add(Fault::new(Trouble::Empty));
        assert_eq!(script.take("other", "/v1/messages"), Some(Trouble::Empty));
        assert_eq!(script.take("m", "/v1/responses"), None);
        assert!(matches!(
            script.take("m", "/v1/messages"),
            Some(Trouble::Status { status: 529, .. })
        ));
        assert_eq!(script.take("m", "/v1/messages"), None);
    }
}
