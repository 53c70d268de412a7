//! Sizes as policies write them: binary units, such as `64Mi`.

/// What a size looks like: at most ten digits, the first not zero, with a unit of `Ki`, `Mi` or `Gi`.
pub const PATTERN: &str = "^[1-9][0-9]{0,9}(Ki|Mi|Gi)$";
/// Most characters of a size, as [`PATTERN`] allows.
pub const MAX_LENGTH: usize = 12;

/// Reads a size in bytes; absent when the text does not match [`PATTERN`].
pub fn parse(text: &str) -> Option<u64> {
    let (digits, shift) = [("Ki", 10), ("Mi", 20), ("Gi", 30)]
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))?;
    let is_number =
        (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    // Ten digits of gibibytes are below 2^64.
    digits
        .parse::<u64>()
        .ok()
        .filter(|_| is_number)
        .map(|number| number << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_read_only_with_a_binary_unit() {
        let cases = [
            ("1Ki", Some(1024)),
            ("64Mi", Some(64 << 20)),
            ("4Gi", Some(4 << 30)),
            ("9999999999Gi", Some(9_999_999_999 << 30)),
            ("", None),
            ("Mi", None),
            ("0Mi", None),
            ("64", None),
            ("64M", None),
            ("1.5Mi", None),
            ("+1Mi", None),
            ("12345678901Ki", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), bytes, "{text:?}");
        }
    }
}
