//! Which lists an answer stands in, so that a sweep finds what a pattern means without looking at all keys.
//!
//! Every answer stands in the list of all; for each tag in that of the tag, and in those of the tag's beginnings that
//! end before a colon, from the second such beginning on (the first is shared by nearly all).

use std::time::{SystemTime, UNIX_EPOCH};

/// Beginnings of one tag that have a list; a longer pattern looks into the last of them.
const DEPTH: usize = 4;

/// The list of all.
pub(super) const ALL: &[u8] = b"";

/// The lists of an answer with these tags.
pub(super) fn of_tags(tags: &[String]) -> Vec<Vec<u8>> {
    let mut lists: Vec<Vec<u8>> = tags.iter().flat_map(|tag| of_tag(tag)).collect();
    lists.push(ALL.to_vec());
    lists.sort_unstable();
    lists.dedup();
    lists
}

/// The shortest list in which everything stands that a pattern matches.
pub(super) fn of_pattern(pattern: Option<&str>) -> Vec<u8> {
    let Some(pattern) = pattern else { return ALL.to_vec() };
    let Some((start, _)) = pattern.split_once('*') else {
        return pattern.as_bytes().to_vec();
    };
    // Of what precedes the star, only whole parts are a beginning.
    let Some((start, _)) = start.rsplit_once(':') else {
        return ALL.to_vec();
    };
    beginnings(start)
        .last()
        .map_or_else(|| ALL.to_vec(), |list| list.as_bytes().to_vec())
}

/// Milliseconds by which the lists forget what has expired.
pub(super) fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn of_tag(tag: &str) -> impl Iterator<Item = Vec<u8>> {
    beginnings(tag).chain([tag]).map(|list| list.as_bytes().to_vec())
}

/// `a:b:c` → `a:b`, `a:b:c`.
fn beginnings(tag: &str) -> impl Iterator<Item = &str> {
    let ends = tag.match_indices(':').map(|(at, _)| at).chain([tag.len()]);
    ends.skip(1).take(DEPTH).map(|end| &tag[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bans::pattern;

    #[test]
    fn lists_are_those_of_the_tag_and_its_beginnings() {
        let text = |lists: Vec<Vec<u8>>| -> Vec<String> {
            lists.into_iter().map(|list| String::from_utf8(list).unwrap()).collect()
        };
        assert_eq!(text(of_tags(&[])), [""]);
        assert_eq!(text(of_tags(&["vip".into(), "user:1".into()])), ["", "user:1", "vip"]);
        assert_eq!(
            text(of_tags(&["a:b:c:d:e:f".into()])),
            ["", "a:b", "a:b:c", "a:b:c:d", "a:b:c:d:e", "a:b:c:d:e:f"]
        );
        for (pattern, list) in [
            ("user:1", "user:1"),
            ("user:1:*", "user:1"),
            ("user:1*", ""),
            ("user:*", ""),
            ("*", ""),
            ("a:b:c:d:e:f:*", "a:b:c:d:e"),
            ("a:b:c*:x", "a:b"),
        ] {
            assert_eq!(of_pattern(Some(pattern)), list.as_bytes(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn what_a_pattern_matches_stands_in_its_list(pattern in "[ab:*]{1,9}", tags in proptest::collection::vec("[ab:]{1,9}", 0..4)) {
            if pattern::tags(&pattern, &tags) {
                prop_assert!(of_tags(&tags).contains(&of_pattern(Some(&pattern))));
            }
        }
    }
}
