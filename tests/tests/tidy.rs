//! The architecture and the habits of the house, checked like everything else.
//!
//! Files are those git would commit, so that an editor's leftovers do not fail a run.
#![cfg(test)]

#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/house.rs"]
mod house;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/words.rs"]
mod words;
