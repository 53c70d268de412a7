use super::*;

const HOUR: u64 = 3_600_000;

fn terms(budget: u16) -> Terms {
    Terms {
        floor: 8_000,
        budget,
        has_judge: false,
        fingerprint: "model, guards".to_owned(),
    }
}

/// A class that is fed one pair after the other.
struct Class {
    terms: Terms,
    state: State,
    next: u64,
}

impl Class {
    fn new(terms: Terms) -> Self {
        Self {
            state: State::new(&terms),
            terms,
            next: 0,
        }
    }

    fn draw(&mut self, similarity: u16, is_open: bool, now_ms: u64) -> u64 {
        self.next += 1;
        let event = Event::Drawn {
            id: self.next,
            similarity,
            is_open,
        };
        assert!(self.state.apply(&self.terms, &event, now_ms).is_kept);
        self.next
    }

    fn label(&mut self, id: u64, is_wrong: bool, source: Source) -> Happened {
        self.state.apply(&self.terms, &Event::Label { id, is_wrong, source }, 0)
    }

    fn pair(&mut self, similarity: u16, is_wrong: bool) -> Happened {
        let is_open = self.state.threshold().is_some_and(|threshold| similarity >= threshold);
        let id = self.draw(similarity, is_open, 0);
        self.label(id, is_wrong, Source::Feedback)
    }

    /// How many clean labels it takes from here.
    fn until_open(&mut self, similarity: u16, source: Source) -> u32 {
        for labels in 1..5_000 {
            let id = self.draw(similarity, false, 0);
            if self.label(id, false, source).opened.is_some() {
                return labels;
            }
        }
        panic!("never opens");
    }

    fn open(budget: u16) -> Self {
        let mut class = Self::new(terms(budget));
        class.until_open(8_500, Source::Feedback);
        assert_eq!(class.state.threshold(), Some(8_000));
        class
    }
}

#[test]
fn clean_labels_open_at_the_number_that_status_names() {
    for (budget, labels) in [(100, 376), (50, 753), (200, 187), (500, 74)] {
        let mut class = Class::new(terms(budget));
        assert_eq!(
            class.state.summary(&class.terms).message(),
            format!("0 of about {labels} labels")
        );
        assert_eq!(class.until_open(8_500, Source::Feedback), labels);
        assert_eq!(class.state.summary(&class.terms).message(), "serving from 0.80");
    }
}

#[test]
fn one_wrong_label_costs_about_as_many_again() {
    let mut class = Class::new(terms(100));
    for _ in 0..100 {
        class.pair(8_500, false);
    }
    class.pair(8_500, true);
    let summary = class.state.summary(&class.terms);
    assert_eq!((summary.labels, summary.wrong, summary.needed), (101, 1, 669));
    assert_eq!(101 + class.until_open(8_500, Source::Comparison), 669);
}

#[test]
fn a_judge_takes_more_labels_by_what_is_not_known_of_it() {
    let judged = |planted: u32| {
        let mut class = Class::new(Terms {
            has_judge: true,
            ..terms(100)
        });
        for _ in 0..planted {
            class.state.apply(&class.terms, &Event::Planted { is_wrong: true }, 0);
        }
        class
    };
    assert_eq!(judged(0).until_open(8_500, Source::Feedback), 401);
    let needed = [100, 300, 1_000].map(|planted| judged(planted).until_open(8_500, Source::Judge));
    assert_eq!(needed, [424, 409, 403]);

    let mut blind = judged(0);
    let id = blind.draw(8_500, false, 0);
    blind.label(id, false, Source::Judge);
    assert_eq!(
        blind.state.summary(&blind.terms).message(),
        "the judge is not measured yet"
    );
    let id = blind.draw(8_500, true, 0);
    blind.label(id, true, Source::Judge);
    for _ in 0..3 {
        let id = blind.draw(8_500, false, 0);
        blind.label(id, true, Source::Judge);
    }
    for _ in 0..1_000 {
        blind.state.apply(&blind.terms, &Event::Planted { is_wrong: true }, 0);
    }
    assert!(blind.until_open(8_500, Source::Judge) < 1_200);

    let mut noisy = judged(300);
    for count in 0..100 {
        noisy
            .state
            .apply(&noisy.terms, &Event::Repeat { is_wrong: count == 0 }, 0);
    }
    let id = noisy.draw(8_500, false, 0);
    noisy.label(id, false, Source::Judge);
    assert_eq!(
        noisy.state.summary(&noisy.terms).message(),
        "labels too noisy for this budget"
    );
}

#[test]
fn the_stake_moves_above_the_wrong_answers_and_comes_back_for_the_rest() {
    let mut class = Class::new(terms(500));
    for round in 0..400 {
        class.pair(9_500, false);
        class.pair(8_100, round % 4 == 0);
    }
    let opened = class.state.threshold().unwrap();
    assert!((8_127..=9_520).contains(&opened), "{opened}");
    let serving = format!("serving from 0.{opened}");
    assert!(serving.starts_with(class.state.summary(&class.terms).message().as_str()));
}

#[test]
fn labels_of_served_pairs_open_nothing() {
    let mut class = Class::new(terms(500));
    for _ in 0..40 {
        class.pair(9_500, false);
        class.pair(8_100, true);
    }
    while class.state.threshold().is_none() {
        class.pair(9_500, false);
    }
    let before = (class.state.threshold(), class.state.summary(&class.terms).labels);
    assert!(before.0 > Some(8_100));
    for _ in 0..1_000 {
        class.pair(9_500, false);
    }
    assert_eq!(
        (class.state.threshold(), class.state.summary(&class.terms).labels),
        before
    );
}

#[test]
fn quick_praise_does_not_overtake_slow_complaints() {
    let mut class = Class::new(terms(500));
    let slow: Vec<u64> = (0..20).map(|_| class.draw(8_500, false, 0)).collect();
    for _ in 0..300 {
        assert_eq!(class.pair(8_500, false).opened, None);
    }
    for id in slow {
        class.label(id, false, Source::Feedback);
    }
    assert_eq!(class.state.threshold(), Some(8_000));

    let mut class = Class::new(terms(500));
    class.draw(8_500, false, 0);
    assert_eq!(
        class.until_open(8_500, Source::Feedback),
        131,
        "one that is missing counts as one wrong"
    );
}

#[test]
fn five_wrong_in_a_row_close_the_class_at_any_budget() {
    for budget in (10..=1_000).step_by(45).chain([500, 1_000]) {
        for similarities in [[8_500; 5], [8_100, 8_500, 9_000, 9_500, 9_950]] {
            let mut class = Class::open(budget);
            let (last, first) = similarities.split_last().unwrap();
            for &similarity in first {
                assert_eq!(class.pair(similarity, true).closed, None);
            }
            assert_eq!(class.pair(*last, true).closed, Some(8_000));
            assert_eq!(class.state.threshold(), None);
            let message = class.state.summary(&class.terms).message();
            assert!(
                message.starts_with("closed by evidence at 0.80, 0 of about "),
                "{message}"
            );
        }
    }
}

#[test]
fn a_bad_band_closes_with_all_below_it_and_reopens_at_half_the_risk() {
    let mut class = Class::open(100);
    let mut labels = 0;
    while class.state.threshold() == Some(8_000) {
        class.pair(8_500, labels % 10 == 0);
        class.pair(9_500, false);
        labels += 1;
    }
    assert!((10..100).contains(&labels), "{labels}");
    assert_eq!(class.state.threshold(), Some(8_507));
    assert_eq!(class.state.share(&class.terms, 8_500), 10_000);
    assert_eq!(class.until_open(8_200, Source::Feedback), 454);
}

#[test]
fn the_first_hits_are_drawn_more_often() {
    let mut class = Class::open(500);
    let share = |class: &Class, similarity| class.state.share(&class.terms, similarity);
    assert_eq!((share(&class, 9_500), share(&class, 7_000)), (2_000, 10_000));
    for _ in 0..100 {
        class.pair(8_500, false);
    }
    assert_eq!((share(&class, 8_050), share(&class, 9_500)), (1_000, 200));
    assert_eq!(class.state.proposed(&class.terms), 8_000);
    assert_eq!(class.state.share(&terms(100), 9_500), 10_000);
    assert!(!is_drawn(&[0xff; 32], 9_999) && is_drawn(&[0xff; 32], 10_000));
    assert!(is_drawn(&[0; 32], 1) && !is_drawn(&[0; 32], 0) && is_drawn(&[], 1));
}

#[test]
fn what_nobody_labels_for_a_day_is_wrong() {
    let mut class = Class::new(terms(500));
    let id = class.draw(8_500, false, HOUR);
    assert!(class.state.is_pending(id));
    assert_eq!(class.state.expire(&class.terms, 25 * HOUR - 1), Happened::default());
    let happened = class.state.expire(&class.terms, 25 * HOUR);
    assert_eq!(happened.labelled, [(Source::Expired, true)]);
    assert!(!class.state.is_pending(id));
    assert_eq!(class.state.summary(&class.terms).wrong, 1);
    assert_eq!(class.label(id, false, Source::Judge), Happened::default());
}

#[test]
fn no_more_than_there_is_room_for() {
    let mut class = Class::new(terms(500));
    for _ in 0..512 {
        assert!(class.state.has_room());
        class.draw(8_500, false, 0);
    }
    assert!(!class.state.has_room());
    let event = Event::Drawn {
        id: 9_999,
        similarity: 8_500,
        is_open: false,
    };
    assert!(!class.state.apply(&class.terms, &event, 0).is_kept);
    assert!(serde_json::to_string(&class.state).unwrap().len() < 64 * 1_024);
    let below = Event::Drawn {
        id: 9_999,
        similarity: 7_999,
        is_open: false,
    };
    assert!(!Class::new(terms(500)).state.apply(&terms(500), &below, 0).is_kept);
}

#[test]
fn survives_as_json_and_only_under_equal_terms() {
    let mut class = Class::open(100);
    for step in 0..300 {
        class.pair(8_000 + step * 6, step % 50 == 0);
    }
    class.draw(9_000, true, 0);
    let json = serde_json::to_string(&class.state).unwrap();
    let state: State = serde_json::from_str(&json).unwrap();
    assert_eq!(state, class.state);
    assert_eq!(state.clone().resume(&class.terms), state);
    for other in [
        Terms {
            floor: 8_100,
            ..class.terms.clone()
        },
        Terms {
            budget: 200,
            ..class.terms.clone()
        },
        Terms {
            has_judge: true,
            ..class.terms.clone()
        },
        Terms {
            fingerprint: "other".to_owned(),
            ..class.terms.clone()
        },
    ] {
        assert_eq!(state.clone().resume(&other), State::new(&other));
    }
    for garbage in [
        "",
        "null",
        "{}",
        "[1]",
        &json[..json.len() / 2],
        &json.replace("walk", "talk"),
    ] {
        assert!(serde_json::from_str::<State>(garbage).is_err(), "{garbage}");
    }
    let mut wild: State = serde_json::from_str(
        &json
            .replace("\"lead\":15", "\"lead\":255")
            .replace("\"band\":", "\"band\":2"),
    )
    .unwrap();
    wild.apply(
        &class.terms,
        &Event::Label {
            id: class.next,
            is_wrong: true,
            source: Source::Feedback,
        },
        0,
    );
    assert_eq!(wild.resume(&class.terms), State::new(&class.terms));
}

#[test]
fn at_an_error_equal_to_the_budget_it_opens_in_at_most_one_of_twenty_runs() {
    // Evidence counts labels times budget: 1 000 looks at 10 % are 10 000 looks at 1 %.
    let (runs, mut opened, mut random) = (1_500, 0, 7_u64);
    for _ in 0..runs {
        let mut class = Class::new(terms(1_000));
        for _ in 0..1_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let similarity = 8_000 + u16::try_from((random >> 33) % 2_000).unwrap();
            if class.pair(similarity, (random >> 12) % 10_007 < 1_000).opened.is_some() {
                opened += 1;
                break;
            }
        }
    }
    assert!(opened * 1_000 <= runs * 61, "{opened} of {runs}");
    assert!(opened > 0, "a test that never opens proves nothing");
}
