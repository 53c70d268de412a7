//! Money as integer nano-dollars, so that sums of a million requests are exact.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use serde::{Serialize, Serializer};

/// Nano-dollars; may be negative. Prints as dollars with nine decimal places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nano(pub i128);

const PER_DOLLAR: u128 = 1_000_000_000;

impl Nano {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The nearest double, for Prometheus alone.
    pub fn dollars(self) -> f64 {
        // The decimal text is exact, so parsing rounds once and correctly; it is always a number.
        self.to_string().parse().unwrap_or_default()
    }
}

impl fmt::Display for Nano {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nano = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nano / PER_DOLLAR, nano % PER_DOLLAR)
    }
}

impl Serialize for Nano {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Add for Nano {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Nano {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Nano {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign for Nano {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Nano {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_nine_places_with_sign() {
        let cases = [
            (0, "0.000000000"),
            (1, "0.000000001"),
            (-1, "-0.000000001"),
            (1_234_567_890, "1.234567890"),
            (-12_000_000_000, "-12.000000000"),
        ];
        for (nano, text) in cases {
            assert_eq!(Nano(nano).to_string(), text);
        }
        assert!((Nano(1_500_000_000).dollars() - 1.5).abs() < f64::EPSILON);
    }
}
