use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn entry(epoch: u64, tags: &[&str]) -> Entry {
    Entry {
        stored_at_ms: 1_000,
        ttl: Duration::from_hours(1),
        max_age: Duration::from_hours(1),
        epoch,
        tags: tags.iter().map(ToString::to_string).collect(),
        class: "dynamic".into(),
        model: "claude-haiku-5-5".into(),
        value: Bytes::new(),
    }
}

fn by_pattern(pattern: &str) -> Ban {
    Ban {
        pattern: Some(pattern.into()),
        ..Ban::default()
    }
}

fn bans() -> Bans {
    Bans::new(Duration::from_hours(168))
}

/// The rule as the contract words it, by recursion over every choice.
fn reference(pattern: &[char], tag: &[char]) -> bool {
    match pattern {
        [] => tag.is_empty(),
        [':', '*'] if tag.is_empty() => true,
        ['*', rest @ ..] => (0..=tag.len()).any(|taken| reference(rest, &tag[taken..])),
        [first, rest @ ..] => tag.first() == Some(first) && reference(rest, &tag[1..]),
    }
}

#[test]
fn a_closing_star_clears_the_thing_and_all_beneath() {
    let ban = Live::new(&by_pattern("user:123:*"), 1, 0);
    for (tag, dead) in [
        ("user:123", true),
        ("user:123:a:b", true),
        ("user:1234", false),
        ("user:12", false),
    ] {
        assert_eq!(ban.matches(&entry(0, &[tag])), dead, "{tag}");
    }
}

#[test]
fn a_ban_kills_what_started_before_it_and_nothing_later() {
    let bans = bans();
    let before = entry(bans.epoch(), &["a"]);
    bans.set(&by_pattern("a"), 5).unwrap();
    assert!(bans.forbid(&before));
    assert!(!bans.forbid(&entry(bans.epoch(), &["a"])));
    assert!(!bans.forbid(&entry(0, &["b"])));
}

#[test]
fn conditions_are_anded() {
    let all = Ban {
        pattern: Some("a*".into()),
        model: Some("claude-*".into()),
        class: Some("dynamic".into()),
        older_than: Some(Duration::from_secs(1)),
    };
    let hit = entry(0, &["x", "ab"]);
    let kills = |ban: &Ban| Live::new(ban, 1, 2_000).matches(&hit);
    assert!(kills(&all));
    assert!(!kills(&Ban {
        pattern: Some("b*".into()),
        ..all.clone()
    }));
    assert!(!kills(&Ban {
        model: Some("gpt-*".into()),
        ..all.clone()
    }));
    assert!(!kills(&Ban {
        class: Some("stable".into()),
        ..all.clone()
    }));
    assert!(!kills(&Ban {
        older_than: Some(Duration::from_millis(1_001)),
        ..all
    }));
}

#[test]
fn a_lone_star_kills_untagged_entries_too_and_other_patterns_do_not() {
    assert!(Live::new(&by_pattern("*"), 1, 0).matches(&entry(0, &[])));
    assert!(!Live::new(&by_pattern("a*"), 1, 0).matches(&entry(0, &[])));
}

#[test]
fn an_entry_of_another_process_is_ordered_by_time() {
    let bans = bans();
    bans.set(&by_pattern("a"), 1_000).unwrap();
    bans.set(&by_pattern("b"), 2_000).unwrap();
    let dead = |tag: &str, stored_at_ms| {
        bans.forbid(&Entry {
            stored_at_ms,
            ..entry(bans.epoch_at(stored_at_ms), &[tag])
        })
    };
    assert!(dead("a", 999) && dead("a", 1_000) && dead("b", 2_000));
    assert!(!dead("a", 1_001) && !dead("b", 2_001));
}

#[test]
fn bans_older_than_any_entry_are_dropped() {
    let bans = Bans::new(Duration::from_millis(100));
    bans.set(&by_pattern("a"), 1_000).unwrap();
    bans.set(&by_pattern("b"), 1_100).unwrap();
    assert_eq!(bans.len(), 2);
    bans.set(&by_pattern("c"), 1_101).unwrap();
    assert_eq!(bans.len(), 2);
}

#[test]
fn past_the_bound_everything_banned_stays_banned() {
    let bans = bans();
    let names: Vec<String> = (0..LIVE_MAX + 50).map(|n| format!("user:{n}")).collect();
    for name in &names {
        bans.set(&by_pattern(name), 5).unwrap();
    }
    assert_eq!(bans.len(), LIVE_MAX);
    assert!(names.iter().all(|name| bans.forbid(&entry(0, &[name]))));
    assert!(!bans.forbid(&entry(0, &["doc:1"])));
    assert!(!bans.forbid(&entry(bans.epoch(), &["user:1"])));
}

#[test]
fn every_problem_is_named_at_once() {
    let bad = Ban {
        pattern: Some("x".repeat(129)),
        model: Some(String::new()),
        class: Some("a\nb".into()),
        older_than: None,
    };
    let said: Vec<String> = bans()
        .set(&bad, 0)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        said,
        [
            "pattern: has 129 characters, at most 128 are allowed",
            "model: is empty, give a value or leave it out",
            "class: holds a control character, remove it",
        ]
    );
    let empty = bans().set(&Ban::default(), 0).unwrap_err();
    assert_eq!(
        empty[0].to_string(),
        "pattern: give at least one of pattern, model, class, olderThan"
    );
}

#[test]
fn a_refused_ban_changes_nothing() {
    let bans = bans();
    bans.set(&Ban::default(), 0).unwrap_err();
    bans.preview(&by_pattern("a"), 0).unwrap();
    assert_eq!((bans.epoch(), bans.is_empty()), (0, true));
}

fn any_ban() -> impl Strategy<Value = Ban> {
    let text = |pattern: &'static str| proptest::option::of(pattern);
    let age = proptest::option::of((0_u64..4).prop_map(Duration::from_millis));
    (text("[ab:*]{1,6}"), text("[ab*]{1,3}"), text("[ab]"), age).prop_map(|(pattern, model, class, older_than)| Ban {
        pattern,
        model,
        class,
        older_than,
    })
}

prop_compose! {
    fn any_entry()(
        tags in proptest::collection::vec("[ab:]{0,6}", 0..3),
        model in "[ab]{0,3}",
        class in "[ab]",
        stored_at_ms in 0_u64..8,
    ) -> Entry {
        Entry { stored_at_ms, tags, class, model, ..entry(0, &[]) }
    }
}

proptest! {
    #[test]
    fn patterns_match_as_the_reference_does(pattern in "[ab:*é]{0,8}", tag in "[ab:é]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = reference(&chars(&pattern), &chars(&tag)) || pattern.chars().all(|c| c == '*');
        prop_assert_eq!(pattern::tags(&pattern, &[tag]), expected);
    }

    #[test]
    fn a_merged_ban_kills_whatever_its_parts_kill(bans in proptest::collection::vec(any_ban(), 2..6), entry in any_entry()) {
        let live = |(n, ban): (usize, &Ban)| Live::new(ban, n as u64 + 1, n as u64 + 4);
        let parts: Vec<Live> = bans.iter().enumerate().map(live).collect();
        let merged = parts.iter().cloned().reduce(Live::merge).unwrap();
        prop_assert!(merged.matches(&entry) || !parts.iter().any(|ban| ban.matches(&entry)));
        prop_assert_eq!(merged.epoch, parts.len() as u64);
    }
}
