//! The price file: JSON rows in dollars per million tokens, read exactly and with every problem at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use llmcache_provider::Provider;
use serde_json::{Map, Value};

use super::{Milli, Model, Pico, Rates, Row, SECONDS_PER_DAY};

/// What a price file holds.
pub(super) struct Prices {
    pub(super) models: Vec<(Provider, Model)>,
    pub(super) web_search: Vec<(Provider, Pico)>,
}

/// More rows than any provider has models; every list is bounded.
const MAX_ROWS: usize = 1_000;
const MAX_ALIASES: usize = 16;
/// $1,000,000 per million tokens: far above any price, and far below where sums could overflow.
const MAX_RATE: Pico = 1_000_000_000_000;
const RATE_PLACES: u32 = 6;
const FACTOR_PLACES: u32 = 3;
const MAX_FACTOR: u64 = 1_000_000;
const RATES: [&str; 7] = [
    "input",
    "read",
    "write_5m",
    "write_1h",
    "write_30m",
    "write_12h",
    "output",
];
const FACTORS: [&str; 5] = ["batch", "flex", "fast", "ultrafast", "geo_us"];
const NAMES: [&str; 6] = ["provider", "id", "aliases", "from", "to", "long_prompt"];

/// Reads a price file; fails with every problem in it.
pub(super) fn parse(json: &str) -> Result<Prices, Vec<String>> {
    let value: Value =
        serde_json::from_str(json).map_err(|error| vec![format!("prices: not JSON ({error}); correct that place")])?;
    let rows = value.get("rows").and_then(Value::as_array);
    let Some(rows) = rows.filter(|rows| rows.len() <= MAX_ROWS) else {
        return Err(vec![format!(
            "rows: missing or not a list of at most {MAX_ROWS}; write {{\"rows\": [...]}}"
        )]);
    };
    let mut problems = Vec::new();
    let mut models = BTreeMap::<(Provider, String), (usize, Model)>::new();
    for (at, row) in rows.iter().enumerate() {
        let Some(object) = row.as_object() else {
            problems.push(format!("rows[{at}]: not an object; write provider, id and prices"));
            continue;
        };
        let mut fields = Fields {
            path: format!("rows[{at}]"),
            object,
            problems: &mut problems,
        };
        if let Some((provider, id, aliases, row)) = fields.row() {
            let model = Model {
                id: id.as_str().into(),
                aliases: Vec::new(),
                rows: Vec::new(),
            };
            let (_, model) = models.entry((provider, id)).or_insert((at, model));
            model.aliases.extend(aliases);
            model.rows.push(row);
        }
    }
    for (first, model) in models.values_mut() {
        model.rows.sort_by_key(|row| row.from);
        if model
            .rows
            .windows(2)
            .any(|pair| pair[0].to.is_none_or(|to| pair[1].from.is_none_or(|from| from <= to)))
        {
            let id = &model.id;
            problems.push(format!(
                "rows[{first}].to: rows of {id} overlap; end each before the next row's from"
            ));
        }
    }
    let web_search = web_search(&value, &mut problems);
    if problems.is_empty() {
        let models = models
            .into_iter()
            .map(|((provider, _), (_, model))| (provider, model))
            .collect();
        Ok(Prices { models, web_search })
    } else {
        Err(problems)
    }
}

fn web_search(file: &Value, problems: &mut Vec<String>) -> Vec<(Provider, Pico)> {
    let Some(object) = file.get("web_search_per_1000").and_then(Value::as_object) else {
        return Vec::new();
    };
    let mut fields = Fields {
        path: "web_search_per_1000".into(),
        object,
        problems,
    };
    let mut prices = Vec::new();
    for provider in [Provider::Anthropic, Provider::OpenAi] {
        // Dollars per thousand, in pico-dollars each: three places more than dollars per million tokens.
        if let Some(price) = fields.rate(provider.name()) {
            prices.push((provider, price.saturating_mul(1_000)));
        }
    }
    prices
}

struct Fields<'a> {
    path: String,
    object: &'a Map<String, Value>,
    problems: &'a mut Vec<String>,
}

impl Fields<'_> {
    fn row(&mut self) -> Option<(Provider, String, Vec<Arc<str>>, Row)> {
        let before = self.problems.len();
        let known = [&NAMES[..], &RATES, &FACTORS].concat();
        self.refuse_unknown(&known);
        let provider = match self.text("provider") {
            Some("anthropic") => Some(Provider::Anthropic),
            Some("openai") => Some(Provider::OpenAi),
            _ => self.problem("provider", "unknown", "write \"anthropic\" or \"openai\""),
        };
        let id = match self.text("id") {
            Some(id) if !id.is_empty() && id.len() <= 128 => Some(id.to_owned()),
            _ => self.problem("id", "missing, empty or over 128 bytes", "write the model's id"),
        };
        let aliases = self.aliases();
        let (from, to) = (self.day("from"), self.day("to"));
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            self.problem::<()>("to", "before from", "write the last day of these prices");
        }
        let rates = self.rates();
        let row = Row {
            from,
            to,
            rates,
            long_prompt: self.long_prompt(),
            batch: self.factor("batch"),
            flex: self.factor("flex"),
            fast: self.factor("fast"),
            ultrafast: self.factor("ultrafast"),
            geo_us: self.factor("geo_us"),
        };
        (self.problems.len() == before).then_some((provider?, id?, aliases, row))
    }

    fn rates(&mut self) -> Rates {
        Rates {
            input: self.rate("input"),
            read: self.rate("read"),
            write_5m: self.rate("write_5m"),
            write_1h: self.rate("write_1h"),
            write_30m: self.rate("write_30m"),
            write_12h: self.rate("write_12h"),
            output: self.rate("output"),
        }
    }

    fn long_prompt(&mut self) -> Option<(u64, Rates)> {
        let value = self.object.get("long_prompt").filter(|value| !value.is_null())?;
        let Some(object) = value.as_object() else {
            return self.problem("long_prompt", "not an object", "write {\"above\": tokens, and prices}");
        };
        let mut inner = Fields {
            path: format!("{}.long_prompt", self.path),
            object,
            problems: self.problems,
        };
        inner.refuse_unknown(&[&["above"][..], &RATES].concat());
        let rates = inner.rates();
        match object.get("above").and_then(Value::as_u64) {
            Some(above) => Some((above, rates)),
            None => inner.problem(
                "above",
                "not a whole number",
                "write the prompt tokens above which it holds",
            ),
        }
    }

    fn aliases(&mut self) -> Vec<Arc<str>> {
        let Some(value) = self.object.get("aliases").filter(|value| !value.is_null()) else {
            return Vec::new();
        };
        let list = value.as_array().filter(|list| list.len() <= MAX_ALIASES);
        let names = list.and_then(|list| list.iter().map(|name| name.as_str().map(Arc::from)).collect());
        names.unwrap_or_else(|| {
            let fix = format!("write a list of at most {MAX_ALIASES} names");
            self.problem::<()>("aliases", "not a list of names", &fix);
            Vec::new()
        })
    }

    fn day(&mut self, field: &str) -> Option<i64> {
        let value = self.object.get(field).filter(|value| !value.is_null())?;
        let date = value.as_str().and_then(|text| text.parse::<Date>().ok());
        let start = date.and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
        match start {
            Some(start) => Some(start.as_second().div_euclid(SECONDS_PER_DAY)),
            None => self.problem(field, "not a day", "write it as \"2026-01-31\", or null"),
        }
    }

    fn rate(&mut self, field: &str) -> Option<Pico> {
        let value = self.object.get(field).filter(|value| !value.is_null())?;
        match decimal(value, RATE_PLACES).filter(|rate| *rate <= MAX_RATE) {
            Some(rate) => Some(rate),
            None => self.problem(
                field,
                &format!("{value} is no price"),
                "write dollars per million tokens from 0 to 1000000 with at most 6 decimal places, or null",
            ),
        }
    }

    fn factor(&mut self, field: &str) -> Option<Milli> {
        let value = self.object.get(field).filter(|value| !value.is_null())?;
        let factor = decimal(value, FACTOR_PLACES).filter(|factor| *factor <= MAX_FACTOR);
        match factor.and_then(|factor| Milli::try_from(factor).ok()) {
            Some(factor) => Some(factor),
            None => self.problem(
                field,
                &format!("{value} is no multiplier"),
                "write a number from 0 to 1000 with at most 3 decimal places, or null",
            ),
        }
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.object.get(field).and_then(Value::as_str)
    }

    fn refuse_unknown(&mut self, known: &[&str]) {
        let unknown: Vec<_> = self
            .object
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
            .cloned()
            .collect();
        for key in unknown {
            self.problem::<()>(
                &key,
                "unknown",
                &format!("remove it or use one of {}", known.join(", ")),
            );
        }
    }

    fn problem<T>(&mut self, field: &str, what: &str, fix: &str) -> Option<T> {
        self.problems.push(format!("{}.{field}: {what}; {fix}", self.path));
        None
    }
}

/// The number times 10^places, exactly; absent when negative or with more places.
fn decimal(number: &Value, places: u32) -> Option<u64> {
    let text = number.as_number()?.to_string();
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let shift = exponent.parse::<i64>().ok()? + i64::from(places) - i64::try_from(fraction.len()).ok()?;
    let mantissa: u64 = format!("{whole}{fraction}").parse().ok()?;
    if mantissa == 0 {
        return Some(0);
    }
    mantissa.checked_mul(10_u64.checked_pow(u32::try_from(shift).ok()?)?)
}
