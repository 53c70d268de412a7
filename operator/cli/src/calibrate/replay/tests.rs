use llmcache_sidecar::policy::ttl_class::Match;
use llmcache_sidecar::semantic::embedding::WIDTH;

use super::super::call::{Plan, Reply};
use super::*;

fn classes() -> [TtlClass; 1] {
    [TtlClass {
        name: "dynamic".into(),
        ttl_ms: 1_000,
        stale_while_revalidate_ms: 0,
        stale_if_error_ms: 0,
        similarity_threshold: 8_000,
        matches: Match::default(),
    }]
}

/// A call whose question has its key's number; all are in one partition.
fn call(at_ms: u64, key: u8, text: &str, closed: Option<&str>) -> Call {
    Call {
        at_ms,
        plan: Ok(Plan {
            class: 0,
            key: [key; 32],
            question: Ok(Asked {
                partition: [0; 32],
                text: text.into(),
            }),
        }),
        answer: Reply {
            is_kept: true,
            closed: closed.map(str::to_owned),
            cost: Cost::default(),
        },
    }
}

/// At an angle to the first axis whose cosine is this.
fn vector(cosine: f32) -> Vector {
    let mut numbers = [0.0; WIDTH];
    (numbers[0], numbers[1]) = (cosine, (1.0 - cosine * cosine).sqrt());
    Vector::new(&numbers).unwrap()
}

fn play(calls: &[(Call, f32)]) -> Counts {
    let classes = classes();
    let mut replay = Replay::new(&classes);
    for (call, cosine) in calls {
        if let Some(asked) = replay.ask(call) {
            replay.look(call, asked, &vector(*cosine));
        }
    }
    replay.counts
}

fn similarities(counts: &Counts) -> Vec<u16> {
    counts.classes[0].hits.iter().map(|hit| hit.similarity).collect()
}

#[test]
fn a_question_near_a_kept_one_is_a_hit_and_no_neighbour_itself() {
    let counts = play(&[
        (call(0, 1, "where is it", None), 1.0),
        (call(1, 2, "where might it be", None), 0.9),
        // Near the second alone, which was a hit.
        (call(2, 3, "tell me where", None), 0.6),
    ]);
    assert_eq!(counts.classes[0].questions, 3);
    let [similarity] = similarities(&counts)[..] else {
        panic!("{counts:?}");
    };
    assert!((8_999..=9_000).contains(&similarity), "{similarity}");
}

#[test]
fn equal_requests_are_repeats_until_the_answer_is_too_old() {
    let same = |at_ms| (call(at_ms, 1, "where is it", None), 1.0);
    let counts = play(&[same(0), same(999), same(1_000)]);
    assert_eq!((counts.repeats, counts.classes[0].questions), (1, 2));
    assert_eq!(similarities(&counts), Vec::<u16>::new());
}

#[test]
fn an_answer_that_is_not_kept_answers_nobody() {
    let mut refused = call(0, 1, "where is it", None);
    refused.answer.is_kept = false;
    let counts = play(&[
        (refused, 1.0),
        (call(1, 2, "where might it be", None), 1.0),
        (call(2, 1, "where is it", None), 1.0),
    ]);
    assert_eq!((counts.repeats, similarities(&counts).len()), (0, 1));
}

#[test]
fn a_vetoed_neighbour_is_counted_and_passed_over() {
    let counts = play(&[
        (call(0, 1, "where is it", None), 0.9),
        (call(1, 2, "where is it not", None), 0.99),
        (call(2, 3, "where is it not now", None), 0.92),
    ]);
    assert_eq!(counts.vetoes["negation"], 2);
    assert_eq!(similarities(&counts).len(), 1);
}

#[test]
fn closed_answers_of_a_hit_are_compared() {
    let pair = |one, other| {
        let counts = play(&[(call(0, 1, "is it", one), 1.0), (call(1, 2, "is it so", other), 1.0)]);
        counts.classes[0].hits[0].is_same
    };
    assert_eq!(pair(Some("Yes"), Some("yes.")), Some(true));
    assert_eq!(pair(Some("Yes"), Some("No")), Some(false));
    assert_eq!(pair(Some("Yes"), None), None);
}

#[test]
fn what_has_no_plan_or_question_is_bypassed_by_its_word() {
    let no_plan = Call {
        plan: Err("stateful"),
        ..call(0, 1, "", None)
    };
    let mut no_question = call(0, 2, "", None);
    if let Ok(plan) = &mut no_question.plan {
        plan.question = Err("media");
    }
    let counts = play(&[(no_plan, 1.0), (no_question, 1.0)]);
    assert_eq!(counts.bypass, BTreeMap::from([("media", 1), ("stateful", 1)]));
}
