//! The sidecar's ledger as it is served, and exact dollars.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, ensure};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::client::Client;

/// Nano-dollars; the unit in which ledger and bill are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dollars(pub(crate) i128);

/// `GET /llmcache/account`, the parts the table shows.
#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) requests: Requests,
    pub(crate) tokens: BTreeMap<String, u64>,
    pub(crate) models: BTreeMap<String, u64>,
    pub(crate) usd: Usd,
}

/// How many requests there were and how they ended.
#[derive(Debug, Deserialize)]
pub(crate) struct Requests {
    pub(crate) total: u64,
    pub(crate) hit: BTreeMap<String, u64>,
    pub(crate) miss: u64,
    pub(crate) bypass: BTreeMap<String, u64>,
}

/// What was paid, what would have been, and why they differ.
#[derive(Debug, Deserialize)]
pub(crate) struct Usd {
    pub(crate) counterfactual: Dollars,
    pub(crate) actual: Dollars,
    pub(crate) saved: BTreeMap<String, Dollars>,
    pub(crate) overhead: BTreeMap<String, BTreeMap<String, Dollars>>,
    pub(crate) net: Dollars,
}

impl Account {
    pub(crate) async fn fetch(sidecar: &Client) -> anyhow::Result<Self> {
        let reply = sidecar.fetch("/llmcache/account").await?;
        ensure!(
            reply.status.is_success(),
            "GET /llmcache/account answered {}",
            reply.status
        );
        serde_json::from_slice(&reply.body).context("GET /llmcache/account is not the documented JSON")
    }
}

impl Dollars {
    /// Reads a decimal of nine places.
    fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, fraction) = digits.split_once('.')?;
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if fraction.len() != 9 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let nanos = whole
            .parse::<i128>()
            .ok()?
            .checked_mul(1_000_000_000)?
            .checked_add(fraction.parse().ok()?)?;
        Some(Self(sign * nanos))
    }

    /// This as a share of another amount, per cent; 0 of nothing.
    pub(crate) fn percent_of(self, whole: Self) -> f64 {
        if whole.0 == 0 {
            0.0
        } else {
            100.0 * approximate(self.0) / approximate(whole.0)
        }
    }
}

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, nanos) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}${}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not dollars with nine decimal places")))
    }
}

#[expect(clippy::cast_precision_loss, reason = "percentages are shown with one decimal")]
fn approximate(nanos: i128) -> f64 {
    nanos as f64
}

#[cfg(test)]
mod tests {
    use super::Dollars;

    #[test]
    fn dollars_read_and_write_nine_places_exactly() {
        assert_eq!(Dollars::parse("-0.000000012"), Some(Dollars(-12)));
        assert_eq!(Dollars::parse("12.300000000"), Some(Dollars(12_300_000_000)));
        assert_eq!(Dollars(-12).to_string(), "-$0.000000012");
        for wrong in ["1", "1.5", "1.0000000000", "", "-.000000001", "1.00000000x"] {
            assert_eq!(Dollars::parse(wrong), None, "{wrong}");
        }
    }
}
