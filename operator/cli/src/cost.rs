//! `cost`: what one call costs on one model, and on others, by the price table in force today.

use std::path::PathBuf;

use jiff::Timestamp;
use llmcache_sidecar::account::Nano;
use llmcache_sidecar::account::prices::{PriceTable, Quote, Tokens};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::local::prices;
use crate::output::{Output, say, say_json};
use crate::table::{self, Align};

mod near;

/// Price one call on one model, or on several to compare.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model id or alias, Anthropic's or OpenAI's.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Prompt tokens, those read from and written to the provider's prompt cache included.
    #[arg(long, value_name = "TOKENS")]
    input: u64,
    /// Prompt tokens read from the provider's prompt cache.
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    cached: u64,
    /// Prompt tokens written to it, for its default lifetime (Anthropic 5 minutes, OpenAI 30).
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    written: u64,
    /// Tokens of the answer, thinking included.
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    output: u64,
    /// Other models to price the same tokens on; the providers count tokens differently, which this cannot know.
    #[arg(long, value_name = "MODEL,…", value_delimiter = ',')]
    compare: Vec<String>,
    /// Price file whose rows replace the shipped ones of the same provider and id.
    #[arg(long, value_name = "FILE", env = "LLMCACHE_PRICES")]
    prices: Option<PathBuf>,
    /// Form of the result.
    #[arg(short = 'o', id = "form", value_name = "FORM", default_value = "text")]
    form: Output,
}

/// Prices the call.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let Args {
        model,
        input,
        cached,
        written,
        output,
        compare,
        prices,
        form,
    } = args;
    if cached.saturating_add(*written) > *input {
        let fix = "--input counts them too: raise it or lower them";
        return Err(Failure::usage(format!(
            "--cached and --written are more than --input; {fix}"
        )));
    }
    let tokens = Tokens {
        input: *input,
        cache_read: *cached,
        cache_write: *written,
        output: *output,
    };
    let prices = prices::read(prices.as_deref())?;
    let at = Timestamp::now();
    let (mut quotes, mut unknown) = (Vec::new(), Vec::new());
    for model in [model].into_iter().chain(compare) {
        match prices.quote(model, tokens, at) {
            Some(quote) => quotes.push(quote),
            None => unknown.push(unknown_model(&prices, model)),
        }
    }
    if !unknown.is_empty() {
        return Err(Failure::Usage(unknown));
    }
    match form {
        Output::Json => say_json(&report(tokens, &quotes)),
        Output::Text => say(&lines(&quotes)),
    }
    Ok(())
}

fn unknown_model(prices: &PriceTable, model: &str) -> String {
    let near = near::nearest(model, &prices.names());
    let fix = if near.is_empty() {
        "check the provider's model list".into()
    } else {
        format!("near: {}", near.join(", "))
    };
    format!("model {model}: no price is known; {fix}, or give its prices with --prices")
}

fn lines(quotes: &[Quote]) -> String {
    let first = quotes.first().map(|quote| quote.cost.nano).unwrap_or_default();
    let mut rows = vec![["model", "usd per call", "usd per 1000", "against first"].map(String::from)];
    for quote in quotes {
        let nano = quote.cost.nano;
        let against = if nano == first {
            "-".into()
        } else {
            percent(nano, first)
        };
        rows.push([
            quote.model.clone(),
            nano.to_string(),
            Nano(nano.0.saturating_mul(1_000)).to_string(),
            against,
        ]);
    }
    let unpriced = quotes.iter().filter(|quote| !quote.cost.unpriced.is_empty());
    let notes = unpriced.map(|quote| {
        format!(
            "\n{}: without {}, which has no published price",
            quote.model,
            kinds(quote)
        )
    });
    table::aligned(&rows, Align::Right) + &notes.collect::<String>()
}

/// The difference in tenths of a percent, rounded toward zero.
fn percent(nano: Nano, first: Nano) -> String {
    let tenths = (nano - first).0.saturating_mul(1_000).checked_div(first.0);
    tenths.map_or_else(String::new, |tenths| {
        let sign = if tenths < 0 { '-' } else { '+' };
        format!("{sign}{}.{} %", tenths.abs() / 10, tenths.abs() % 10)
    })
}

fn kinds(quote: &Quote) -> String {
    let kinds = quote
        .cost
        .unpriced
        .iter()
        .map(|kind| json!(kind).as_str().unwrap_or_default().replace('_', " "));
    kinds.collect::<Vec<_>>().join(", ")
}

fn report(tokens: Tokens, quotes: &[Quote]) -> Value {
    let Tokens {
        input,
        cache_read,
        cache_write,
        output,
    } = tokens;
    let quote = |quote: &Quote| {
        let Quote { provider, model, cost } = quote;
        json!({"provider": provider, "model": model, "usd": cost.nano, "unpriced": cost.unpriced})
    };
    json!({
        "tokens": {"input": input, "cache_read": cache_read, "cache_write": cache_write, "output": output},
        "quotes": quotes.iter().map(quote).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_is_told_in_percent_of_the_first() {
        assert_eq!(percent(Nano(50), Nano(100)), "-50.0 %");
        assert_eq!(percent(Nano(1_015), Nano(1_000)), "+1.5 %");
        assert_eq!(percent(Nano(1), Nano(0)), "");
    }
}
