use bytes::Bytes;

use super::*;
use crate::bans::{Ban, Live, Stamp};
use crate::entry::Layer;

const LOG: u64 = 7;

fn bans() -> Bans {
    let bans = Bans::default();
    bans.learn(0, crate::bans::Page::first(LOG));
    bans
}

fn key(n: u8) -> Digest {
    Digest([n; 32])
}

fn entry(value: &[u8]) -> Arc<Entry> {
    Arc::new(Entry {
        stored_at_ms: 1_000,
        ttl: Duration::from_secs(1),
        keep: Duration::from_secs(2),
        stamp: Stamp { log: LOG, epoch: 0 },
        layer: Layer::Result,
        tags: vec!["a".into()],
        class: "dynamic".into(),
        model: "m".into(),
        value: Bytes::copy_from_slice(value),
    })
}

fn value(memory: &Memory, n: u8, now_ms: u64, bans: &Bans) -> Option<Bytes> {
    memory.find(&key(n), now_ms, bans).map(|entry| entry.value.clone())
}

#[test]
fn an_entry_is_kept_past_its_ttl_however_often_it_is_hit() {
    let (memory, bans) = (Memory::new(1 << 20), bans());
    memory.insert(key(1), entry(b"v"));
    for now_ms in [1_000, 2_000, 2_999] {
        assert_eq!(value(&memory, 1, now_ms, &bans).as_deref(), Some(&b"v"[..]), "{now_ms}");
    }
    assert_eq!(value(&memory, 1, 3_000, &bans), None);
    assert!(memory.is_empty());
}

#[test]
fn what_is_held_never_weighs_more_than_the_capacity() {
    let (memory, one) = (Memory::new(10_000), entry(&[0; 500]));
    for n in 0..100 {
        memory.insert(key(n), one.clone());
        assert!(memory.bytes() <= 10_000);
    }
    assert!(memory.len() >= 5);
    assert_eq!(memory.bytes(), memory.len() * one.weight() as u64);
}

#[test]
fn an_entry_heavier_than_the_capacity_is_not_kept() {
    let (memory, bans) = (Memory::new(1_000), bans());
    memory.insert(key(1), entry(&[0; 1_000]));
    assert_eq!(memory.len(), 0);
    assert_eq!(value(&memory, 1, 1_000, &bans), None);
}

#[test]
fn each_ban_is_obeyed_also_after_hits_at_a_later_version() {
    let (memory, bans) = (Memory::new(1 << 20), bans());
    memory.insert(key(1), entry(b"v"));
    let ban = |pattern: &str| {
        let ban = Ban {
            pattern: Some(pattern.into()),
            ..Ban::default()
        };
        Live::new(&ban, 1_000)
    };
    bans.issue(ban("b"));
    assert!(value(&memory, 1, 1_000, &bans).is_some());
    assert!(value(&memory, 1, 1_000, &bans).is_some());
    bans.issue(ban("a"));
    assert_eq!(value(&memory, 1, 1_000, &bans), None);
    assert!(memory.is_empty());
}

#[test]
fn removing_an_entry_spares_the_one_that_replaced_it() {
    let (memory, bans) = (Memory::new(1 << 20), bans());
    let old = entry(b"old");
    memory.insert(key(1), old.clone());
    memory.insert(key(1), entry(b"new"));
    memory.remove_entry(&key(1), &old);
    assert_eq!(value(&memory, 1, 1_000, &bans).as_deref(), Some(&b"new"[..]));
    memory.remove(&key(1));
    assert_eq!(value(&memory, 1, 1_000, &bans), None);
}

#[test]
fn a_visit_sees_every_entry_and_stops_when_told() {
    let memory = Memory::new(1 << 20);
    (0..10).for_each(|n| memory.insert(key(n), entry(&[n])));
    let mut seen = Vec::new();
    let all = memory.visit(|key, entry| {
        seen.push((key.0[0], entry.value[0]));
        ControlFlow::Continue(())
    });
    seen.sort_unstable();
    assert!(all.is_continue());
    assert_eq!(seen, (0..10).map(|n| (n, n)).collect::<Vec<_>>());
    assert!(memory.visit(|_, _| ControlFlow::Break(())).is_break());
}
