//! Durations as people write them to us at run time: the Gateway API's form, such as `168h`, `1h30m` or `25ms`.

use std::time::Duration;

/// One to four numbers of at most five digits, each with a unit of `h`, `m`, `s` or `ms`; absent for anything else.
pub fn parse(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut parts = 0;
    let mut rest = text;
    while !rest.is_empty() || parts == 0 {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
        let (unit, after) = after.split_at(letters);
        let milliseconds = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        parts += 1;
        if parts > 4 || digits > 5 {
            return None;
        }
        total += Duration::from_millis(number.parse::<u64>().ok()? * milliseconds);
        rest = after;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gateway_api_form_is_read() {
        let cases = [
            ("0s", Some(0)),
            ("1h30m5s10ms", Some(5_405_010)),
            ("", None),
            ("5", None),
            ("h", None),
            ("1d", None),
            ("123456s", None),
            ("1h1h1h1h1h", None),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse(text), milliseconds.map(Duration::from_millis), "{text:?}");
        }
    }
}
