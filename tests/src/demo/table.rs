//! What came of the traffic, as a table for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};

use super::account::{Account, Dollars};
use super::agent::{Facts, MODEL};
use super::play::Measured;
use crate::fake::Bill;

/// The ledger beside the bills of the provider and of the one that heard the client directly, and the latency that the player measured.
pub(crate) fn render(account: &Account, with: &Bill, without: &Bill, measured: &Measured) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["", "llmcache", ""]);
    requests(&mut table, account);
    for (kind, count) in &account.tokens {
        row(&mut table, &format!("tokens {kind}"), &grouped(*count), "");
    }
    for (model, count) in &account.models {
        row(&mut table, &format!("answers by {model}"), &count.to_string(), "");
    }
    dollars(&mut table, account, with, without);
    latency(&mut table, measured);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// What agent traces save against no caching at all, by the bills of both providers.
pub(crate) fn agent_lines(facts: &Facts, with: &Bill, without: &Bill) -> String {
    let (paid, plain) = (Dollars(with.total.nanos.into()), Dollars(without.total.nanos.into()));
    let calls = facts.calls as u64;
    let mean = |chars: u64| grouped((chars + 2 * calls) / (4 * calls.max(1)));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} conversations, {} calls on {MODEL}",
        facts.conversations,
        grouped(calls)
    );
    let _ = writeln!(
        text,
        "mean prompt     {} tokens by characters / 4 as recorded, {} as sent and billed",
        mean(facts.prompt_chars),
        mean(4 * with.total.tokens.prompt())
    );
    let _ = writeln!(text, "without caching {plain}");
    let _ = writeln!(text, "with llmcache   {paid}");
    let _ = write!(
        text,
        "saving against no caching, output included: {:+.1} %",
        change(paid, plain)
    );
    text
}

fn requests(table: &mut Table, account: &Account) {
    let requests = &account.requests;
    row(table, "requests", &requests.total.to_string(), "");
    for (layer, hits) in requests.hit.iter().filter(|(_, hits)| **hits > 0) {
        row(
            table,
            &format!("hits {layer}"),
            &hits.to_string(),
            &share(*hits, requests.total),
        );
    }
    row(
        table,
        "misses",
        &requests.miss.to_string(),
        &share(requests.miss, requests.total),
    );
    for (reason, count) in requests.bypass.iter().filter(|(_, count)| **count > 0) {
        row(
            table,
            &format!("bypass {reason}"),
            &count.to_string(),
            &share(*count, requests.total),
        );
    }
}

fn dollars(table: &mut Table, account: &Account, with: &Bill, without: &Bill) {
    let usd = &account.usd;
    row(
        table,
        "dollars without",
        &usd.counterfactual.to_string(),
        &beside(usd.counterfactual, without, "the bill of the same calls made directly"),
    );
    row(
        table,
        "dollars with",
        &usd.actual.to_string(),
        &beside(usd.actual, with, "the provider's bill"),
    );
    for (layer, saved) in &usd.saved {
        row(
            table,
            &format!("saved {layer}"),
            &saved.to_string(),
            &format!("{:.1} %", saved.percent_of(usd.counterfactual)),
        );
    }
    for (name, overhead) in flat(&usd.overhead) {
        row(
            table,
            &format!("overhead {name}"),
            &overhead.to_string(),
            &format!("{:.1} %", overhead.percent_of(usd.counterfactual)),
        );
    }
    row(
        table,
        "net saving",
        &usd.net.to_string(),
        &format!("cost {:+.1} %", change(usd.actual, usd.counterfactual)),
    );
}

fn latency(table: &mut Table, measured: &Measured) {
    let hits: Vec<i128> = measured
        .hits
        .iter()
        .map(Duration::as_nanos)
        .filter_map(|nanos| nanos.try_into().ok())
        .collect();
    for (name, times) in [("hit, whole call", hits), ("added to a miss", measured.added.clone())] {
        let Some([p50, p99]) = percentiles(times) else { continue };
        row(
            table,
            &format!("{name}, p50 / p99"),
            &format!("{} / {}", micros(p50), micros(p99)),
            "measured by the player",
        );
    }
}

/// How a bill that a provider kept by itself compares with the ledger.
fn beside(ledger: Dollars, bill: &Bill, whose: &str) -> String {
    let billed = Dollars(bill.total.nanos.into());
    if billed == ledger {
        format!("equals {whose}")
    } else {
        format!("{whose} says {billed}")
    }
}

fn row(table: &mut Table, name: &str, value: &str, note: &str) {
    table.add_row([name, value, note]);
}

fn flat(overhead: &BTreeMap<String, BTreeMap<String, Dollars>>) -> impl Iterator<Item = (String, Dollars)> {
    overhead
        .iter()
        .flat_map(|(layer, kinds)| kinds.iter().map(move |(kind, usd)| (format!("{layer} {kind}"), *usd)))
}

/// Nearest-rank median and 99th percentile; nothing of nothing.
fn percentiles(mut times: Vec<i128>) -> Option<[i128; 2]> {
    times.sort_unstable();
    let rank = |percent: usize| (times.len() * percent).div_ceil(100).max(1) - 1;
    (!times.is_empty()).then(|| [times[rank(50)], times[rank(99)]])
}

fn micros(nanos: i128) -> String {
    format!("{} µs", (nanos + nanos.signum() * 500) / 1_000)
}

/// From one amount to another, per cent.
fn change(to: Dollars, from: Dollars) -> f64 {
    Dollars(to.0 - from.0).percent_of(from)
}

fn share(part: u64, whole: u64) -> String {
    let permille = (2_000 * part + whole) / (2 * whole.max(1));
    format!("{}.{} %", permille / 10, permille % 10)
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        assert_eq!(percentiles((1..=200).rev().collect()), Some([100, 198]));
        assert_eq!(percentiles(vec![7]), Some([7, 7]));
        assert_eq!(percentiles(Vec::new()), None);
    }

    #[test]
    fn numbers_are_rounded_and_grouped() {
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!(grouped(999), "999");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(micros(-1_600), "-2 µs");
        assert!((change(Dollars(14), Dollars(100)) + 86.0).abs() < 1e-9);
    }
}
