use super::*;

mod histories;
mod world;

const SECOND: Duration = Duration::from_secs(1);

fn machine(identity: &str) -> Machine {
    Machine::new(identity.to_owned(), Timing::default(), 7)
}

fn held_by(holder: Option<&str>, renewed: i64, version: &str) -> Versioned {
    Versioned {
        record: Record {
            holder: holder.map(str::to_owned),
            duration: 15 * SECOND,
            acquired: Some(wall(1)),
            renewed: Some(wall(renewed)),
            transitions: 3,
        },
        version: version.to_owned(),
    }
}

fn wall(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn an_absent_lease_is_read_for_then_created_then_led() {
    let mut machine = machine("a");
    assert_eq!(machine.next(SECOND, wall(5)), Action::Read);
    machine.learn(SECOND, SECOND, Answer::Missing);
    let Action::Create(record) = machine.next(SECOND, wall(5)) else {
        panic!("creates");
    };
    assert_eq!((record.holder.as_deref(), record.transitions), (Some("a"), 0));
    let written = Versioned {
        record,
        version: "1".to_owned(),
    };
    machine.learn(SECOND, 3 * SECOND, Answer::Written(written));
    assert_eq!(
        machine.leads_until(4 * SECOND),
        Some(11 * SECOND),
        "counted from the sending"
    );
    assert_eq!(machine.leads_until(11 * SECOND), None);
    assert!(
        matches!(machine.next(3 * SECOND, wall(5)), Action::Update(Versioned { version, .. }) if version == "1"),
        "two seconds after the sending it is due again"
    );
}

#[test]
fn a_foreign_lease_is_taken_fifteen_seconds_after_the_last_change_seen_whatever_its_clock_says() {
    let mut machine = machine("b");
    machine.learn(SECOND, SECOND, Answer::Found(held_by(Some("a"), 1_000_000, "7")));
    assert!(matches!(machine.next(SECOND, wall(0)), Action::Wait(_)));
    machine.learn(9 * SECOND, 9 * SECOND, Answer::Found(held_by(Some("a"), 999_990, "8")));
    let long_after = Answer::Found(held_by(Some("a"), 999_990, "8"));
    machine.learn(23 * SECOND, 23 * SECOND, long_after.clone());
    assert!(matches!(machine.next(23 * SECOND, wall(0)), Action::Wait(_)));
    machine.learn(24 * SECOND, 24 * SECOND, long_after);
    let Action::Update(claim) = machine.next(24 * SECOND, wall(0)) else {
        panic!("takes it");
    };
    assert_eq!(
        (claim.version.as_str(), claim.record.transitions, claim.record.acquired),
        ("8", 4, Some(wall(0)))
    );
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut machine = machine("b");
    machine.learn(SECOND, SECOND, Answer::Found(held_by(None, 5, "7")));
    assert!(matches!(machine.next(SECOND, wall(0)), Action::Update(_)));
}

#[test]
fn a_leader_that_reads_another_name_steps_down() {
    let mut machine = machine("a");
    machine.learn(SECOND, SECOND, Answer::Written(held_by(Some("a"), 5, "7")));
    machine.learn(2 * SECOND, 2 * SECOND, Answer::Conflict);
    assert!(
        machine.leads_until(2 * SECOND).is_some(),
        "a conflict alone tells nothing"
    );
    machine.learn(3 * SECOND, 3 * SECOND, Answer::Found(held_by(Some("b"), 6, "8")));
    assert_eq!(machine.leads_until(3 * SECOND), None);
    assert_eq!(machine.holder(3 * SECOND), Some("b"));
    assert_eq!(
        machine.holder(30 * SECOND),
        None,
        "what was seen long ago is not known now"
    );
}

#[test]
fn a_write_whose_answer_was_lost_makes_no_leader_until_another_succeeds() {
    let mut machine = machine("a");
    machine.learn(SECOND, SECOND, Answer::Missing);
    machine.learn(SECOND, 4 * SECOND, Answer::Failed);
    machine.learn(5 * SECOND, 5 * SECOND, Answer::Found(held_by(Some("a"), 5, "1")));
    assert_eq!(machine.leads_until(5 * SECOND), None);
    assert!(matches!(machine.next(5 * SECOND, wall(9)), Action::Update(_)));
}

#[test]
fn a_lease_deleted_under_a_leader_is_awaited_by_those_who_saw_it() {
    let mut machine = machine("b");
    machine.learn(SECOND, SECOND, Answer::Found(held_by(Some("a"), 5, "1")));
    machine.learn(4 * SECOND, 4 * SECOND, Answer::Missing);
    assert!(matches!(machine.next(4 * SECOND, wall(9)), Action::Wait(_)));
    machine.learn(19 * SECOND, 19 * SECOND, Answer::Missing);
    assert!(matches!(machine.next(23 * SECOND, wall(9)), Action::Create(_)));
}

#[test]
fn a_namespace_that_is_gone_is_no_reason_to_hurry() {
    let mut machine = machine("a");
    machine.learn(SECOND, SECOND, Answer::Missing);
    assert!(matches!(machine.next(SECOND, wall(9)), Action::Create(_)));
    machine.learn(SECOND, SECOND, Answer::Missing);
    assert!(matches!(machine.next(2 * SECOND, wall(9)), Action::Wait(_)));
}

#[test]
fn a_release_names_nobody_and_steps_down_first() {
    let mut machine = machine("a");
    machine.learn(SECOND, SECOND, Answer::Written(held_by(Some("a"), 5, "7")));
    let release = machine.release(wall(8)).unwrap();
    assert_eq!((release.record.holder, release.version.as_str()), (None, "7"));
    assert_eq!(machine.leads_until(SECOND), None);
    machine.learn(SECOND, SECOND, Answer::Found(held_by(Some("b"), 5, "9")));
    assert_eq!(machine.release(wall(8)), None, "another's is left alone");
}
