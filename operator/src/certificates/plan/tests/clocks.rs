//! Clocks that jump.

use super::*;

#[test]
fn a_clock_that_jumps_and_comes_back_is_recovered_from_without_starting_over() {
    let stored = settle(start(), &Stored::default()).0;
    for jump in [15, 25, 100, 250, 300, 360] {
        let ahead = start() + jump * DAY;
        let jumped = settle(ahead, &stored).0;
        verify(&jumped, ahead).unwrap();
        let (back, steps) = settle(start() + DAY, &jumped);
        verify(&back, start() + DAY).unwrap();
        verify_by(&stored, &back, start() + DAY).unwrap();
        assert!(!steps.contains(&Step::Begin), "{jump} days: {steps:?}");
        // What was made in the future does not come in the way later.
        let mut stored = back;
        for day in (1..800).step_by(3) {
            let now = start() + day * DAY;
            let before = stored.clone();
            stored = settle(now, &stored).0;
            verify_by(&before, &stored, now).unwrap();
            assert!(stored.bundle.len() <= 3, "{jump} days, day {day}");
        }
    }
}

#[test]
fn a_clock_that_stands_at_the_beginning_of_time_makes_no_loop() {
    let stored = settle(start(), &Stored::default()).0;
    let (early, _) = settle(SystemTime::UNIX_EPOCH, &stored);
    let (back, _) = settle(start(), &early);
    verify(&back, start()).unwrap();
    let far = SystemTime::UNIX_EPOCH + 9500 * 365 * DAY;
    assert!(plan(far, &stored, &rotation()) == Step::Begin);
    Step::Begin.apply(far, &stored, &rotation()).unwrap();
}
