//! Replacing byte ranges of a body and nothing else.

use std::ops::Range;

use bytes::Bytes;

/// One replacement; an empty range inserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// The client's bytes to replace.
    pub range: Range<usize>,
    /// What stands there instead.
    pub with: Bytes,
}

/// Applies the splices, in any order, to a body; with none the same memory is handed back.
///
/// Insertions at one offset keep their order in `splices`. A splice that overlaps an earlier one or reaches past
/// the body is left out: the client's own bytes are always right.
pub fn apply(body: &Bytes, splices: &mut [Splice]) -> Bytes {
    if splices.is_empty() {
        return body.clone();
    }
    splices.sort_by_key(|splice| (splice.range.start, splice.range.end));
    let added = splices.iter().map(|splice| splice.with.len()).sum::<usize>();
    let mut edited = Vec::with_capacity(body.len() + added);
    let mut copied = 0;
    for Splice { range, with } in splices.iter() {
        if range.start < copied || range.end < range.start || range.end > body.len() {
            continue;
        }
        edited.extend_from_slice(&body[copied..range.start]);
        edited.extend_from_slice(with);
        copied = range.end;
    }
    edited.extend_from_slice(&body[copied..]);
    edited.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splice(range: Range<usize>, with: &'static str) -> Splice {
        Splice {
            range,
            with: Bytes::from_static(with.as_bytes()),
        }
    }

    #[test]
    fn ranges_are_replaced_in_order_of_place() {
        let body = Bytes::from_static(b"0123456789");
        let mut splices = vec![
            splice(8..9, "H"),
            splice(2..2, "a"),
            splice(2..2, "b"),
            splice(3..5, ""),
        ];
        assert_eq!(apply(&body, &mut splices), &b"01ab2567H9"[..]);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let body = Bytes::from_static(b"0123456789");
        let mut splices = vec![
            splice(2..6, "x"),
            splice(4..8, "y"),
            splice(9..11, "z"),
            splice(10..10, "!"),
        ];
        assert_eq!(apply(&body, &mut splices), &b"01x6789!"[..]);
    }

    #[test]
    fn no_splice_copies_nothing() {
        let body = Bytes::from_static(b"{}");
        assert_eq!(apply(&body, &mut []).as_ptr(), body.as_ptr());
    }
}
