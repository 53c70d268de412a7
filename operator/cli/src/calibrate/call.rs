//! What of a logged request bears on the cache, under a policy; pure.

use bytes::Bytes;
use llmcache_sidecar::account::Nano;
use llmcache_sidecar::account::prices::{Bill, PriceTable};
use llmcache_sidecar::policy::result_cache::{Sampled, StoredResponses};
use llmcache_sidecar::policy::scope::EndUsers;
use llmcache_sidecar::policy::ttl_class::Facts;
use llmcache_sidecar::policy::{self, Snapshot, keyword};
use llmcache_sidecar::provider::answer::{self, Answer, Finish, NotAnswer, comparison};
use llmcache_sidecar::provider::request::{Dialect, NoQuestion, Opaque};
use llmcache_sidecar::provider::usage::{Billing, Usage};
use llmcache_sidecar::provider::{Endpoint, Request};
use sha2::{Digest, Sha256};

use super::log::Line;

/// Bytes of a prompt per token, where the provider did not say how many it counted.
const BYTES_PER_TOKEN: usize = 4;

/// A request, without its text but for the question.
#[derive(Debug)]
pub(super) struct Call {
    /// Unix milliseconds.
    pub(super) at_ms: u64,
    /// What the caches do with it; `Err` = the word why none looks.
    pub(super) plan: Result<Plan, &'static str>,
    pub(super) answer: Reply,
}

/// Among what it is looked for.
#[derive(Debug)]
pub(super) struct Plan {
    /// Index of its TTL class.
    pub(super) class: usize,
    /// Equal for equal requests.
    pub(super) key: [u8; 32],
    /// `Err` = the word why there is no question.
    pub(super) question: Result<Asked, &'static str>,
}

/// A question, and all else of its request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) partition: [u8; 32],
    pub(super) text: String,
}

/// The answer that was given.
#[derive(Debug)]
pub(super) struct Reply {
    /// A cache may keep it; one that is not in the log is taken for such a one.
    pub(super) is_kept: bool,
    /// Its words, if it is closed.
    pub(super) closed: Option<String>,
    pub(super) cost: Cost,
}

/// What the answer cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// All that has a price.
    pub(super) nano: Nano,
    /// Only the prompt is counted, by its bytes.
    pub(super) is_estimate: bool,
    /// Some of it has no price.
    pub(super) is_partial: bool,
}

/// Reads calls under a policy.
pub(super) struct Reader<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) prices: &'a PriceTable,
}

impl Reader<'_> {
    /// Reduces a line to what is replayed.
    pub(super) fn read(&self, line: &Line) -> Call {
        let at_ms = u64::try_from(line.at.as_millisecond()).unwrap_or_default();
        let request = line
            .endpoint
            .ok_or("endpoint")
            .and_then(|endpoint| Request::parse(endpoint, line.request.clone()).map_err(Opaque::word));
        let (plan, answer) = match request {
            Ok(request) => (self.plan(&request), self.reply(&request, line)),
            Err(reason) => (Err(reason), Reply::unknown()),
        };
        Call { at_ms, plan, answer }
    }

    fn plan(&self, request: &Request) -> Result<Plan, &'static str> {
        let Snapshot {
            result_cache,
            ttl_classes,
            upstreams,
            ..
        } = self.snapshot;
        let dialect = match upstreams.openai.dialect {
            policy::Dialect::Native => Dialect::OpenAi,
            policy::Dialect::Compatible => Dialect::Compatible,
        };
        let serves_stored = result_cache.stored_responses == StoredResponses::Serve;
        if let Some(reason) = request.no_key(dialect, serves_stored) {
            return Err(reason.word());
        }
        if request.endpoint() == Endpoint::OpenAiEmbeddings {
            return Err(NoQuestion::Endpoint.word());
        }
        if !is_allowed(request, result_cache.sampled) {
            return Err("sampled");
        }
        let facts = Facts {
            folded_text: &keyword::fold(&request.last_user_text()),
            model: request.model(),
            // The log has none.
            header: &|_| None,
        };
        let class = ttl_classes
            .iter()
            .position(|class| class.matches.holds(&facts))
            .ok_or("class")?;
        Ok(Plan {
            class,
            key: self.digest("key", request),
            question: self.question(request),
        })
    }

    fn question(&self, request: &Request) -> Result<Asked, &'static str> {
        let text = request.question().map_err(NoQuestion::word)?.into_owned();
        let rest = request.without_question().ok_or("internal")?;
        let partition = self.digest("partition", &rest);
        Ok(Asked { partition, text })
    }

    /// Of all that tells answers apart.
    fn digest(&self, domain: &str, request: &Request) -> [u8; 32] {
        let mut hash = Sha256::new();
        let users = match self.snapshot.scope.end_users {
            EndUsers::Separate => request.end_users(),
            EndUsers::Shared => Vec::new(),
        };
        let fields = [domain, request.endpoint().name(), request.model()].map(str::to_owned);
        for field in fields.iter().chain(&users) {
            hash.update(field.len().to_be_bytes());
            hash.update(field);
        }
        request.write_key(&mut |bytes| hash.update(bytes));
        hash.finalize().into()
    }

    fn reply(&self, request: &Request, line: &Line) -> Reply {
        let endpoint = request.endpoint();
        let Some(body) = &line.response else {
            return Reply {
                cost: self.estimate(request, line),
                ..Reply::unknown()
            };
        };
        match answer::read_plain(endpoint, body.clone()) {
            Ok(answer) => self.known(request, line, body, &answer),
            // A failed call costs nothing.
            Err(NotAnswer::ErrorEvent) => Reply {
                is_kept: false,
                ..Reply::unknown()
            },
            Err(_) => Reply {
                is_kept: false,
                cost: self.estimate(request, line),
                ..Reply::unknown()
            },
        }
    }

    fn known(&self, request: &Request, line: &Line, body: &Bytes, answer: &Answer) -> Reply {
        let text = answer::text(request.endpoint(), body);
        let is_closed = |text: &String| comparison::compare(text, text).is_some();
        let model = answer.model.as_deref().unwrap_or_else(|| request.model());
        let cost = if answer.usage == Usage::default() {
            self.estimate(request, line)
        } else {
            self.cost(request, line, model, &answer.usage, &answer.billing)
        };
        Reply {
            is_kept: answer.finish == Finish::Complete && text.is_some(),
            closed: text.filter(is_closed),
            cost,
        }
    }

    fn estimate(&self, request: &Request, line: &Line) -> Cost {
        let tokens = line.request.len().div_ceil(BYTES_PER_TOKEN);
        let usage = Usage {
            input: u64::try_from(tokens).unwrap_or(u64::MAX),
            ..Usage::default()
        };
        Cost {
            is_estimate: true,
            ..self.cost(request, line, request.model(), &usage, &Billing::default())
        }
    }

    fn cost(&self, request: &Request, line: &Line, model: &str, usage: &Usage, billing: &Billing) -> Cost {
        let bill = Bill {
            provider: request.endpoint().provider(),
            at: line.at,
            answered: model,
            usage,
            billing,
        };
        let cost = self.prices.cost(&bill, model);
        Cost {
            nano: cost.nano,
            is_estimate: false,
            is_partial: !cost.unpriced.is_empty(),
        }
    }
}

impl Reply {
    fn unknown() -> Self {
        Self {
            is_kept: true,
            closed: None,
            cost: Cost::default(),
        }
    }
}

/// An absent temperature counts as 1.
fn is_allowed(request: &Request, sampled: Sampled) -> bool {
    let is_zero = request.temperature() == Some(0.0);
    match sampled {
        Sampled::Always => true,
        Sampled::SeedOrZero => is_zero || request.seed(),
        Sampled::Never => is_zero,
    }
}

#[cfg(test)]
mod tests;
