//! Secrets that somebody tore.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;

use super::*;

type Data = BTreeMap<String, ByteString>;

fn data(stored: &Stored) -> Data {
    let mut data = Data::new();
    stored.write_to(&mut data);
    data
}

/// A Secret in the middle of a rotation, so that every key is in use.
fn whole() -> Stored {
    let stored = settle(start(), &Stored::default()).0;
    Step::Announce.apply(start(), &stored, &rotation()).unwrap()
}

#[test]
fn whatever_is_torn_is_mended_and_what_can_be_served_is() {
    let whole = whole();
    let others = data(&Step::Begin.apply(start(), &Stored::default(), &rotation()).unwrap());
    let now = start() + DAY;
    for key in ["ca.crt", "ca.key", "next-ca.crt", "next-ca.key", "tls.crt", "tls.key"] {
        let text = data(&whole)[key].0.clone();
        let stranger = others.get(key).map(|it| it.0.clone()).unwrap_or_default();
        let tears = [
            None,
            Some(Vec::new()),
            Some(text[..text.len() / 2].to_vec()),
            Some(vec![0xff; 40]),
            Some(stranger),
        ];
        for (index, tear) in tears.into_iter().enumerate() {
            let mut torn = data(&whole);
            match tear {
                Some(bytes) => drop(torn.insert(key.to_owned(), ByteString(bytes))),
                None => drop(torn.remove(key)),
            }
            let (mended, steps) = settle(now, &Stored::read(&torn));
            verify(&mended, now).unwrap();
            assert_eq!(Stored::read(&data(&mended)), mended, "{key} {index}");
            // Without the bundle nobody can say whom clients trust; everything else leaves their trust alone.
            if key != "ca.crt" {
                assert!(!steps.contains(&Step::Begin), "{key} {index}: {steps:?}");
                verify_by(&whole, &mended, now).unwrap();
            }
        }
    }
}

#[test]
fn a_lost_key_of_the_authority_costs_no_handshake() {
    let mut torn = data(&settle(start(), &Stored::default()).0);
    torn.remove("ca.key");
    let before = Stored::read(&torn);
    let (announced, steps) = settle(start() + DAY, &before);
    assert_eq!(steps, [Step::Announce], "the leaf is good for weeks");
    assert_eq!(announced.serving, before.serving);
    let mut stored = announced.clone();
    for hours in (24..60 * 24).step_by(12) {
        let now = start() + HOUR * hours;
        stored = settle(now, &stored).0;
        verify_by(&announced, &stored, now).unwrap();
    }
    assert!(stored.authority.is_some(), "the successor signs");
}

#[test]
fn what_was_in_use_mends_even_a_lost_bundle() {
    let whole = whole();
    let mut torn = data(&whole);
    torn.insert("ca.crt".to_owned(), ByteString(b"garbage".to_vec()));
    for torn in [torn, Data::new()] {
        let mended = Stored::read(&torn).mend(&whole);
        let (after, steps) = settle(start() + DAY, &mended);
        assert!(steps.is_empty(), "nothing is lost: {steps:?}");
        assert_eq!(after, whole);
    }
    assert_eq!(whole.mend(&Stored::default()), whole);
}

#[test]
fn a_leaf_of_other_names_is_replaced() {
    let stored = settle(start(), &Stored::default()).0;
    let renamed = Rotation::of_service("llmcache-operator", "elsewhere");
    assert_eq!(plan(start(), &stored, &renamed), Step::Sign);
}
