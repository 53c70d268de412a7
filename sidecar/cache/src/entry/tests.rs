use proptest::prelude::*;

use super::wire::{Seen, VERSION};
use super::*;
use crate::seal::NamespaceKey;

const NAME: &[u8] = b"the store's name";

fn entry(value: &[u8]) -> Entry {
    Entry {
        stored_at_ms: 1_000,
        ttl: Duration::from_secs(2),
        keep: Duration::from_secs(9),
        stamp: Stamp { log: 5, epoch: 3 },
        layer: Layer::Result,
        tags: vec!["user:1".into(), "doc:\"é\"".into()],
        class: "dynamic".into(),
        model: "m".into(),
        value: Bytes::copy_from_slice(value),
    }
}

#[test]
fn life_is_counted_from_the_start_of_the_request() {
    let entry = entry(b"");
    assert_eq!(entry.age(1_500), Duration::from_millis(500));
    assert_eq!(entry.remaining(2_999), Duration::from_millis(1));
    assert_eq!(entry.staleness(2_999), None);
    assert_eq!(entry.staleness(3_000), Some(Duration::ZERO));
    assert!(!entry.is_dead(9_999));
    assert!(entry.is_dead(10_000));
}

#[test]
fn a_clock_that_went_back_counts_as_age_zero() {
    assert_eq!(entry(b"").age(10), Duration::ZERO);
}

#[test]
fn what_is_kept_for_less_than_its_ttl_is_never_stale() {
    let entry = Entry {
        ttl: Duration::from_secs(99),
        ..entry(b"")
    };
    assert_eq!((entry.staleness(9_999), entry.is_dead(9_999)), (None, false));
    assert!(entry.is_dead(10_000));
}

#[test]
fn weight_counts_every_variable_part() {
    let base = entry(b"").weight();
    assert_eq!(entry(b"12345").weight(), base + 5);
    let longer = Entry {
        class: "dynamic+".into(),
        model: "m+".into(),
        ..entry(b"")
    };
    assert_eq!(longer.weight(), base + 2);
}

fn key() -> NamespaceKey {
    NamespaceKey::new(&[7; 32], "llmcache:".into())
}

#[test]
fn a_repetitive_value_is_smaller_when_sealed() {
    let value = b"the same words again ".repeat(500);
    assert!(entry(&value).seal(&key(), NAME).unwrap().len() < value.len() / 10);
}

#[test]
fn a_value_past_the_bound_is_not_sealed() {
    assert_eq!(entry(&vec![0; 17 << 20]).seal(&key(), NAME), None);
}

#[test]
fn a_head_opens_without_its_body_and_a_body_not_without_its_head() {
    let (one, two) = (
        entry(b"one").seal(&key(), NAME).unwrap(),
        entry(b"two").seal(&key(), NAME).unwrap(),
    );
    let head = |value: &[u8]| 5 + usize::try_from(u32::from_be_bytes(value[1..5].try_into().unwrap())).unwrap();
    let opened = Entry::open_head(&key(), NAME, &one[..head(&one)]).unwrap();
    assert_eq!(opened, entry(b""));
    let mixed = [&one[..head(&one)], &two[head(&two)..]].concat();
    assert_eq!(Entry::open(&key(), NAME, &mixed), None);
    assert!(Entry::open(&key(), NAME, &two).is_some());
}

#[test]
fn another_version_name_key_or_byte_opens_as_none() {
    let sealed = entry(b"value").seal(&key(), NAME).unwrap();
    assert_eq!(sealed[0], VERSION);
    assert_eq!(Entry::open(&key(), b"other", &sealed), None);
    assert_eq!(Entry::open(&NamespaceKey::random().unwrap(), NAME, &sealed), None);
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(Entry::open(&key(), NAME, &changed), None, "byte {at}");
        assert_eq!(Entry::open(&key(), NAME, &sealed[..at]), None, "cut at {at}");
    }
}

#[test]
fn two_writes_of_one_entry_are_told_apart_by_their_first_bytes() {
    let seal = || Seen::of(&entry(b"v").seal(&key(), NAME).unwrap());
    assert_ne!(seal(), seal());
    assert_eq!(Seen::of(b"").bytes(), b"");
    assert_eq!(Seen::of(b"short").bytes(), b"short");
}

proptest! {
    #[test]
    fn sealing_is_reversible(value in proptest::collection::vec(any::<u8>(), 0..3000), log: u64, epoch: u64) {
        let entry = Entry { stamp: Stamp { log, epoch }, ..entry(&value) };
        prop_assert_eq!(Entry::open(&key(), NAME, &entry.seal(&key(), NAME).unwrap()), Some(entry));
    }

    #[test]
    fn garbage_opens_as_none(mut garbage in proptest::collection::vec(any::<u8>(), 0..300), is_ours: bool) {
        if is_ours && let Some(first) = garbage.first_mut() {
            *first = VERSION;
        }
        prop_assert_eq!(Entry::open(&key(), NAME, &garbage), None);
    }
}

#[test]
fn another_policy_shortens_a_life_and_never_extends_it() {
    let seconds = Duration::from_secs;
    let entry = Arc::new(entry(b"v"));
    assert!(Arc::ptr_eq(&entry.within(seconds(2), seconds(9)), &entry));
    assert!(Arc::ptr_eq(&entry.within(seconds(60), Duration::MAX), &entry));
    let shorter = entry.within(seconds(1), seconds(60));
    assert_eq!((shorter.ttl, shorter.keep), (seconds(1), seconds(9)));
    let shorter = entry.within(seconds(60), seconds(3));
    assert_eq!((shorter.ttl, shorter.keep), (seconds(2), seconds(3)));
}
