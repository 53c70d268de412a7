use super::repeats::MAX;
use super::*;

fn notice(uid: &str, message: &str) -> Notice {
    Notice {
        regarding: ObjectReference {
            api_version: Some("apps/v1".into()),
            kind: Some("Deployment".into()),
            namespace: Some("shop".into()),
            name: Some("chat".into()),
            uid: Some(uid.into()),
            ..ObjectReference::default()
        },
        reason: "InjectionMissing",
        action: "Watch",
        message: message.into(),
        is_warning: true,
    }
}

#[test]
fn the_same_is_said_once_in_ten_minutes() {
    let mut repeats = Repeats::default();
    assert!(repeats.admit(&notice("a", "x"), 0));
    assert!(!repeats.admit(&notice("a", "x"), 599_999));
    assert!(repeats.admit(&notice("a", "y"), 1), "another message");
    assert!(repeats.admit(&notice("b", "x"), 1), "another object");
    assert!(repeats.admit(&notice("a", "x"), 600_000));
    repeats.forget(&notice("a", "x"));
    assert!(repeats.admit(&notice("a", "x"), 600_001));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut repeats = Repeats::default();
    let all = MAX + 10;
    let said = (0..all).filter(|n| repeats.admit(&notice("a", &n.to_string()), 0));
    assert_eq!(said.count(), MAX);
    assert!(repeats.admit(&notice("a", "later"), 600_000), "the old are forgotten");
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (notices, mut waiting) = queue();
    for n in 0..QUEUE + 3 {
        notices.tell(notice("a", &n.to_string()));
    }
    assert_eq!(notices.dropped(), 3);
    assert_eq!(waiting.try_recv().unwrap().message, "0");
}

#[test]
fn an_event_fits_what_the_api_server_allows() {
    let mut long = notice("a", &"ü".repeat(600));
    long.regarding.name = Some(format!("{}.{}", "a".repeat(229), "b".repeat(23)));
    let event = event(&long, &"p".repeat(200), Timestamp::UNIX_EPOCH);
    let note = event.note.unwrap();
    assert_eq!(note.len(), 1_024);
    assert!(note.chars().all(|c| c == 'ü'));
    let name = event.metadata.name.unwrap();
    assert_eq!(name, format!("{}.{}", "a".repeat(229), "0".repeat(16)));
    assert!(name.len() <= 253);
    assert_eq!(event.reporting_instance.unwrap().len(), 128);
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
}

#[test]
fn a_short_note_is_left_whole() {
    for (text, most, expected) in [("", 4, ""), ("abc", 4, "abc"), ("aüü", 4, "aü"), ("üü", 1, "")] {
        assert_eq!(cut(text, most), expected);
    }
}
