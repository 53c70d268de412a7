use proptest::prelude::*;

use super::*;
use crate::compile;

const FULL: &str = include_str!("../../../testdata/full.yaml");

/// What people and editors get wrong: pieces that mean something in YAML, JSON or this format.
const PIECES: [&str; 24] = [
    "off", "\"", "'", ": ", "- ", "{", "}", "[", "]", "&a ", "*a", "\n", "\t", "#", "|\n", "---\n", "é", "\u{a0}",
    "0x", "99999h", "null", "!!str ", "<<", ",",
];

proptest! {
    #[test]
    fn mutated_policy_is_refused_in_order_or_compiles(edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4usize, 0..PIECES.len()), 1..6)) {
        let mut text: Vec<char> = FULL.chars().collect();
        for (at, removed, piece) in edits {
            let at = at.index(text.len());
            let end = (at + removed).min(text.len());
            text.splice(at..end, PIECES[piece].chars());
        }
        let text: String = text.into_iter().collect();
        match load(&text) {
            Ok(loaded) => {
                for (policy, _) in &loaded.policies {
                    let snapshot = compile(policy);
                    let longest = snapshot.ttl_classes.iter().map(|class| class.ttl_ms).max();
                    prop_assert!(longest.is_some_and(|ttl| ttl <= snapshot.result_cache.max_age_ms));
                    prop_assert!(snapshot.result_cache.max_entry_bytes <= snapshot.result_cache.memory_bytes);
                    prop_assert_eq!(validate(policy.policy()), Ok(policy.clone()));
                }
            }
            Err(found) => {
                prop_assert!(!found.is_empty());
                prop_assert!(found.is_sorted_by_key(|problem| problem.document), "{:#?}", found);
                prop_assert!(found.iter().all(|problem| !problem.fix.is_empty()), "{:#?}", found);
            }
        }
    }

    #[test]
    fn any_text_is_judged(text in "\\PC{0,80}|[-\\[\\]{}:&*!|>'\"%@, \\n\\ta-c0-9]{0,120}") {
        prop_assert!(load(&text).is_err());
    }
}
