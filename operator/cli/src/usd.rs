//! Dollars as integers of nano-dollars, so that sums over many sidecars lose nothing.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

/// Nano-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Usd(pub(crate) i128);

const NANO: i128 = 1_000_000_000;
const PLACES: i32 = 9;

impl Usd {
    /// Reads a decimal as metrics write it, such as `0.0098` or `1e-06`; what is beyond nine places is rounded.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (text, is_negative) = match text.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (text.strip_prefix('+').unwrap_or(text), false),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || digits.len() > 30 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let places = i32::try_from(fraction.len()).ok()?;
        let shift = PLACES.checked_add(exponent)?.checked_sub(places)?;
        let nano = shifted(digits.parse().ok()?, shift)?;
        Some(Self(if is_negative { -nano } else { nano }))
    }
}

/// `value` × 10^`shift`, rounded to the nearest.
fn shifted(value: i128, shift: i32) -> Option<i128> {
    let Some(power) = 10_i128.checked_pow(shift.unsigned_abs()) else {
        return (shift < 0).then_some(0);
    };
    if shift >= 0 {
        value.checked_mul(power)
    } else {
        value.checked_add(power / 2).map(|value| value / power)
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Usd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nano = self.0.abs();
        f.pad(&format!("{sign}{}.{:09}", nano / NANO, nano % NANO))
    }
}

impl serde::Serialize for Usd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_to_the_nano_dollar() {
        for (text, nano) in [
            ("0", Some(0)),
            ("0.000000001", Some(1)),
            ("-0.0098", Some(-9_800_000)),
            ("1234567.123456789", Some(1_234_567_123_456_789)),
            ("1e-9", Some(1)),
            ("2.5E+1", Some(25_000_000_000)),
            ("0.0000000014999", Some(1)),
            ("0.0000000015", Some(2)),
            ("1e-300", Some(0)),
            (".5", Some(500_000_000)),
            ("1e300", None),
            ("NaN", None),
            ("+Inf", None),
            ("", None),
            ("1.2.3", None),
        ] {
            assert_eq!(Usd::parse(text), nano.map(Usd), "{text:?}");
        }
    }

    #[test]
    fn sums_of_what_sidecars_write_are_exact() {
        let thirds: Usd = (0..3_000_000).map(|_| Usd(333_333_333)).sum();
        assert_eq!(thirds.to_string(), "999999.999000000");
        assert_eq!((Usd(1) - Usd(2)).to_string(), "-0.000000001");
        assert_eq!(serde_json::json!(Usd(5)), "0.000000005");
    }
}
