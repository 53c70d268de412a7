//! Kubernetes quantities, exactly: whole billionths.

use std::fmt;

/// An amount of CPU, bytes or anything else, in billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(u128);

const ONE: u128 = 1_000_000_000;
const MILLI: u128 = ONE / 1000;
/// Nothing real is larger, and sums of thousands of such stay far from overflow.
const LARGEST: u128 = ONE << 64;

/// Suffixes and what they multiply by, in billionths.
const SUFFIXES: [(&str, u128); 16] = [
    ("Ki", ONE << 10),
    ("Mi", ONE << 20),
    ("Gi", ONE << 30),
    ("Ti", ONE << 40),
    ("Pi", ONE << 50),
    ("Ei", ONE << 60),
    ("n", 1),
    ("u", 1000),
    ("m", MILLI),
    ("k", ONE * 1000),
    ("M", ONE * 1_000_000),
    ("G", ONE * 1_000_000_000),
    ("T", ONE * 1_000_000_000_000),
    ("P", ONE * 1_000_000_000_000_000),
    ("E", ONE * 1_000_000_000_000_000_000),
    ("", ONE),
];

impl Quantity {
    /// Reads `250m`, `64Mi`, `1.5`, `1e3`; none for anything else, for negative amounts and beyond 2^64.
    pub fn parse(text: &str) -> Option<Self> {
        let at = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(at);
        let unit = match SUFFIXES.iter().find(|(name, _)| *name == suffix) {
            Some((_, unit)) => *unit,
            None => exponent(suffix)?,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || whole.len() > 20 || fraction.contains('.') {
            return None;
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut amount = whole.checked_mul(unit)?;
        let mut place = unit;
        for digit in fraction.bytes() {
            place /= 10;
            amount = amount.checked_add(place * u128::from(digit - b'0'))?;
        }
        (amount <= LARGEST).then_some(Self(amount))
    }

    /// Thousandths.
    pub const fn milli(amount: u32) -> Self {
        Self(amount as u128 * MILLI)
    }

    /// 2^20 bytes.
    pub const fn mebi(amount: u32) -> Self {
        Self((amount as u128) * (ONE << 20))
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The smallest whole thousandth (or byte) that is at least this divided by a ratio.
    pub(super) fn divided_up(self, ratio: Self, resource: &str) -> Self {
        let step = step(resource);
        match (self.0.checked_mul(ONE), ratio.0) {
            (Some(scaled), 1..) => Self(scaled.div_ceil(ratio.0).div_ceil(step) * step),
            _ => self,
        }
    }

    /// The largest whole thousandth (or byte) that is at most this times a ratio.
    pub(super) fn times_down(self, ratio: Self, resource: &str) -> Self {
        let step = step(resource);
        self.0
            .checked_mul(ratio.0)
            .map_or(self, |scaled| Self(scaled / ONE / step * step))
    }
}

/// The least amount of a resource that Kubernetes tells apart.
fn step(resource: &str) -> u128 {
    if resource == "cpu" { MILLI } else { ONE }
}

/// The unit of `e3` or `E-3`.
fn exponent(suffix: &str) -> Option<u128> {
    let digits = suffix.strip_prefix(['e', 'E'])?;
    let power: i32 = digits.parse().ok()?;
    let billionths = u32::try_from(power.checked_add(9)?).ok()?;
    10_u128.checked_pow(billionths)
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_multiple_of(ONE) {
            return write!(formatter, "{}m", self.0.div_ceil(MILLI));
        }
        let whole = self.0 / ONE;
        let binary = [("Gi", 30), ("Mi", 20), ("Ki", 10)]
            .into_iter()
            .find(|(_, bits)| whole > 0 && whole.is_multiple_of(1 << bits));
        match binary {
            Some((suffix, bits)) => write!(formatter, "{}{suffix}", whole >> bits),
            None => write!(formatter, "{whole}"),
        }
    }
}
