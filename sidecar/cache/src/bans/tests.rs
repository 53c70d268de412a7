use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::entry::Layer;

const LOG: u64 = 7;

fn entry(epoch: u64, tags: &[&str]) -> Entry {
    Entry {
        stored_at_ms: 1_000,
        ttl: Duration::from_hours(1),
        keep: Duration::from_hours(1),
        stamp: Stamp { log: LOG, epoch },
        layer: Layer::Result,
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
    let bans = Bans::default();
    bans.learn(0, Page::first(LOG));
    bans
}

fn issue(bans: &Bans, pattern: &str) {
    bans.issue(Live::new(&by_pattern(pattern), 5));
}

fn epoch(bans: &Bans) -> u64 {
    bans.stamp().unwrap().epoch
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
    let ban = Live::new(&by_pattern("user:123:*"), 0);
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
    let before = entry(epoch(&bans), &["a"]);
    issue(&bans, "a");
    assert!(bans.forbid(&before));
    assert!(!bans.forbid(&entry(epoch(&bans), &["a"])));
    assert!(!bans.forbid(&entry(0, &["b"])));
}

#[test]
fn conditions_are_anded() {
    let all = Ban {
        pattern: Some("a*".into()),
        model: Some("claude-*".into()),
        class: Some("dynamic".into()),
        older_than: Some(Duration::from_secs(1)),
        ..Ban::default()
    };
    let hit = entry(0, &["x", "ab"]);
    let kills = |ban: &Ban| Live::new(ban, 2_000).matches(&hit);
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
    assert!(Live::new(&by_pattern("*"), 0).matches(&entry(0, &[])));
    assert!(!Live::new(&by_pattern("a*"), 0).matches(&entry(0, &[])));
}

#[test]
fn an_entry_of_a_log_that_is_not_known_is_forbidden() {
    let bans = bans();
    let of = |log| Entry {
        stamp: Stamp { log, epoch: 0 },
        ..entry(0, &["a"])
    };
    assert!(!bans.forbid(&of(LOG)));
    assert!(bans.forbid(&of(LOG + 1)));
    bans.learn(1, Page::first(LOG + 1));
    assert!(!bans.forbid(&of(LOG + 1)));
    bans.learn(0, Page::first(LOG + 2));
    assert!(bans.forbid(&of(LOG)));
}

#[test]
fn pages_go_on_from_each_other_and_a_gap_forbids_everything() {
    let bans = bans();
    let page = |after, epoch, pattern: &str| Page {
        log: LOG,
        after,
        epoch,
        bans: vec![(epoch, Live::new(&by_pattern(pattern), 5))],
    };
    bans.learn(0, page(Some(0), 1, "a"));
    bans.learn(0, page(Some(1), 4, "b"));
    assert_eq!(epoch(&bans), 4);
    assert!(bans.forbid(&entry(0, &["a"])) && bans.forbid(&entry(3, &["b"])));
    assert!(!bans.forbid(&entry(1, &["a"])) && !bans.forbid(&entry(4, &["b"])));
    bans.learn(0, page(Some(3), 5, "c"));
    assert_eq!(bans.stamp(), None);
    assert!(bans.forbid(&entry(5, &["x"])));
    bans.learn(0, page(None, 5, "c"));
    assert!(!bans.forbid(&entry(5, &["x"])));
}

#[test]
fn a_held_ban_kills_answers_of_any_age_until_it_is_released() {
    let bans = bans();
    let held = bans.hold(Live::new(&by_pattern("a"), 5));
    assert!(bans.forbid(&entry(epoch(&bans), &["a"])) && !bans.forbid(&entry(0, &["b"])));
    assert!(bans.left().is_empty());
    bans.leave(&held);
    assert_eq!(bans.left().len(), 1);
    bans.release(&bans.left()[0].clone());
    assert!(!bans.forbid(&entry(0, &["a"])));
    assert!(bans.is_empty());
}

#[test]
fn held_bans_past_the_bound_become_wider_and_none_is_lost() {
    let bans = bans();
    let names: Vec<String> = (0..HELD_MAX + 9).map(|n| format!("user:{n}")).collect();
    let held: Vec<Held> = names
        .iter()
        .map(|name| bans.hold(Live::new(&by_pattern(name), 5)))
        .collect();
    assert_eq!(bans.len(), HELD_MAX);
    // Whoever issued the first one releases what has become more than it.
    bans.release(&held[0]);
    assert!(names.iter().all(|name| bans.forbid(&entry(9, &[name]))));
    assert_eq!(bans.left().len(), 1);
}

#[test]
fn an_entry_is_matched_again_only_against_bans_learnt_since() {
    let bans = bans();
    let old = entry(0, &["a"]);
    let cleared = bans.version();
    issue(&bans, "b");
    assert!(!bans.forbid_since(&old, cleared));
    let cleared = bans.version();
    issue(&bans, "a");
    assert!(bans.forbid_since(&old, cleared));
    assert!(!bans.forbid_since(&old, bans.version()));
}

#[test]
fn past_the_bound_everything_banned_stays_banned() {
    let bans = bans();
    let names: Vec<String> = (0..LIVE_MAX + 50).map(|n| format!("user:{n}")).collect();
    for name in &names {
        issue(&bans, name);
    }
    assert_eq!(bans.len(), LIVE_MAX);
    assert!(names.iter().all(|name| bans.forbid(&entry(0, &[name]))));
    assert!(!bans.forbid(&entry(0, &["doc:1"])));
    assert!(!bans.forbid(&entry(epoch(&bans), &["user:1"])));
}

#[test]
fn a_layer_is_one_more_condition() {
    let of = |layer| Entry {
        layer,
        ..entry(0, &["a"])
    };
    let kills = |layer, of_entry| {
        let ban = Ban {
            layer,
            ..by_pattern("a")
        };
        Live::new(&ban, 5).matches(&of(of_entry))
    };
    assert!(kills(None, Layer::Result) && kills(None, Layer::Semantic));
    assert!(kills(Some(Layer::Semantic), Layer::Semantic) && !kills(Some(Layer::Semantic), Layer::Result));
    assert!(kills(Some(Layer::Result), Layer::Result) && !kills(Some(Layer::Result), Layer::Semantic));
}

#[test]
fn every_problem_is_named_at_once() {
    let bad = Ban {
        pattern: Some("x".repeat(129)),
        model: Some(String::new()),
        class: Some("a\nb".into()),
        ..Ban::default()
    };
    let said: Vec<String> = bad.check().unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "pattern: has 129 characters, at most 128 are allowed",
            "model: is empty, give a value or leave it out",
            "class: holds a control character, remove it",
        ]
    );
    let of_layer = Ban {
        layer: Some(Layer::Semantic),
        ..Ban::default()
    };
    for bare in [Ban::default(), of_layer] {
        assert_eq!(
            bare.check().unwrap_err()[0].to_string(),
            "pattern: give at least one of pattern, model, class, olderThan"
        );
    }
}

fn any_ban() -> impl Strategy<Value = Ban> {
    let text = |pattern: &'static str| proptest::option::of(pattern);
    let age = proptest::option::of((0_u64..4).prop_map(Duration::from_millis));
    let layer = proptest::option::of(any_layer());
    let parts = (text("[ab:*]{1,6}"), text("[ab*]{1,3}"), text("[ab]"), age, layer);
    parts.prop_map(|(pattern, model, class, older_than, layer)| Ban {
        pattern,
        model,
        class,
        older_than,
        layer,
    })
}

fn any_layer() -> impl Strategy<Value = Layer> {
    prop_oneof![Just(Layer::Result), Just(Layer::Semantic)]
}

prop_compose! {
    fn any_entry()(
        tags in proptest::collection::vec("[ab:]{0,6}", 0..3),
        model in "[ab]{0,3}",
        class in "[ab]",
        stored_at_ms in 0_u64..8,
        layer in any_layer(),
    ) -> Entry {
        Entry { stored_at_ms, layer, tags, class, model, ..entry(0, &[]) }
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
        let live = |(n, ban): (usize, &Ban)| Live::new(ban, n as u64 + 4);
        let parts: Vec<Live> = bans.iter().enumerate().map(live).collect();
        let merged = parts.iter().cloned().reduce(Live::merge).unwrap();
        prop_assert!(merged.matches(&entry) || !parts.iter().any(|ban| ban.matches(&entry)));
    }
}

#[test]
fn a_ban_is_found_by_the_id_it_was_told_under_until_it_is_merged() {
    let bans = bans();
    let mut live = Live::new(&by_pattern("user:1"), 5);
    live.id = Some("told".into());
    bans.issue(live);
    issue(&bans, "user:2");
    assert_eq!(bans.find(0, "told"), Some(Stamp { log: LOG, epoch: 1 }));
    assert_eq!(bans.find(0, "other"), None);
    assert_eq!(bans.find(1, "told"), None);
    for _ in 0..LIVE_MAX {
        issue(&bans, "user:3");
    }
    assert_eq!(bans.find(0, "told"), None);
    assert!(bans.forbid(&entry(0, &["user:1"])));
}
