//! Durations as policies write them: the Gateway API's form, such as `168h`, `1h30m` or `25ms`.

use std::time::Duration;

/// What a duration looks like: one to four runs of at most five digits with a unit of `h`, `m`, `s` or `ms`.
pub const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// Most characters of a duration, as [`PATTERN`] allows.
pub const MAX_LENGTH: usize = 28;

/// Reads a duration; absent when the text does not match [`PATTERN`].
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for _ in 0..4 {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok().filter(|_| digits <= 5)?;
        let unit_end = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |length| digits + length);
        total += match &rest[digits..unit_end] {
            "h" => Duration::from_secs(number * 3600),
            "m" => Duration::from_secs(number * 60),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return None,
        };
        rest = &rest[unit_end..];
        if rest.is_empty() {
            return Some(total);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_read_only_in_the_gateway_api_form() {
        let cases = [
            ("0s", Some(0)),
            ("25ms", Some(25)),
            ("168h", Some(604_800_000)),
            ("1h30m5s10ms", Some(5_405_010)),
            ("1m1ms", Some(60_001)),
            ("", None),
            ("5", None),
            ("h", None),
            ("1d", None),
            ("1.5h", None),
            ("-1s", None),
            ("123456s", None),
            ("1h1h1h1h1h", None),
            ("1 h", None),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse(text), milliseconds.map(Duration::from_millis), "{text:?}");
        }
    }
}
