use super::super::{Model, TextError};
use super::model_folder;

fn cosine(model: &mut Model, one: &str, two: &str) -> f32 {
    let (one, two) = (model.embed(one).unwrap(), model.embed(two).unwrap());
    one.cosine(&two)
}

#[test]
fn the_model_gives_the_cosines_that_were_measured() {
    let Some(folder) = model_folder() else { return };
    let mut model = Model::open(&folder).unwrap();
    for (one, two, expected) in [
        ("How do I reset my password?", "Password reset help?", 0.8313),
        ("What is my account balance?", "Show me my account balance", 0.7773),
        (
            "Is it safe to take ibuprofen with aspirin?",
            "Is it unsafe to take ibuprofen with aspirin?",
            0.9866,
        ),
        ("Convert 100 USD to EUR", "Convert 200 USD to EUR", 0.9118),
    ] {
        let cosine = cosine(&mut model, one, two);
        // Other processors round otherwise.
        assert!((cosine - expected).abs() < 0.02, "{one} / {two}: {cosine}");
    }
}

#[test]
fn a_text_has_the_same_vector_each_time_and_in_each_opening() {
    let Some(folder) = model_folder() else { return };
    let (mut one, mut two) = (Model::open(&folder).unwrap(), Model::open(&folder).unwrap());
    let first = one.embed("Where is my order?").unwrap();
    one.embed("Something else altogether, and longer than the first.")
        .unwrap();
    assert_eq!(one.embed("Where is my order?").unwrap(), first);
    assert_eq!(two.embed("Where is my order?").unwrap(), first);
    assert_eq!(one.space().as_str(), "4dad7cbb6cf6");
}

#[test]
fn a_text_over_128_tokens_has_no_vector() {
    let Some(folder) = model_folder() else { return };
    let mut model = Model::open(&folder).unwrap();
    // Two tokens frame a text.
    assert!(model.embed(&"word ".repeat(126)).is_ok());
    assert!(matches!(model.embed(&"word ".repeat(127)), Err(TextError::TooLong)));
    assert!(matches!(model.embed(&" ".repeat(5000)), Err(TextError::TooLong)));
}

#[test]
fn a_text_of_nothing_has_a_vector_too() {
    let Some(folder) = model_folder() else { return };
    let mut model = Model::open(&folder).unwrap();
    assert!(model.embed("").is_ok());
    assert!(model.embed("\0 \u{fffd} 🦀").is_ok());
}
