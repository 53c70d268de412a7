//! Whether a request has a question that others may share the answer of, and among which.

use http::HeaderMap;
use llmcache_cache::seal::{Digest, Keys};
use llmcache_policy::{TtlClass, names};
use llmcache_provider::request::NoQuestion;

use crate::pipeline::result_cache::{Turn, plan as result};
use crate::pipeline::{Exchange, Pipeline};

/// Why this stage leaves a request alone, besides what every cache leaves alone.
pub(crate) const REFUSALS: [&str; 10] = [
    "busy",
    "down",
    "internal",
    "late",
    "no_cache",
    "no_lease",
    "no_tenant",
    "off",
    "refused",
    "too_long",
];

/// A question and where its answer is kept.
pub(super) struct Plan {
    /// As for any answer; its keys are this layer's own.
    pub kept: result::Plan,
    /// All of the request but the question: only within it are questions compared.
    pub partition: Digest,
    /// The last user text.
    pub question: String,
}

impl Plan {
    pub(super) fn class<'a>(&self, pipeline: &'a Pipeline) -> &'a TtlClass {
        self.kept.class(&pipeline.snapshot)
    }
}

/// Plans the search; `Err` = the word why there is none.
pub(super) fn plan(pipeline: &Pipeline, exchange: &Exchange, turn: &Turn) -> Result<Plan, &'static str> {
    let scope = result::cacheable(pipeline, exchange)?;
    let request = &exchange.call.request;
    if is_refused(&exchange.call.headers) {
        return Err("refused");
    }
    if exchange.control.no_cache || turn.admit.as_ref().is_ok_and(|plan| plan.is_refresh) {
        return Err("no_cache");
    }
    let question = request.question().map_err(NoQuestion::word)?.into_owned();
    let rest = request.without_question().ok_or("internal")?;
    let partition = result::Macs::new("partition", pipeline, exchange, scope)
        .keys(&|mac| {
            rest.write_key(&mut |bytes| {
                mac.update(bytes);
            });
        })
        .newest;
    let keys = || {
        let mut mac = pipeline.key.mac("equivalent");
        mac.field(&partition.0).field(question.as_bytes());
        Keys {
            newest: mac.finish(),
            previous: None,
        }
    };
    Ok(Plan {
        kept: result::Plan::new(pipeline, exchange, scope, keys)?,
        partition,
        question,
    })
}

/// The client's own word: no answer of another question.
pub(super) fn is_refused(headers: &HeaderMap) -> bool {
    let value = headers.get(names::HEADER_SEMANTIC);
    value.is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"off"))
}
