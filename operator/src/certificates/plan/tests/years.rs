//! Years of rotation, seen by clients that learn of a new bundle late.

use std::collections::VecDeque;

use super::*;

/// How late a client may learn what is published: a sidecar cut off for ten days still trusts what it sees then.
const LATE: usize = 10;
#[test]
fn for_five_years_every_client_trusts_what_is_served() {
    let mut stored = settle(start(), &Stored::default()).0;
    let mut published: VecDeque<Stored> = VecDeque::from([stored.clone()]);
    let mut taken = Vec::new();
    for day in 0..5 * 365 {
        let now = start() + day * DAY;
        let (next, steps) = settle(now, &stored);
        stored = next;
        verify(&stored, now).unwrap();
        for late in &published {
            verify_by(late, &stored, now).unwrap();
        }
        // A replica is a day late at most.
        for late in published.iter().rev().take(1) {
            verify_by(&stored, late, now).unwrap();
        }
        assert!(stored.bundle.len() <= 2, "old ones are forgotten");
        published.push_back(stored.clone());
        if published.len() > LATE {
            published.pop_front();
        }
        taken.extend(steps);
    }
    let count = |step| taken.iter().filter(|it| **it == step).count();
    assert_eq!(count(Step::Begin), 0, "nobody ever starts over");
    // A successor at two thirds of a year, counted from when it was announced itself: 243 days.
    assert_eq!(
        [count(Step::Announce), count(Step::Promote), count(Step::Withdraw)],
        [7, 7, 7]
    );
    assert!((85..100).contains(&count(Step::Sign)), "a leaf every twenty days");
}

#[test]
fn an_operator_that_was_away_serves_without_a_gap_as_long_as_its_leaf_is_good() {
    // Away for so many days at any time of the rotation.
    for away in [9, 45, 130, 250, 400, 900] {
        let mut stored = settle(start(), &Stored::default()).0;
        let mut now = start();
        for round in 0..40_u32 {
            let before = stored.clone();
            let could_serve = verify(&before, now).is_ok();
            stored = settle(now, &stored).0;
            verify(&stored, now).unwrap();
            if could_serve {
                verify_by(&before, &stored, now).unwrap();
            }
            let absence = if round % 2 == 0 { away } else { 5 };
            now += absence * DAY;
        }
    }
}

#[test]
fn an_authority_whose_key_still_signs_is_never_given_up_while_clients_trust_it() {
    let stored = settle(start(), &Stored::default()).0;
    // Back one day before the authority ends: the leaf is long gone, the authority is not.
    let now = start() + 364 * DAY;
    let (after, steps) = settle(now, &stored);
    assert_eq!(steps, [Step::Sign, Step::Announce]);
    verify_by(&stored, &after, now).unwrap();
    let (promoted, steps) = settle(now + DAY / 2, &after);
    assert_eq!(steps, [Step::Promote], "half of what is left is all the time there is");
    verify_by(&after, &promoted, now + DAY / 2).unwrap();
}
