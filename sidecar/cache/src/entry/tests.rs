use proptest::prelude::*;

use super::*;

fn entry(value: &[u8]) -> Entry {
    Entry {
        stored_at_ms: 1_000,
        ttl: Duration::from_secs(2),
        max_age: Duration::from_secs(9),
        epoch: 3,
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
    assert!(!entry.is_expired(2_999));
    assert!(entry.is_expired(3_000));
}

#[test]
fn a_clock_that_went_back_counts_as_age_zero() {
    assert_eq!(entry(b"").age(10), Duration::ZERO);
}

#[test]
fn max_age_ends_a_longer_ttl() {
    let entry = Entry {
        ttl: Duration::from_secs(99),
        ..entry(b"")
    };
    assert!(entry.is_expired(10_000));
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

#[test]
fn a_repetitive_value_is_smaller_when_encoded() {
    let value = b"the same words again ".repeat(500);
    assert!(entry(&value).encode(0).unwrap().len() < value.len() / 10);
}

#[test]
fn a_value_past_the_bound_is_not_encoded() {
    assert_eq!(entry(&vec![0; DECODED_MAX]).encode(0), None);
}

#[test]
fn a_length_that_lies_decodes_as_none() {
    let encoded = entry(b"value").encode(0).unwrap();
    for lie in [0_u32, 3, u32::MAX, u32::try_from(DECODED_MAX).unwrap() + 1] {
        let mut changed = encoded.clone();
        changed[..4].copy_from_slice(&lie.to_be_bytes());
        assert_eq!(Entry::decode(&changed), None, "{lie}");
    }
}

proptest! {
    #[test]
    fn encoding_is_reversible(value in proptest::collection::vec(any::<u8>(), 0..3000), writer: u64, epoch: u64) {
        let entry = Entry { epoch, ..entry(&value) };
        let decoded = Entry::decode(&entry.encode(writer).unwrap()).unwrap();
        prop_assert_eq!(decoded, Decoded { entry, writer });
    }

    #[test]
    fn garbage_decodes_as_none(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(Entry::decode(&garbage), None);
    }

    #[test]
    fn packed_garbage_decodes_as_none(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut encoded = u32::try_from(garbage.len()).unwrap().to_be_bytes().to_vec();
        encoded.extend(zstd::bulk::compress(&garbage, 1).unwrap());
        prop_assert_eq!(Entry::decode(&encoded), None);
    }
}
