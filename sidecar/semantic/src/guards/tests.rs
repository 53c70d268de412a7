use proptest::prelude::*;

use super::*;

fn vetoed(a: &str, b: &str) -> Option<Guard> {
    veto(&Question::read(a), &Question::read(b))
}

#[test]
fn paraphrases_pass() {
    for (a, b) in [
        ("How do I reset my password?", "Password reset help?"),
        (
            "Who wrote Pride and Prejudice?",
            "Who is the author of Pride and Prejudice?",
        ),
        ("What is the capital of France?", "Which city is the capital of France?"),
        (
            "What are the opening hours of your store on Sunday?",
            "When do you open on Sundays?",
        ),
        (
            "Can I get a refund for a damaged item?",
            "The item came broken, can I have my money back?",
        ),
        ("How do I pay 1,000 USD?", "how to pay $1000"),
        ("Can I freeze green tea?", "Is it OK to freeze green tea?"),
    ] {
        assert_eq!(vetoed(a, b), None, "{a} / {b}");
    }
}

#[test]
fn look_alikes_are_vetoed_by_their_guard() {
    for (a, b, guard) in [
        ("Is ibuprofen safe?", "Is ibuprofen unsafe?", Guard::Antonyms),
        ("Send 100 USD to Ann", "Send 200 USD to Ann", Guard::Numbers),
        ("Where is order #12345?", "Where is order #12346?", Guard::Numbers),
        ("Is it 5 kg?", "Is it 5 g?", Guard::Numbers),
        (
            "Is Python faster than C?",
            "Is C faster than Python?",
            Guard::Comparison,
        ),
        (
            "Which city is the largest?",
            "Which city is the smallest?",
            Guard::Comparison,
        ),
        (
            "What is the weather tomorrow?",
            "What is the weather today?",
            Guard::Times,
        ),
        ("Turn on the lights", "Turn off the lights", Guard::Antonyms),
        (
            "SELECT * FROM t WHERE id = 5",
            "SELECT * FROM t WHERE id = 6",
            Guard::Numbers,
        ),
        ("Translate 'good morning'", "Translate 'good night'", Guard::Times),
        ("Translate 'my cat'", "Translate 'my dog'", Guard::Quotes),
        ("How do I cancel my plan?", "How do I renew my plan?", Guard::Antonyms),
        (
            "What is the capital of France?",
            "What is the capital of Germany?",
            Guard::Entities,
        ),
        (
            "How do I sort a list in python?",
            "How do I sort a list in rust?",
            Guard::Entities,
        ),
        (
            "How long does closed tea keep?",
            "How long does tea keep once it is opened?",
            Guard::Antonyms,
        ),
        ("Can I eat it?", "Can I not eat it?", Guard::Negation),
        ("What does read_line do?", "What does read_file do?", Guard::Code),
        ("Why did the war end?", "When did the war end?", Guard::QuestionType),
        ("Is it legal to park here?", "How do I park here?", Guard::QuestionType),
        (
            "Wie setze ich mein Passwort zurück?",
            "Wie ändere ich mein Passwort?",
            Guard::Language,
        ),
        ("如何重置密码", "如何更改密码", Guard::Language),
    ] {
        assert_eq!(vetoed(a, b), Some(guard), "{a} / {b}");
    }
}

#[test]
fn another_language_passes_when_only_case_and_punctuation_differ() {
    assert_eq!(
        vetoed(
            "Wie setze ich mein Passwort zurück?",
            "wie setze ich mein  passwort zurück"
        ),
        None
    );
}

#[test]
fn every_guard_has_its_own_word() {
    assert_eq!(
        Guard::ALL.map(Guard::word).into_iter().collect::<BTreeSet<_>>().len(),
        Guard::ALL.len()
    );
}

proptest! {
    #[test]
    fn a_veto_is_symmetric_and_never_between_equals(a in "\\PC{0,60}", b in "(Is|How|C|not|5 kg|'x'| |than|on|off|unsafe|safe|Paris|May){0,12}") {
        prop_assert_eq!(vetoed(&a, &b), vetoed(&b, &a));
        prop_assert_eq!(vetoed(&a, &a), None);
        prop_assert_eq!(vetoed(&b, &b), None);
    }
}

#[test]
fn signs_that_a_vector_cannot_tell_apart_are_told_apart() {
    assert_eq!(
        vetoed("What does 😀 mean?", "What does 🤬 mean?"),
        Some(Guard::Language)
    );
    assert_eq!(vetoed("What does “hedge” mean?", "What does \"hedge\" mean?"), None);
}

/// One pair of a corpus.
#[derive(serde::Deserialize)]
struct Pair {
    a: String,
    b: String,
}

/// Vetoed pairs, and all.
fn count(corpus: &str) -> (usize, usize) {
    let pairs = corpus.lines().map(|line| serde_json::from_str::<Pair>(line).unwrap());
    let vetoed: Vec<bool> = pairs.map(|pair| vetoed(&pair.a, &pair.b).is_some()).collect();
    (vetoed.iter().filter(|vetoed| **vetoed).count(), vetoed.len())
}

#[test]
fn most_look_alikes_are_vetoed_and_most_paraphrases_pass() {
    let (caught, all) = count(include_str!("../../corpora/lookalikes-tuning.jsonl"));
    println!("look-alikes vetoed: {caught} of {all}");
    assert!(caught * 10 >= all * 6, "{caught} of {all}");
    let (lost, all) = count(include_str!("../../corpora/paraphrases-tuning.jsonl"));
    println!("paraphrases vetoed: {lost} of {all}");
    assert!(lost * 2 <= all, "{lost} of {all}");
}
