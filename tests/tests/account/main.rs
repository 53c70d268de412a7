//! The ledger from outside: it agrees with the bill that the provider keeps by itself, to the nano-dollar.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken set-up fails the test where it breaks"
)]

mod cancelled;
mod mixed;
mod refreshes;
mod shape;

use serde_json::Value;

/// Decimal dollars of the ledger as integer nano-dollars.
fn nanos(value: &Value) -> i128 {
    let text = value.as_str().unwrap_or_default();
    let digits: String = text.chars().filter(|c| *c != '.').collect();
    digits
        .parse()
        .unwrap_or_else(|error| panic!("{text} is no amount with nine decimals: {error}"))
}

/// Σ saved − Σ overhead of a `usd` object.
fn net_by_layer(usd: &Value) -> i128 {
    let saved: i128 = usd["saved"].as_object().unwrap().values().map(nanos).sum();
    let overhead: i128 = usd["overhead"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|kinds| kinds.as_object().unwrap().values())
        .map(nanos)
        .sum();
    saved - overhead
}

/// The sum of what must always hold of a `usd` object.
fn assert_adds_up(usd: &Value) {
    let difference = nanos(&usd["counterfactual"]) - nanos(&usd["actual"]);
    assert_eq!(net_by_layer(usd), difference, "{usd}");
    assert_eq!(nanos(&usd["net"]), difference, "{usd}");
}

/// Hits, misses and bypasses of a ledger.
fn outcomes(account: &Value) -> u64 {
    let sum = |map: &Value| {
        map.as_object()
            .unwrap()
            .values()
            .map(|count| count.as_u64().unwrap())
            .sum::<u64>()
    };
    let requests = &account["requests"];
    sum(&requests["hit"]) + requests["miss"].as_u64().unwrap() + sum(&requests["bypass"])
}
