//! What the provider would charge, from its own price list and its own count of tokens.
//!
//! Each accepted call is one line, rounded half up to a nano-dollar once; totals are sums of lines.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use serde::Serialize;

use super::prices::{Model, Rates};

/// Lines kept for [`Bill::lines`]; totals go on counting beyond it.
const LINES: usize = 100_000;

/// Web searches cost $10 per thousand.
const SEARCH_NANOS: u64 = 10_000_000;

/// Tokens by the price they pay; no token is in two kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Prompt tokens neither read from nor written to a cache.
    pub input: u64,
    /// Prompt tokens read from the prompt cache.
    pub read: u64,
    /// Prompt tokens written for five minutes (Anthropic).
    pub write_5m: u64,
    /// Prompt tokens written for an hour (Anthropic).
    pub write_1h: u64,
    /// Prompt tokens written for thirty minutes (OpenAI).
    pub write_30m: u64,
    /// Prompt tokens written for twelve hours (OpenAI).
    pub write_12h: u64,
    /// Tokens of the answer, thinking included.
    pub output: u64,
}

/// How a billed call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The client went away; input and the output so far are charged.
    Cancelled,
    /// The whole answer was handed to the connection.
    Complete,
    /// The provider broke off; input and the output so far are charged.
    Cut,
    /// Refused before any output: tokens are reported, nothing is charged.
    Refused,
}

/// One accepted call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The id in the response (`msg_…`, `chatcmpl-…`, `resp_…`, `embd-…`).
    pub id: String,
    /// The path called.
    pub path: String,
    /// The model's id in the price list.
    pub model: String,
    /// What was counted.
    pub tokens: Tokens,
    /// Web searches run for the answer.
    pub searches: u64,
    /// What was charged, in nano-dollars.
    pub nanos: i64,
    /// How it ended.
    pub end: End,
}

/// The sum of some lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Lines in the sum.
    pub requests: u64,
    /// Tokens by kind.
    pub tokens: Tokens,
    /// Charge in nano-dollars.
    pub nanos: i64,
}

/// Everything charged since the start or the last reset.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Bill {
    /// The sum over all lines.
    pub total: Sum,
    /// The sum of each model.
    pub models: BTreeMap<String, Sum>,
    /// Each call in the order of ending, the newest 100 000.
    pub lines: VecDeque<Line>,
}

impl Bill {
    /// The line of a response id.
    pub fn line(&self, id: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.id == id)
    }
}

impl Tokens {
    /// All prompt tokens, cached or not.
    pub const fn prompt(&self) -> u64 {
        self.input + self.read + self.written()
    }

    /// Prompt tokens written to a cache, whatever its life.
    pub const fn written(&self) -> u64 {
        self.write_5m + self.write_1h + self.write_30m + self.write_12h
    }

    const fn add(&mut self, other: &Self) {
        self.input += other.input;
        self.read += other.read;
        self.write_5m += other.write_5m;
        self.write_1h += other.write_1h;
        self.write_30m += other.write_30m;
        self.write_12h += other.write_12h;
        self.output += other.output;
    }
}

impl Sum {
    fn add(&mut self, line: &Line) {
        self.requests += 1;
        self.tokens.add(&line.tokens);
        self.nanos += line.nanos;
    }
}

/// What a call will be charged by, fixed when it is accepted.
#[derive(Debug, Clone)]
pub(crate) struct Tariff {
    pub(crate) model: Option<&'static Model>,
    /// Factors in thousandths: service tier, speed, region.
    pub(crate) factors: Vec<u64>,
    /// The date of the price list, RFC 3339.
    pub(crate) date: String,
}

impl Tariff {
    /// The charge in nano-dollars; a model without a price costs nothing.
    pub(crate) fn charge(&self, tokens: &Tokens, searches: u64) -> i64 {
        let Some(model) = self.model else { return 0 };
        let rates = model.rates_for(tokens.prompt(), &self.date);
        // A millionth of a dollar per million tokens is a thousandth of a nano-dollar per token.
        let (mut sum, mut unit) = (millis(&rates, tokens), 1_000_u128);
        for factor in &self.factors {
            sum *= u128::from(*factor);
            unit *= 1_000;
        }
        let nanos = (sum + unit / 2) / unit + u128::from(searches * SEARCH_NANOS);
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }
}

/// Thousandths of nano-dollars, before factors; a kind without a price of its own pays the input price.
fn millis(rates: &Rates, tokens: &Tokens) -> u128 {
    let priced = |count: u64, rate: Option<u64>| u128::from(count) * u128::from(rate.unwrap_or(rates.input));
    priced(tokens.input, Some(rates.input))
        + priced(tokens.read, rates.cache_read)
        + priced(tokens.write_5m, rates.cache_write_5m)
        + priced(tokens.write_1h, rates.cache_write_1h)
        + priced(tokens.write_30m, rates.cache_write_30m)
        + priced(tokens.write_12h, rates.cache_write_12h)
        + priced(tokens.output, Some(rates.output))
}

/// The provider's book of lines.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<Bill>);

impl Book {
    pub(crate) fn enter(&self, line: Line) {
        let mut bill = self.0.lock();
        bill.total.add(&line);
        match bill.models.get_mut(&line.model) {
            Some(sum) => sum.add(&line),
            None => bill.models.entry(line.model.clone()).or_default().add(&line),
        }
        if bill.lines.len() == LINES {
            bill.lines.pop_front();
        }
        bill.lines.push_back(line);
    }

    pub(crate) fn bill(&self) -> Bill {
        self.0.lock().clone()
    }

    /// The bill without its lines.
    pub(crate) fn totals(&self) -> Bill {
        let bill = self.0.lock();
        Bill {
            total: bill.total.clone(),
            models: bill.models.clone(),
            lines: VecDeque::new(),
        }
    }

    pub(crate) fn reset(&self) {
        *self.0.lock() = Bill::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::prices::{Provider, find};

    fn tariff(provider: Provider, model: &str, factors: &[u64]) -> Tariff {
        Tariff {
            model: find(provider, model),
            factors: factors.to_vec(),
            date: "2026-11-22".into(),
        }
    }

    #[test]
    fn each_kind_of_token_pays_its_own_rate() {
        let tokens = Tokens {
            input: 1,
            read: 10,
            write_5m: 100,
            write_1h: 1_000,
            output: 7,
            ..Tokens::default()
        };
        let nanos = tariff(Provider::Anthropic, "claude-sonnet-5-5", &[]).charge(&tokens, 0);
        assert_eq!(nanos, 2_000 + 10 * 100 + 100 * 2_500 + 1_000 * 4_000 + 7 * 10_000);
        let tokens = Tokens {
            input: 3,
            read: 2,
            write_30m: 5,
            write_12h: 1,
            output: 1,
            ..Tokens::default()
        };
        let nanos = tariff(Provider::OpenAi, "gpt-6.2-sol", &[]).charge(&tokens, 0);
        assert_eq!(nanos, 3 * 2_000 + 2 * 100 + 5 * 2_500 + 5_000 + 10_000);
    }

    #[test]
    fn factors_stack_and_a_request_is_rounded_half_up_once() {
        let tokens = Tokens {
            write_5m: 1,
            ..Tokens::default()
        };
        // 125 nano-dollars a token on Haiku 5.5, times 1.1 = 137.5.
        assert_eq!(
            tariff(Provider::Anthropic, "claude-haiku-5-5", &[1_100]).charge(&tokens, 0),
            138
        );
        assert_eq!(
            tariff(Provider::Anthropic, "claude-haiku-5-5", &[1_100, 2_000]).charge(&tokens, 0),
            275
        );
    }

    #[test]
    fn haiku_5_5_charges_the_whole_request_five_times_above_100k_prompt_tokens() {
        let haiku = tariff(Provider::Anthropic, "claude-haiku-5-5", &[]);
        let at = Tokens {
            input: 50_000,
            read: 50_000,
            output: 10,
            ..Tokens::default()
        };
        assert_eq!(haiku.charge(&at, 0), 50_000 * 100 + 50_000 * 10 + 10 * 500);
        let above = Tokens { input: 50_001, ..at };
        assert_eq!(haiku.charge(&above, 0), 50_001 * 500 + 50_000 * 50 + 10 * 2_500);
    }

    #[test]
    fn above_272k_prompt_tokens_openai_doubles_input_and_adds_half_to_output() {
        let sol = tariff(Provider::OpenAi, "gpt-6.1-sol", &[]);
        let above = Tokens {
            input: 272_001,
            output: 2,
            ..Tokens::default()
        };
        assert_eq!(sol.charge(&above, 0), 272_001 * 4_000 + 2 * 15_000);
    }

    #[test]
    fn a_web_search_costs_a_cent() {
        assert_eq!(
            tariff(Provider::Anthropic, "claude-opus-5-5", &[]).charge(&Tokens::default(), 3),
            30_000_000
        );
    }
}
