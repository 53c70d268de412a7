//! With the real model where `LLMCACHE_MODEL_DIR` names its folder; the rest needs none.

use std::env;
use std::path::PathBuf;

use super::*;

mod faults;
mod folder;
mod model;
mod wire;

/// The model folder, if the run has one.
fn model_folder() -> Option<PathBuf> {
    let folder = env::var_os("LLMCACHE_MODEL_DIR").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("LLMCACHE_MODEL_DIR is not set: this test needs the folder that tests/setup/model.sh makes");
    }
    folder
}

#[test]
fn a_vector_has_unit_length_and_a_cosine_of_one_with_itself() {
    let mut numbers = [0.0; WIDTH];
    (numbers[0], numbers[1]) = (3.0, 4.0);
    let vector = Vector::new(&numbers).unwrap();
    assert_eq!(vector.numbers()[..3], [0.6, 0.8, 0.0]);
    assert!((vector.cosine(&vector) - 1.0).abs() < 1e-6);
}

#[test]
fn numbers_without_a_direction_are_no_vector() {
    assert!(Vector::new(&[0.0; WIDTH]).is_none());
    assert!(Vector::new(&[f32::NAN; WIDTH]).is_none());
    assert!(Vector::new(&[f32::MAX; WIDTH]).is_none());
    assert!(Vector::new(&[1.0; WIDTH - 1]).is_none());
}

#[test]
fn a_vector_says_nothing_when_it_is_logged() {
    assert_eq!(format!("{:?}", Vector::new(&[1.0; WIDTH]).unwrap()), "Vector");
}

#[test]
fn the_space_is_named_after_the_pinned_model_file() {
    assert_eq!(Space::known().as_str(), "4dad7cbb6cf6");
}
